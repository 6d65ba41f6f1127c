/* credentials - who may log in with what, kept in credentials.db
 *
 * An account is the full address of a user, with a main password (slot 0) and up to eight app
 * passwords (slots 1 to 8), and a switch. Dovecot reads the same file through the view
 * dovecot_passdb (user, slot, password, scope), which holds only what is enabled and not expired.
 */
#ifndef STORAGE_CREDENTIALS_H
#define STORAGE_CREDENTIALS_H

#include "storage/db.h"
#include "storage/password.h"

#define CREDENTIALS_LABEL_MAX 60 /* bytes */
#define CREDENTIALS_SCOPE_SIZE 64

extern const struct db_schema credentials_schema;

struct credentials;

/* Open credentials.db in the working directory. */
struct credentials *credentials_open(enum db_mode mode, struct err *err);
void credentials_close(struct credentials **c);
sqlite3 *credentials_db(struct credentials *c);

/* What an account may log in with for "smtp" at time `now` (us): 1 and *set, 0 no such account,
 * disabled or nothing valid (the set is empty then), -1 + err. `address` in its one form
 * (address.h). */
int credentials_find(struct credentials *c, const char *address, const char *scope, int64_t now,
    struct password_set *set, struct err *err);
/* The salt and iterations of the app passwords of `address`. They follow from the name and a secret of
 * this file, so that every name has some, always the same ones: they tell nobody whether the account
 * exists. (An account whose first app password was made before it was so keeps its random salt.) */
void credentials_salt(const struct credentials *c, const char *address, struct verifier *v);
/* Remember that a slot was used. */
int credentials_used(
    struct credentials *c, const char *address, int slot, int64_t now, struct err *err);

/* -- changing it; `hash` as password.h makes it */
int credentials_add(struct credentials *c, const char *address, const char *hash, struct err *err);
int credentials_set(struct credentials *c, const char *address, const char *hash, struct err *err);
int credentials_remove(struct credentials *c, const char *address, struct err *err);
int credentials_enable(struct credentials *c, const char *address, bool enabled, struct err *err);
struct credentials_app { /* an app password, without what is kept of it */
	int slot;
	char label[CREDENTIALS_LABEL_MAX + 1];
	char scope[CREDENTIALS_SCOPE_SIZE]; /* "" (all), or as ",smtp,imap," */
	int64_t expires;                    /* us, 0 never */
};
/* Make an app password. `label` "" is made up; `scope` is "" (all) or of "smtp", "imap", "pop3",
 * "sieve" with commas; `expires` in us, 0 never. */
int credentials_app_add(struct credentials *c, const char *address, const char *label,
    const char *scope, int64_t expires, struct credentials_app *app,
    char password[static PASSWORD_APP_SIZE], struct err *err);
int credentials_app_remove(
    struct credentials *c, const char *address, const char *label, struct err *err);

#endif
