/* auth_scram - the server's side of one SCRAM-SHA-256 exchange
 *
 * Why this is not left to libgsasl, which speaks PLAIN and LOGIN here: its server (2.2.0) refuses
 * every binding but tls-exporter and tls-unique, so that clients on TLS 1.2 or with libraries that
 * know tls-server-end-point only would have none; and it asks for one StoredKey before it reads the
 * proof.
 *
 * Which of eight app passwords the client holds it does not say, and it must be given one salt before
 * it shows anything. So all app passwords of an account share salt and iterations: then the same
 * proof can be held against every kept key, each a hash and an HMAC. Sharing costs nothing, since the
 * passwords are random: no table can be made for them, with one salt or eight. It is one salt an
 * account, never one for all. A main password is kept by crypt(3), from which no SCRAM key can be
 * had; an exchange meant for it ends like one with a wrong password.
 *
 * PLUS is offered wherever SCRAM is, so a client that says "y" (I could bind, but you cannot) was
 * lied to about our mechanisms and is refused (RFC 5802 6). */
#include "storage/auth_scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NONCES_MAX (2 * SCRAM_NONCE_MAX)

struct scram {
	bool plus;
	unsigned char exporter[SCRAM_BINDING_MAX], end_point[SCRAM_BINDING_MAX];
	size_t exporter_len, end_point_len;
	char user[SCRAM_MESSAGE_MAX];
	char nonce[NONCES_MAX + 1]; /* the client's, then with ours behind */
	struct buf binding;         /* what "c=" must hold, decoded */
	struct buf said;            /* AuthMessage, as it grows */
	struct verifier salt;       /* as it was told */
	unsigned char proof[VERIFIER_KEY];
};

static size_t
keep(unsigned char out[SCRAM_BINDING_MAX], struct slice s)
{
	if (s.len == 0 || s.len > SCRAM_BINDING_MAX)
		return 0;
	memcpy(out, s.at, s.len);
	return s.len;
}

struct scram *
scram_new(bool plus, const struct scram_bindings *bindings)
{
	struct scram *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->plus = plus;
	s->exporter_len = keep(s->exporter, bindings->exporter);
	s->end_point_len = keep(s->end_point, bindings->end_point);
	buf_init(&s->binding, SCRAM_MESSAGE_MAX + SCRAM_BINDING_MAX);
	buf_init(&s->said, 4 * SCRAM_MESSAGE_MAX);
	return s;
}

void
scram_free(struct scram **sp)
{
	struct scram *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	buf_free(&s->binding);
	buf_free(&s->said);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
}

const char *
scram_user(const struct scram *s)
{
	return s->user;
}

/* -- the pieces of a message */

/* The value of the attribute at the front, which must be `name`; *rest moves on. */
static bool
take(struct slice *rest, char name, struct slice *value)
{
	struct slice one = slice_cut(rest, ',');

	if (one.len < 2 || one.at[0] != name || one.at[1] != '=')
		return false;
	*value = slice_skip(one, 2);
	return true;
}

/* A name, in which "," is written =2C and "=" is =3D. */
static bool
name_read(struct slice text, char *out, size_t size)
{
	size_t n = 0;

	while (text.len > 0 && n + 1 < size) {
		char c = text.at[0];
		size_t used = 1;

		if (c == '\0')
			return false;
		if (c == '=') {
			used = 3;
			if (slice_starts(text, SLICE("=2C")))
				c = ',';
			else if (!slice_starts(text, SLICE("=3D")))
				return false;
		}
		out[n++] = c;
		text = slice_skip(text, used);
	}
	out[n] = '\0';
	return n > 0 && text.len == 0;
}

static bool
nonce_ok(struct slice nonce, size_t most)
{
	if (nonce.len == 0 || nonce.len > most)
		return false;
	for (size_t i = 0; i < nonce.len; i++)
		if (nonce.at[i] < 0x21 || nonce.at[i] > 0x7e || nonce.at[i] == ',')
			return false;
	return true;
}

/* Extensions behind the nonce are letters with a value that we need not know; "m" must be known, and
 * nobody has said what it means. */
static bool
extensions_ok(struct slice rest)
{
	while (rest.at != NULL) {
		struct slice one = slice_cut(&rest, ',');

		if (one.len < 3 || one.at[1] != '=' || one.at[0] == 'm' ||
		    !(((one.at[0] | 0x20) >= 'a') && ((one.at[0] | 0x20) <= 'z')))
			return false;
	}
	return true;
}

/* -- the first message */

/* "p=tls-exporter" and its like, or "n"; then what "c=" must be is known. */
static bool
flag_read(struct scram *s, struct slice flag, struct slice header)
{
	buf_slice(&s->binding, header);
	if (!s->plus)
		return slice_eq(flag, SLICE("n"));
	if (slice_eq(flag, SLICE("p=tls-exporter")) && s->exporter_len > 0)
		return buf_append(&s->binding, s->exporter, s->exporter_len) == 0;
	if (slice_eq(flag, SLICE("p=tls-server-end-point")) && s->end_point_len > 0)
		return buf_append(&s->binding, s->end_point, s->end_point_len) == 0;
	return false;
}

