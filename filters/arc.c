/* arc - verifying a chain (RFC 8617 5.2)
 *
 * The last message signature covers the text as the last hop sent it on; every seal covers all sets up
 * to its own. All keys are asked for before anything is hashed. The result is none, pass or fail; when a
 * key could not be looked up it is fail, with words, since the field has no other.
 *
 * Costs: at most 51 signatures, the body is hashed once; a chain is verified once a message. */
#include "filters/arc.h"

#include <string.h>

#include "filters/arc_chain.h"
#include "filters/arc_hash.h"
#include "filters/check.h"
#include "filters/pubkey.h"

#define SIGNATURE_MAX 1024        /* bytes: RSA of 8192 bits */
#define KEYS_MAX 12               /* of different keys asked for one message */

struct keys { /* one for each seal, and that of the last message signature */
	EVP_PKEY *at[ARC_SETS_MAX + 1];
	size_t n;
};

/* -- keys */

static void
free_keys(struct keys *k)
{
	while (k->n > 0)
		EVP_PKEY_free(k->at[--k->n]);
}

static enum pubkey_status
get_key(struct judge *j, const struct tags *tags, struct keys *keys, const char **why)
{
	return pubkey_get(j, tags_get(tags, "s"), tags_get(tags, "d"), tags_get(tags, "a"),
	    &keys->at[keys->n++], why);
}

static bool
same_key(const struct tags *a, const struct tags *b)
{
	return slice_eq_nocase(tags_get(a, "s"), tags_get(b, "s")) &&
	       slice_eq_nocase(tags_get(a, "d"), tags_get(b, "d"));
}

/* So many that looking for them all would use up what one message may ask? */
static bool
too_many_keys(const struct arc_chain *c)
{
	size_t different = 0;

	for (size_t i = 0; i < c->n; i++) {
		bool seen = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = same_key(&c->sets[i].seal_tags, &c->sets[k].seal_tags);
		different += !seen;
	}
	return different >= KEYS_MAX;
}

/* All of them; PUBKEY_OK, or the first trouble. What was got is in `keys`. */
static enum pubkey_status
get_keys(struct judge *j, const struct arc_chain *c, struct keys *keys, const char **why)
{
	enum pubkey_status worst = get_key(j, &c->sets[c->n - 1].signature_tags, keys, why);

	for (size_t i = 0; i < c->n; i++) {
		const char *text;
		enum pubkey_status status = get_key(j, &c->sets[i].seal_tags, keys, &text);

		if (status == PUBKEY_WAITS || (worst == PUBKEY_OK && status != PUBKEY_OK)) {
			worst = status;
			*why = text;
		}
	}
	return worst;
}

/* -- signatures */

static bool
verify(EVP_PKEY *key, EVP_MD_CTX *hash, const struct tags *tags)
{
	unsigned char digest[DIGEST_SIZE], signature[SIGNATURE_MAX];
	ptrdiff_t n = tags_base64(tags_get(tags, "b"), signature, sizeof(signature));

	return n > 0 && EVP_DigestFinal_ex(hash, digest, NULL) == 1 &&
	       pubkey_verifies(key, digest, signature, (size_t)n);
}

/* "relaxed/simple", either half or both may be left out (RFC 6376 3.5 "c="). false: unknown words. */
static bool
read_canon(const struct tags *tags, enum canon *header, enum canon *body)
{
	static const char *const names[] = {
		[CANON_SIMPLE] = "simple", [CANON_RELAXED] = "relaxed"
	};
	struct slice c = tags_get(tags, "c"), first = slice_cut(&c, '/');
	bool known_header = first.at == NULL, known_body = c.at == NULL;

	*header = *body = CANON_SIMPLE;
	for (size_t i = 0; i < COUNT(names); i++) {
		if (slice_eq(first, slice_of(names[i]))) {
			*header = (enum canon)i;
			known_header = true;
		}
		if (slice_eq(c, slice_of(names[i]))) {
			*body = (enum canon)i;
			known_body = true;
		}
	}
	return known_header && known_body;
}

