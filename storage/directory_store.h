/* directory_store - what the files of the directory share: the handle and its prepared statements
 */
#ifndef STORAGE_DIRECTORY_STORE_H
#define STORAGE_DIRECTORY_STORE_H

#include "storage/address.h"
#include "storage/directory.h"

enum directory_query { Q_DOMAIN_ID, Q_DOMAIN_FIRST, Q_USER, Q_USER_FIRST, Q_ALIAS, Q_KEYS, Q_QUERIES };

struct directory {
	sqlite3 *db;
	sqlite3_stmt *query[Q_QUERIES];
	char hostname[DOMAIN_MAX + 1];
	char separator[8];
	int64_t default_quota;
};

/* A mailbox of ours, as Q_USER yields it. */
struct directory_user {
	int64_t id, quota; /* quota as it applies: 0 no limit */
	bool enabled;
};

/* The id of a domain of ours: 1 and *id, 0 no such, -1 + err. */
int directory_domain_id(struct directory *d, const char *domain, int64_t *id, struct err *err);
/* 1 and *out, 0 no such, -1 + err. */
int directory_user_get(struct directory *d, int64_t domain, const char *local,
    struct directory_user *out, struct err *err);

/* What one address is, without following it (directory_find.c). The caller sets `domain`, the rest is zero. */
struct directory_found {
	const char *alias; /* local part under which the alias is kept, "" the catch-all; or NULL */
	const char *user;  /* local part of the mailbox, or NULL */
	bool by_default;   /* `user` is the first one, and nobody was named for this role */
	struct directory_user row; /* of `user` */
	int64_t domain;
};
/* 1, 0 there is no such, -1 + err. Texts live as long as `local` and the pool. */
int directory_find(struct directory *d, const char *local, struct pool *pool, struct directory_found *f,
    struct err *err);
/* Only an alias or a mailbox of exactly this name. */
int directory_find_exact(
    struct directory *d, const char *local, struct directory_found *f, struct err *err);
/* "user" of "user+tag", in the pool; NULL when there is no tag. */
const char *directory_find_untagged(const struct directory *d, const char *local, struct pool *pool);
/* A name that every domain has: postmaster (RFC 5321 4.5.1) and abuse (RFC 2142). Its mail goes to the first
 * user when nobody is named so. */
bool directory_find_is_role(const char *local);

/* Read an address whose domain must be one of ours. -1 + err. */
int directory_own_address(
    struct directory *d, const char *text, struct address *a, int64_t *domain, struct err *err);
/* End a transaction: commit when rc is 0, else roll back. Returns 0, or -1 + err. */
int directory_finish(struct directory *d, int rc, struct err *err);

#endif
