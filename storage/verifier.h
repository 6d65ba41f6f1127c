/* verifier - what is kept of an app password: "{SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey"
 * (RFC 5802 3, RFC 7677), the form that Dovecot reads too
 *
 * It serves to check a password that was typed as well as a SCRAM proof. All app passwords of one
 * account have the same salt and iterations; see auth_scram.c for why. */
#ifndef STORAGE_VERIFIER_H
#define STORAGE_VERIFIER_H

#include "base/slice.h"

#define VERIFIER_SCHEME "{SCRAM-SHA-256}"
#define VERIFIER_KEY 32          /* bytes of each key */
#define VERIFIER_SALT 16         /* bytes of the salts made here */
#define VERIFIER_SALT_MAX 64     /* bytes of a salt that is read */
#define VERIFIER_ITERATIONS 4096 /* RFC 7677's least; the passwords are random */
#define VERIFIER_TEXT 320        /* the longest text with its NUL */

struct verifier {
	int iterations;
	size_t salt_len;
	unsigned char salt[VERIFIER_SALT_MAX];
	unsigned char stored[VERIFIER_KEY], server[VERIFIER_KEY];
};

/* false: it is no verifier. */
bool verifier_read(const char *hash, struct verifier *v);
void verifier_text(const struct verifier *v, char out[static VERIFIER_TEXT]);
/* Make both keys of a password from v's salt and iterations (some ms). false: the library fails. */
bool verifier_keys(struct verifier *v, const char *password);
/* Do both have the same salt and iterations? */
bool verifier_same_salt(const struct verifier *a, const struct verifier *b);
/* Decode padded base 64 of at most 128 bytes; the length, or -1 when it is none or longer than `size`. */
int verifier_base64(struct slice text, unsigned char *out, size_t size);

#endif