static bool
body_fits(struct judge *j, EVP_MD_CTX *hash, const struct tags *tags, enum canon canon)
{
	unsigned char digest[DIGEST_SIZE], said[DIGEST_SIZE];

	if (tags_base64(tags_get(tags, "bh"), said, sizeof(said)) != DIGEST_SIZE ||
	    EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
		return false;
	canon_body(hash, j->content, canon);
	return EVP_DigestFinal_ex(hash, digest, NULL) == 1 &&
	       memcmp(digest, said, sizeof(digest)) == 0;
}

static bool
signature_fits(struct judge *j, EVP_MD_CTX *hash, const struct arc_set *set, EVP_PKEY *key)
{
	const struct tags *tags = &set->signature_tags;
	enum canon header, body;

	if (!read_canon(tags, &header, &body) || !body_fits(j, hash, tags, body) ||
	    EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1 ||
	    !arc_hash_fields(hash, j->fields, j->n_fields, tags_get(tags, "h"), header))
		return false;
	canon_signature(hash, set->signature->whole, header);
	return verify(key, hash, tags);
}

static bool
seal_fits(EVP_MD_CTX *hash, const struct arc_chain *c, size_t last, EVP_PKEY *key)
{
	if (EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
		return false;
	for (size_t i = 0; i <= last; i++)
		arc_hash_set(hash, c->sets[i].results->whole, c->sets[i].signature->whole,
		    i < last ? c->sets[i].seal->whole : (struct slice){ NULL, 0 });
	canon_signature(hash, c->sets[last].seal->whole, CANON_RELAXED);
	return verify(key, hash, &c->sets[last].seal_tags);
}

/* What is wrong with the signatures; NULL: nothing. */
static const char *
verify_chain(struct judge *j, const struct arc_chain *c, const struct keys *keys)
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	const char *why = NULL;

	if (hash == NULL)
		return "there is no memory to verify it";
	if (!signature_fits(j, hash, &c->sets[c->n - 1], keys->at[0]))
		why = "the text was changed after its last seal";
	for (size_t i = c->n; why == NULL && i-- > 0;)
		if (!seal_fits(hash, c, i, keys->at[i + 1]))
			why = "a seal does not fit";
	EVP_MD_CTX_free(hash);
	return why;
}

/* -- the check */

/* With the client's address, which those behind us cannot see (RFC 8617 10.2). */
static void
tell_method(struct judge *j, const char *result, const char *more)
{
	const char *ip = j->facts.ip, *line;

	line = pool_printf(j->pool, "arc=%s%s%s%s", result, more, ip[0] != '\0' ? " smtp.remote-ip=" : "",
	    ip[0] != '\0' ? judge_quote(j, ip) : "");
	if (line != NULL)
		judge_method(j, line);
}

static enum check_status
tell(struct judge *j, const char *result, const char *text, const char *reason)
{
	judge_hit(j, "arc", result, NULL, 0, "%s%s%s", text, reason[0] != '\0' ? ": " : "", reason);
	tell_method(j, result, judge_reason(j, reason));
	return CHECK_DONE;
}

static enum check_status
tell_pass(struct judge *j, const struct arc_chain *c)
{
	struct slice sealer = tags_get(&c->sets[c->n - 1].seal_tags, "d");
	const char *name = judge_clean(j, sealer, 253),
		   *comment = pool_printf(j->pool, " (%zu seals, the last of %s)", c->n, name);

	judge_hit(j, "arc", "pass", NULL, 0, "The chain of %zu seals is whole, the last is of %s",
	    c->n, name);
	tell_method(j, "pass", comment != NULL ? comment : "");
	j->arc_passed = true;
	j->chain = CHAIN_PASS;
	return CHECK_DONE;
}

/* Read once, however often the check is run. */
static enum arc_form
read_chain(struct judge *j)
{
	if (j->arc == NULL) {
		j->arc = pool_alloc(j->pool, sizeof(*j->arc));
		if (j->arc != NULL)
			j->arc->form = arc_chain_read(j->fields, j->n_fields, j->arc);
	}
	return j->arc == NULL ? ARC_NO_MEMORY : j->arc->form;
}

enum check_status
check_arc(struct judge *j)
{
	struct keys keys = { .n = 0 };
	enum pubkey_status status;
	const char *why;

	j->chain = CHAIN_UNKNOWN;
	switch (read_chain(j)) {
	case ARC_NO_MEMORY:
		return tell(j, "fail", "The ARC chain is not verified", "out of memory");
	case ARC_NO_CHAIN:
		j->chain = CHAIN_NONE;
		return tell(j, "none", "The message bears no ARC seals", "");
	case ARC_ENDED:
		j->chain = CHAIN_ENDED;
		return tell(
		    j, "none", "The last ARC seal says that the chain before it is broken", "");
	case ARC_MALFORMED:
		j->chain = CHAIN_FAIL;
		return tell(j, "fail", "The ARC chain is broken", j->arc->why);
	case ARC_WELL_FORMED:
		break;
	}
	if (too_many_keys(j->arc))
		return tell(j, "fail", "The ARC chain is not verified", "it has too many keys");
	status = get_keys(j, j->arc, &keys, &why);
	if (status == PUBKEY_OK)
		why = verify_chain(j, j->arc, &keys);
	free_keys(&keys);
	if (status == PUBKEY_WAITS)
		return CHECK_WAIT;
	if (why == NULL)
		return tell_pass(j, j->arc);
	/* what DNS did not tell may be told to the next one */
	if (status != PUBKEY_TEMPERROR)
		j->chain = CHAIN_FAIL;
	return tell(j, "fail", "The ARC chain is broken", why);
}

const char *
arc_vouches(struct judge *j, const char *author)
{
	const struct conf_strings *trusted = &j->conf->arc.trusted;
	const struct arc_chain *c = j->arc;

	for (size_t i = j->arc_passed ? c->n : 0; i-- > 0;) {
		struct slice sealer = tags_get(&c->sets[i].seal_tags, "d");
		bool known = false;

		for (size_t k = 0; k < trusted->n && !known; k++)
			known = slice_eq_nocase(sealer, slice_of(trusted->at[k]));
		if (!known) /* from here on it may have been anybody's text */
			return NULL;
		if (arc_saw_dmarc_pass(&c->sets[i], author))
			return judge_clean(j, sealer, 253);
	}
	return NULL;
}
