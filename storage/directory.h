/* directory - domains, users and aliases, and where a recipient's mail goes
 *
 * The store behind directory.db. Every address is read and written in the form of address.h;
 * "user+tag" is found as "user" when nothing bears the longer name. Order of a look-up: alias,
 * user, both again without the tag, catch-all ("@domain"), then for postmaster and abuse (RFC
 * 5321 4.5.1, RFC 2142) the domain's first enabled user. */
#ifndef STORAGE_DIRECTORY_H
#define STORAGE_DIRECTORY_H

#include "base/err.h"
#include "base/msg.h"
#include "base/pool.h"
#include "storage/db.h"

#define DIRECTORY_TARGETS_MAX 100    /* an address may lead to */
#define DIRECTORY_VISITS_MAX 1000    /* addresses looked at on the way */
#define DIRECTORY_DEPTH_MAX 16       /* aliases of aliases */
#define DIRECTORY_QUOTA_DEFAULT (-1) /* the config's delivery.default_quota */
#define DIRECTORY_HOME_SIZE 384

extern const struct db_schema directory_schema;

struct directory;

struct directory_settings { /* from the configuration; copied */
	const char *hostname;
	const char *separator; /* "" : no subaddresses */
	int64_t default_quota; /* bytes, 0 no limit */
};

struct directory_target {
	enum rcpt_kind kind;
	const char *address;
	const char *home; /* "DOMAIN/LOCALPART", RCPT_LOCAL only */
	int64_t quota;    /* bytes, 0 no limit */
	bool by_default;  /* a role's mail that nobody is named for: no right to write as the role */
};

struct directory_answer {
	enum rcpt_status status;
	const char *why; /* for people; "" when there is nothing to say */
	struct directory_target targets[DIRECTORY_TARGETS_MAX];
	size_t n;
};

/* Open directory.db in the working directory. Close with directory_close. */
struct directory *directory_open(
    enum db_mode mode, const struct directory_settings *settings, struct err *err);
void directory_close(struct directory **d);
/* Take new settings (a reload). */
int directory_configure(
    struct directory *d, const struct directory_settings *settings, struct err *err);
sqlite3 *directory_db(struct directory *d);

/* Where does mail to `address` go? Texts live in `pool`. Never fails but by status (RCPT_TEMPORARY
 * with the reason). */
void directory_lookup(
    struct directory *d, struct slice address, struct pool *pool, struct directory_answer *out);
/* May `user` (a mailbox) send as `address`? Its own address, a subaddress, an alias that leads to
 * it, or "". `why` is for people and lives in the pool. 1 yes, 0 no, -1 + err when the store
 * failed. */
int directory_may_send(struct directory *d, struct slice user, struct slice address,
    struct pool *pool, const char **why, struct err *err);

#define DIRECTORY_FORWARD_SIZE 512
/* Mail from `sender` for the alias of ours goes on to another server: under which sender? 1: the one in `out`, 0: as it is (it is
 * ours, empty, or cannot be rewritten), -1 + err. */
int directory_forward(struct directory *d, int64_t now, struct slice sender, struct slice alias,
    char out[static DIRECTORY_FORWARD_SIZE], struct err *err);
/* The way back. 0: not an address of that kind at a domain of ours, -1 + err, 1: it is; *why is "" and the first sender in `out`, or
 * says what is wrong with it. */
int directory_backward(struct directory *d, int64_t now, struct slice address,
    char out[static DIRECTORY_FORWARD_SIZE], const char **why, struct err *err);

/* What an address is, on the way from one to where its mail goes. */
struct directory_step {
	unsigned depth;	     /* aliases behind it */
	const char *address;
	const char *is;	     /* "mailbox", "alias", "catch-all", "elsewhere", "unknown", "return-address" */
	const char *by;	     /* the name under which it was found, when that is another one; or "" */
};
/* As directory_lookup, and every step is told on the way. */
void directory_explain(struct directory *d, struct slice address, struct pool *pool,
    struct directory_answer *out, void (*step)(void *arg, const struct directory_step *step), void *arg);

/* -- changing it. ERR_USAGE, ERR_NOT_FOUND and ERR_EXISTS bear a sentence for the administrator. */

int directory_domain_add(struct directory *d, const char *domain, struct err *err);
/* Refused while it has users; its aliases go with it. */
int directory_domain_remove(struct directory *d, const char *domain, struct err *err);
int directory_user_add(
    struct directory *d, const char *address, const char *name, int64_t quota, struct err *err);
/* Its mail stays on disk. */
int directory_user_remove(struct directory *d, const char *address, struct err *err);
int directory_user_enable(struct directory *d, const char *address, bool enabled, struct err *err);
int directory_user_quota(struct directory *d, const char *address, int64_t quota, struct err *err);
/* Add targets, all or none; "@domain" is the catch-all, and "@other" as its target keeps the local
 * part. Refused when the address would then lead nowhere but in a circle, or to too many. */
int directory_alias_add(struct directory *d, const char *address, const char *const *targets,
    size_t n, struct err *err);
/* n = 0: the whole alias. */
int directory_alias_remove(struct directory *d, const char *address, const char *const *targets,
    size_t n, struct err *err);

#endif
