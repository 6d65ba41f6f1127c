/* arc_seal - what we saw of a message, sealed for the servers behind us
 *
 * A set is three fields: the results of our checks, a signature of the message as it leaves (like DKIM's, header and body
 * relaxed), and a seal over both and all sets below. A chain that is whole is continued (cv=pass); one that is broken gets
 * one last set that says so and covers itself alone (cv=fail, RFC 8617 5.1.2); above that, and above 50 sets, comes nothing.
 *
 * Received, Authentication-Results and X-Spam fields are not signed: servers behind us may remove theirs. The body goes to
 * the hash as it lies; it is read once.
 *
 * Errors: ERR_TEMPORARY when memory is gone or the library fails; ERR_PERMANENT with a return of 0 is no error. */
#include "filters/arc_seal.h"

#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "filters/arc_chain.h"
#include "filters/arc_hash.h"
#include "filters/dkim_sign.h"
#include "filters/pubkey.h"

#define SAME_MAX 10 /* fields of one name that are signed, from the bottom */
#define LINE 72
#define FIELD_MAX (8 * 1024)
#define SIGNATURE_MAX 1024 /* bytes: RSA of 8192 bits */
#define HEADER_MAX (1024 * 1024)

struct work {
	const struct arc_sealer *with;
	const struct arc_message *m;
	struct mime_field *fields; /* of the message as it leaves; MIME_FIELDS_MAX */
	size_t n_fields;
	struct buf head;   /* of a converted one */
	struct slice body; /* what follows the header; of a converted one its first piece */
	struct arc_chain *chain;
	unsigned instance;
	const char *cv;
	uint64_t seconds;
	struct buf names; /* for h= */
	struct buf results, signature, seal;
	EVP_MD_CTX *hash;
};

static const char no_memory[] = "there is no memory to seal it";

/* -- the message */

static bool
is_cut(const struct arc_message *m, struct slice field)
{
	uint64_t at = (uint64_t)(field.at - m->message.at);

	for (size_t i = 0; i < m->n_cuts; i++)
		if (at >= m->cuts[i].at && at - m->cuts[i].at < m->cuts[i].len)
			return true;
	return false;
}

static int
read_fields(struct work *w, struct slice text, bool cut)
{
	struct mime_field f;

	while (text.len > 0 && mime_field_next(&text, &f)) {
		if (cut && is_cut(w->m, f.whole))
			continue;
		if (w->n_fields == MIME_FIELDS_MAX)
			return -1;
		w->fields[w->n_fields++] = f;
	}
	w->body = text;
	return 0;
}

/* Pieces of the converted message until its header is whole. */
static int
read_converted(struct work *w, struct seven *seven)
{
	struct slice piece;

	seven_rewind(seven, w->m->cuts, w->m->n_cuts);
	while ((piece = seven_next(seven)).len > 0) {
		size_t from = w->head.len > 3 ? w->head.len - 3 : 0;

		if (buf_slice(&w->head, piece) == -1)
			return -1;
		if (memmem(w->head.at + from, w->head.len - from, "\r\n\r\n", 4) != NULL)
			break;
	}
	return read_fields(w, buf_all(&w->head), false);
}

static int
read_message(struct work *w, struct seven *seven, struct err *err)
{
	const struct arc_message *m = w->m;
	const struct cut *last = m->n_cuts > 0 ? &m->cuts[m->n_cuts - 1] : NULL;

	if ((seven != NULL ? read_converted(w, seven) : read_fields(w, m->message, true)) == -1)
		return err_set(err, ERR_TEMPORARY, "its header is too long to be sealed");
	if (seven == NULL && last != NULL && last->at + last->len > m->message.len - w->body.len)
		return err_set(err, ERR_BUG, "a part of its body is left out");
	return 0;
}

/* -- which set is it? */

static int
not_sealed(struct err *err, const char *why)
{
	err_set(err, ERR_PERMANENT, "%s", why);
	return 0;
}

