/* pubkey - the public key that a domain publishes for a selector (RFC 6376 3.6, 8301, 8463) */
#ifndef FILTERS_PUBKEY_H
#define FILTERS_PUBKEY_H

#include <openssl/evp.h>

#include "filters/judge.h"

#define PUBKEY_BITS_MIN 1024 /* of RSA; RFC 8301 3.2 */
#define PUBKEY_BITS_MAX 8192

enum pubkey_status {
	PUBKEY_WAITS, /* for DNS */
	PUBKEY_OK,
	PUBKEY_TEMPERROR,
	PUBKEY_WEAK, /* an RSA key that is too short */
	PUBKEY_NONE /* no key, a revoked or a useless one; *why says which */
};

/* Ask for it. `algorithm` is the signature's ("rsa-sha256", "ed25519-sha256"), which the key must fit.
 * EVP_PKEY_free() the key. */
enum pubkey_status pubkey_get(struct judge *j, struct slice selector, struct slice domain,
    struct slice algorithm, EVP_PKEY **key, const char **why);

#define DIGEST_SIZE 32 /* SHA-256 */
/* Is it the signature of this SHA-256 digest? */
bool pubkey_verifies(EVP_PKEY *key, const unsigned char digest[static DIGEST_SIZE],
    const unsigned char *signature, size_t len);

#endif
