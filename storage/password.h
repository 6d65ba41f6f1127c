/* password - how passwords are kept, made and checked
 *
 * A main password is "{CRYPT}$y$..." (yescrypt), slow on purpose. An app password is random (140
 * bits), so a cheap check is safe:
 * "{SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey" (RFC 5802, RFC 7677), as Dovecot keeps it.
 * All calls may run in any thread; the slow ones say so. */
#ifndef STORAGE_PASSWORD_H
#define STORAGE_PASSWORD_H

#include "base/err.h"
#include "storage/verifier.h"

#define PASSWORD_MAX 256       /* bytes of a password */
#define PASSWORD_HASH_SIZE 512 /* a hash with its {SCHEME} and the NUL */
#define PASSWORD_APP_SIZE 35   /* "xxxx-xxxx-xxxx-xxxx-xxxx-xxxx-xxxx" */
#define PASSWORD_APPS_MAX 8

/* May it be set? ERR_USAGE says why not. */
int password_acceptable(const char *password, struct err *err);
/* Hash a main password (slow: some 80 ms). */
int password_hash(const char *password, char out[static PASSWORD_HASH_SIZE], struct err *err);
/* Is it a hash that this program can check? For hashes brought from elsewhere. ERR_USAGE. */
int password_hash_known(const char *hash, struct err *err);
/* A new app password. */
int password_app_make(char out[static PASSWORD_APP_SIZE], struct err *err);
/* Its hash, with the salt and iterations of `salt`: the same for all of an account, so that one check
 * serves all. */
int password_app_hash(const char *password, const struct verifier *salt,
    char out[static PASSWORD_HASH_SIZE], struct err *err);
/* Does it look like an app password? */
bool password_app_form(const char *password);

/* What one account may log in with; unused fields are "". */
struct password_set {
	char main[PASSWORD_HASH_SIZE];
	char apps[PASSWORD_APPS_MAX][PASSWORD_HASH_SIZE];
};
/* Which slot does the password open: 0 the main one, 1.. an app's, -1 none (slow). The work is the
 * same for an empty set, so time does not tell whether an account exists. */
int password_check(const struct password_set *set, const char *password);

#endif
