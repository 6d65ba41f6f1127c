/* pubkey - key records: from DNS to a key that can verify
 *
 * A key is text of a stranger: its record is bounded before it is decoded, and its size before it is
 * used. */
#include "filters/pubkey.h"

#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "filters/tags.h"

#define RECORD_MAX 4096
#define ED25519_SIZE 32

/* Does a list like "sha1:sha256" (or "*") name it? A list that is not there names everything. */
static bool
list_names(struct slice list, const char *word)
{
	if (list.at == NULL)
		return true;
	while (list.at != NULL) {
		struct slice one = slice_trim(slice_cut(&list, ':'));

		if (slice_eq(one, slice_of(word)) || slice_eq(one, SLICE("*")))
			return true;
	}
	return false;
}

static EVP_PKEY *
decode_rsa(const unsigned char *der, size_t n)
{
	const unsigned char *at = der;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)n);

	if (key == NULL) {
		/* the bare form that RFC 6376 3.6.1 names */
		at = der;
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)n);
	}
	if (key != NULL && EVP_PKEY_base_id(key) != EVP_PKEY_RSA) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

static EVP_PKEY *
decode(struct slice kind, struct slice p, bool *weak, const char **why)
{
	unsigned char der[RECORD_MAX];
	ptrdiff_t n = tags_base64(p, der, sizeof(der));
	EVP_PKEY *key = NULL;

	*why = "the key cannot be read";
	if (p.len == 0)
		*why = "the key was revoked";
	if (n <= 0)
		return NULL;
	if (slice_eq(kind, SLICE("ed25519")))
		return n == ED25519_SIZE
			   ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, der, (size_t)n)
			   : NULL;
	key = decode_rsa(der, (size_t)n);
	if (key != NULL &&
	    (EVP_PKEY_bits(key) < PUBKEY_BITS_MIN || EVP_PKEY_bits(key) > PUBKEY_BITS_MAX)) {
		*weak = EVP_PKEY_bits(key) < PUBKEY_BITS_MIN;
		*why = *weak ? "the key is too short" : "the key is too long";
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

static EVP_PKEY *
read_record(struct slice text, struct slice algorithm, bool *weak, const char **why)
{
	struct slice kind, version;
	struct tags tags;

	*why = "the key record is malformed";
	if (text.len == 0 || text.len > RECORD_MAX || !tags_read(text, &tags))
		return NULL;
	version = tags_get(&tags, "v");
	if (version.at != NULL &&
	    (!slice_eq(version, SLICE("DKIM1")) || !slice_eq(tags.at[0].name, SLICE("v"))))
		return NULL;
	kind = tags_have(&tags, "k") ? tags_get(&tags, "k") : SLICE("rsa");
	*why = "the key is not for this algorithm";
	if (!slice_eq(kind, slice_cut(&algorithm, '-')) ||
	    !list_names(tags_get(&tags, "h"), "sha256") ||
	    !list_names(tags_get(&tags, "s"), "email"))
		return NULL;
	return decode(kind, tags_get(&tags, "p"), weak, why);
}

enum pubkey_status
pubkey_get(struct judge *j, struct slice selector, struct slice domain, struct slice algorithm,
    EVP_PKEY **key, const char **why)
{
	const struct answer *a;
	char name[600];
	bool weak = false;

	*key = NULL;
	*why = "there is no such key";
	if (snprintf(name, sizeof(name), "%.*s._domainkey.%.*s", (int)selector.len, selector.at,
		(int)domain.len, domain.at) >= (int)sizeof(name))
		return PUBKEY_NONE;
	a = judge_dns(j, name, RR_TXT);
	if (a == NULL)
		return PUBKEY_WAITS;
	if (a->status == DNS_TEMPORARY) {
		*why = "DNS did not answer for the key";
		return PUBKEY_TEMPERROR;
	}
	if (a->status != DNS_OK)
		return PUBKEY_NONE;
	*why = "there are several keys";
	if (a->n == 1)
		*key = read_record(a->rdata[0], algorithm, &weak, why);
	return *key != NULL ? PUBKEY_OK : weak ? PUBKEY_WEAK : PUBKEY_NONE;
}

/* RSA takes the digest as that of the text, Ed25519 signs the digest itself (RFC 8463 3). */
static bool
rsa_verifies(EVP_PKEY *key, const unsigned char *digest, const unsigned char *signature, size_t len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool good = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
		    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		    EVP_PKEY_verify(ctx, signature, len, digest, DIGEST_SIZE) == 1;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

bool
pubkey_verifies(EVP_PKEY *key, const unsigned char digest[static DIGEST_SIZE],
    const unsigned char *signature, size_t len)
{
	EVP_MD_CTX *ctx;
	bool good;

	if (EVP_PKEY_base_id(key) == EVP_PKEY_RSA)
		return rsa_verifies(key, digest, signature, len);
	ctx = EVP_MD_CTX_new();
	good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	       EVP_DigestVerify(ctx, signature, len, digest, DIGEST_SIZE) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}
