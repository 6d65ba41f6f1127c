/* verifier - what is kept of an app password
 *
 * Texts come from our own database or from one that was brought along, so they are read with care:
 * a salt or a number of iterations out of bounds is no verifier. */
#include "storage/verifier.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define ITERATIONS_MAX 1000000

int
verifier_base64(struct slice text, unsigned char *out, size_t size)
{
	unsigned char space[129];
	int n;

	if (text.len == 0 || text.len % 4 != 0 || text.len / 4 * 3 > sizeof(space))
		return -1;
	n = EVP_DecodeBlock(space, (const unsigned char *)text.at, (int)text.len);
	if (n < 0)
		return -1;
	n -= text.at[text.len - 1] == '=';
	n -= text.at[text.len - 2] == '=';
	if ((size_t)n > size)
		return -1;
	memcpy(out, space, (size_t)n);
	OPENSSL_cleanse(space, sizeof(space));
	return n;
}

bool
verifier_read(const char *hash, struct verifier *v)
{
	struct slice rest = slice_of(hash);
	uint64_t iterations;
	int salt_len;

	if (!slice_starts_nocase(rest, SLICE(VERIFIER_SCHEME)))
		return false;
	rest = slice_skip(rest, sizeof(VERIFIER_SCHEME) - 1);
	if (!slice_to_u64(slice_cut(&rest, ','), &iterations) || iterations < 1 ||
	    iterations > ITERATIONS_MAX)
		return false;
	v->iterations = (int)iterations;
	salt_len = verifier_base64(slice_cut(&rest, ','), v->salt, sizeof(v->salt));
	v->salt_len = (size_t)salt_len;
	return salt_len > 0 &&
	       verifier_base64(slice_cut(&rest, ','), v->stored, VERIFIER_KEY) == VERIFIER_KEY &&
	       verifier_base64(rest, v->server, VERIFIER_KEY) == VERIFIER_KEY;
}

void
verifier_text(const struct verifier *v, char out[static VERIFIER_TEXT])
{
	unsigned char salt[VERIFIER_SALT_MAX * 2], stored[64], server[64];

	EVP_EncodeBlock(salt, v->salt, (int)v->salt_len);
	EVP_EncodeBlock(stored, v->stored, VERIFIER_KEY);
	EVP_EncodeBlock(server, v->server, VERIFIER_KEY);
	snprintf(
	    out, VERIFIER_TEXT, VERIFIER_SCHEME "%d,%s,%s,%s", v->iterations, salt, stored, server);
}

bool
verifier_keys(struct verifier *v, const char *password)
{
	unsigned char salted[VERIFIER_KEY], client[VERIFIER_KEY];
	unsigned len = VERIFIER_KEY;
	bool ok = PKCS5_PBKDF2_HMAC(password, -1, v->salt, (int)v->salt_len, v->iterations,
		      EVP_sha256(), VERIFIER_KEY, salted) == 1 &&
		  HMAC(EVP_sha256(), salted, VERIFIER_KEY, (const unsigned char *)"Client Key", 10,
		      client, &len) != NULL &&
		  HMAC(EVP_sha256(), salted, VERIFIER_KEY, (const unsigned char *)"Server Key", 10,
		      v->server, &len) != NULL &&
		  SHA256(client, VERIFIER_KEY, v->stored) != NULL;

	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(client, sizeof(client));
	return ok;
}

bool
verifier_same_salt(const struct verifier *a, const struct verifier *b)
{
	return a->iterations == b->iterations && a->salt_len == b->salt_len &&
	       memcmp(a->salt, b->salt, a->salt_len) == 0;
}