/* 1: w->instance and w->cv are set; 0: it is not sealed; -1. */
static int
find_place(struct work *w, struct err *err)
{
	bool ended;
	unsigned last = arc_chain_last(w->fields, w->n_fields, &ended);

	if (w->m->chain == CHAIN_UNKNOWN)
		return not_sealed(err, "its chain of seals could not be verified");
	if (ended || w->m->chain == CHAIN_ENDED)
		return not_sealed(err, "its last seal says that the chain is broken");
	if (last >= ARC_SETS_MAX)
		return not_sealed(err, "it bears 50 sets, and there may be no more");
	w->instance = last + 1;
	w->cv = "fail";
	if (w->m->chain == CHAIN_NONE && last == 0)
		w->cv = "none";
	if (w->m->chain != CHAIN_PASS)
		return last == 0 && w->cv[0] == 'f' ? not_sealed(err, "its chain names no set") : 1;
	if (arc_chain_read(w->fields, w->n_fields, w->chain) != ARC_WELL_FORMED)
		return err_set(err, ERR_BUG, "its chain is not the one that was verified");
	w->cv = "pass";
	return 1;
}

/* -- the fields */

static int
put_results(struct work *w, struct err *err)
{
	struct slice rest = w->m->prefix;
	struct mime_field f;

	while (rest.len > 0 && mime_field_next(&rest, &f))
		if (slice_eq_nocase(f.name, SLICE("Authentication-Results"))) {
			buf_printf(&w->results, "ARC-Authentication-Results: i=%u; ", w->instance);
			buf_slice(&w->results, slice_trim(f.value));
			buf_text(&w->results, "\r\n");
			return 0;
		}
	return err_set(err, ERR_BUG, "there are no results to be sealed");
}

/* A name for h=, as often as its fields are there; on a new line when the old one is full. */
static void
put_names(struct work *w, const char *name, bool once_more, size_t *line)
{
	unsigned n = once_more ? 1 : 0;

	for (size_t i = 0; i < w->n_fields && n < SAME_MAX; i++)
		n += slice_eq_nocase(slice_trim(w->fields[i].name), slice_of(name));
	for (; n > 0; n--) {
		if (w->names.len > 0)
			buf_char(&w->names, ':');
		if (*line + strlen(name) > LINE) {
			buf_text(&w->names, "\r\n\t");
			*line = 8;
		}
		buf_text(&w->names, name);
		*line += strlen(name) + 1;
	}
}

static void
put_base64(struct buf *out, const unsigned char *bytes, size_t n)
{
	struct buf text;
	struct slice rest;

	buf_init(&text, 2 * SIGNATURE_MAX);
	if (base64_encode(&text, (struct slice){ (const char *)bytes, n }) == -1)
		out->failed = true;
	for (rest = buf_all(&text); rest.len > 0; rest = slice_skip(rest, LINE - 8)) {
		buf_text(out, "\r\n\t");
		buf_slice(out, slice_first(rest, LINE - 8));
	}
	buf_free(&text);
}

/* The digest that w->hash holds, signed, behind the "b=" at the end of the field. */
static int
finish(struct work *w, struct buf *field, struct err *err)
{
	unsigned char digest[DIGEST_SIZE], signature[SIGNATURE_MAX];
	size_t len = sizeof(signature);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(w->with->key, NULL);
	bool good = ctx != NULL && EVP_DigestFinal_ex(w->hash, digest, NULL) == 1 &&
		    EVP_PKEY_sign_init(ctx) == 1 &&
		    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		    EVP_PKEY_sign(ctx, signature, &len, digest, sizeof(digest)) == 1;

	EVP_PKEY_CTX_free(ctx);
	if (!good)
		return err_set(err, ERR_TEMPORARY, "sealing for %s with %s failed", w->with->domain,
		    w->with->selector);
	put_base64(field, signature, len);
	buf_text(field, "\r\n");
	return field->failed ? err_set(err, ERR_TEMPORARY, "the set is too long") : 0;
}

static int
hash_body(struct work *w, struct seven *seven, unsigned char digest[static DIGEST_SIZE])
{
	struct canon_body body;
	struct slice piece;

	if (EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL) != 1)
		return -1;
	canon_body_begin(&body, w->hash, CANON_RELAXED);
	canon_body_add(&body, w->body);
	while (seven != NULL && (piece = seven_next(seven)).len > 0)
		canon_body_add(&body, piece);
	canon_body_end(&body);
	return EVP_DigestFinal_ex(w->hash, digest, NULL) == 1 ? 0 : -1;
}