int
scram_first(struct scram *s, struct slice message)
{
	struct slice rest = message, flag, other, user, nonce;
	char acts_as[SCRAM_MESSAGE_MAX];

	if (message.len > SCRAM_MESSAGE_MAX)
		return -1;
	flag = slice_cut(&rest, ',');
	other = slice_cut(&rest, ',');
	if (rest.at == NULL ||
	    !flag_read(s, flag, slice_first(message, (size_t)(rest.at - message.at))))
		return -1;
	buf_slice(&s->said, rest);
	if (!take(&rest, 'n', &user) || !name_read(user, s->user, sizeof(s->user)) ||
	    !take(&rest, 'r', &nonce) || !nonce_ok(nonce, SCRAM_NONCE_MAX) || !extensions_ok(rest))
		return -1;
	slice_copy(nonce, s->nonce, sizeof(s->nonce));
	/* "a=" with nothing behind it is not quite legal, but written by GNU SASL's client */
	if (other.len == 0 || slice_eq(other, SLICE("a=")))
		return 0;
	/* nobody acts as another here */
	return slice_starts(other, SLICE("a=")) &&
		       name_read(slice_skip(other, 2), acts_as, sizeof(acts_as)) &&
		       strcasecmp(acts_as, s->user) == 0
		   ? 0
		   : -1;
}

int
scram_challenge(struct scram *s, const struct verifier *salt, const char *nonce, struct buf *out)
{
	unsigned char text[VERIFIER_SALT_MAX * 2];
	size_t had = strlen(s->nonce);

	if (!nonce_ok(slice_of(nonce), NONCES_MAX - had))
		return -1;
	strcpy(s->nonce + had, nonce);
	s->salt = *salt;
	EVP_EncodeBlock(text, salt->salt, (int)salt->salt_len);
	buf_reset(out);
	buf_printf(out, "r=%s,s=%s,i=%d", s->nonce, (char *)text, salt->iterations);
	buf_char(&s->said, ',');
	buf_slice(&s->said, buf_all(out));
	return out->failed || s->said.failed ? -1 : 0;
}

/* -- the last message */

/* Is it what must be in "c="? Compared as text: base 64 has but one right form. */
static bool
binding_ok(const struct scram *s, struct slice value)
{
	unsigned char text[2 * (SCRAM_MESSAGE_MAX + SCRAM_BINDING_MAX)];
	int n;

	if (s->binding.failed)
		return false;
	n = EVP_EncodeBlock(text, (const unsigned char *)s->binding.at, (int)s->binding.len);
	return value.len == (size_t)n && CRYPTO_memcmp(value.at, text, value.len) == 0;
}

int
scram_final(struct scram *s, struct slice message)
{
	ptrdiff_t last = slice_find_last(message, ',');
	struct slice without, proof, binding, nonce;

	if (message.len > SCRAM_MESSAGE_MAX || last < 0)
		return -1;
	without = slice_first(message, (size_t)last);
	proof = slice_skip(message, (size_t)last + 1);
	buf_char(&s->said, ',');
	buf_slice(&s->said, without);
	if (s->said.failed || !take(&without, 'c', &binding) || !take(&without, 'r', &nonce) ||
	    !extensions_ok(without) || !slice_starts(proof, SLICE("p=")))
		return -1;
	if (!binding_ok(s, binding) || !slice_eq(nonce, slice_of(s->nonce)))
		return -1;
	return verifier_base64(slice_skip(proof, 2), s->proof, VERIFIER_KEY) == VERIFIER_KEY ? 0
											     : -1;
}

static bool
sign(const struct scram *s, const unsigned char key[VERIFIER_KEY], unsigned char out[VERIFIER_KEY])
{
	unsigned len = VERIFIER_KEY;

	return HMAC(EVP_sha256(), key, VERIFIER_KEY, (const unsigned char *)s->said.at, s->said.len,
		   out, &len) != NULL;
}

/* RFC 5802 3: ClientKey = ClientProof XOR ClientSignature, and its hash must be StoredKey. */
static bool
proves(const struct scram *s, const struct verifier *v)
{
	unsigned char key[VERIFIER_KEY], stored[VERIFIER_KEY];
	bool same;

	if (!sign(s, v->stored, key))
		return false;
	for (size_t i = 0; i < VERIFIER_KEY; i++)
		key[i] ^= s->proof[i];
	SHA256(key, VERIFIER_KEY, stored);
	same = CRYPTO_memcmp(stored, v->stored, VERIFIER_KEY) == 0;
	OPENSSL_cleanse(key, sizeof(key));
	return same;
}

int
scram_prove(struct scram *s, const struct password_set *set, struct buf *out)
{
	unsigned char signature[VERIFIER_KEY], text[64];
	struct verifier kept, fits;
	int slot = -1;

	for (int i = 0; i < PASSWORD_APPS_MAX; i++) {
		bool there;

		memset(&kept, 0, sizeof(kept));
		there = verifier_read(set->apps[i], &kept) && verifier_same_salt(&kept, &s->salt);
		if (proves(s, &kept) && there) {
			slot = i + 1;
			fits = kept;
		}
	}
	OPENSSL_cleanse(&kept, sizeof(kept));
	if (slot == -1)
		return -1;
	buf_reset(out);
	if (sign(s, fits.server, signature)) {
		EVP_EncodeBlock(text, signature, VERIFIER_KEY);
		buf_printf(out, "v=%s", (char *)text);
	}
	OPENSSL_cleanse(&fits, sizeof(fits));
	return out->len > 0 && !out->failed ? slot : -1;
}