static int
put_signature(struct work *w, struct seven *seven, struct err *err)
{
	unsigned char digest[DIGEST_SIZE];
	struct buf *f = &w->signature;
	size_t line = 10;

	if (hash_body(w, seven, digest) == -1)
		return err_set(err, ERR_TEMPORARY, no_memory);
	for (const char *const *name = dkim_signed_fields(); *name != NULL; name++)
		put_names(w, *name, strcmp(*name, "from") == 0, &line);
	put_names(w, "dkim-signature", false, &line);
	buf_printf(f,
	    "ARC-Message-Signature: i=%u; a=rsa-sha256; c=relaxed/relaxed;\r\n\td=%s; s=%s; "
	    "t=%llu;\r\n\th=",
	    w->instance, w->with->domain, w->with->selector, (unsigned long long)w->seconds);
	buf_slice(f, buf_all(&w->names));
	buf_text(f, ";\r\n\tbh=");
	base64_encode(f, (struct slice){ (const char *)digest, sizeof(digest) });
	buf_text(f, ";\r\n\tb=");
	if (f->failed || w->names.failed || EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL) != 1)
		return err_set(err, ERR_TEMPORARY, no_memory);
	arc_hash_fields(w->hash, w->fields, w->n_fields, buf_all(&w->names), CANON_RELAXED);
	canon_signature(w->hash, buf_all(f), CANON_RELAXED);
	return finish(w, f, err);
}

static int
put_seal(struct work *w, struct err *err)
{
	struct slice none = { NULL, 0 };

	buf_printf(&w->seal,
	    "ARC-Seal: i=%u; a=rsa-sha256; t=%llu; cv=%s;\r\n\td=%s; s=%s;\r\n\tb=", w->instance,
	    (unsigned long long)w->seconds, w->cv, w->with->domain, w->with->selector);
	if (w->seal.failed || EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL) != 1)
		return err_set(err, ERR_TEMPORARY, no_memory);
	for (size_t i = 0; i < w->chain->n; i++)
		arc_hash_set(w->hash, w->chain->sets[i].results->whole,
		    w->chain->sets[i].signature->whole, w->chain->sets[i].seal->whole);
	arc_hash_set(w->hash, buf_all(&w->results), buf_all(&w->signature), none);
	canon_signature(w->hash, buf_all(&w->seal), CANON_RELAXED);
	return finish(w, &w->seal, err);
}

/* -- all of it */

static int
work(struct work *w, struct seven *seven, struct err *err)
{
	int place;

	if (w->fields == NULL || w->chain == NULL || w->hash == NULL)
		return err_set(err, ERR_TEMPORARY, no_memory);
	if (read_message(w, seven, err) == -1)
		return -1;
	place = find_place(w, err);
	if (place != 1)
		return place;
	if (put_results(w, err) == -1 || put_signature(w, seven, err) == -1 ||
	    put_seal(w, err) == -1)
		return -1;
	return (int)w->instance;
}

int
arc_seal(const struct arc_sealer *with, const struct arc_message *m, struct seven *seven,
    int64_t now, struct buf *out, struct err *err)
{
	struct work w = { .with = with, .m = m, .seconds = (uint64_t)(now / 1000000) };
	int instance;

	w.fields = calloc(MIME_FIELDS_MAX, sizeof(*w.fields));
	w.chain = calloc(1, sizeof(*w.chain));
	w.hash = EVP_MD_CTX_new();
	buf_init(&w.head, HEADER_MAX);
	buf_init(&w.names, FIELD_MAX);
	buf_init(&w.results, FIELD_MAX);
	buf_init(&w.signature, FIELD_MAX);
	buf_init(&w.seal, FIELD_MAX);
	instance = work(&w, seven, err);
	if (instance > 0) {
		buf_slice(out, buf_all(&w.seal));
		buf_slice(out, buf_all(&w.signature));
		buf_slice(out, buf_all(&w.results));
		if (out->failed)
			instance = err_set(err, ERR_TEMPORARY, "the set is too long");
	}
	buf_free(&w.head);
	buf_free(&w.names);
	buf_free(&w.results);
	buf_free(&w.signature);
	buf_free(&w.seal);
	EVP_MD_CTX_free(w.hash);
	free(w.chain);
	free(w.fields);
	return instance;
}
