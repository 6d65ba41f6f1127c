/* directory_find - what one address is, without following it
 *
 * Its exact name goes before the name without a tag, that before the catch-all of the domain, and the names
 * that every server must have come last. */
#include "storage/directory_store.h"

#include <string.h>

static int
alias_is_there(struct directory *d, int64_t domain, const char *local, struct err *err)
{
	sqlite3_stmt *s = d->query[Q_ALIAS];
	int got;

	db_bind_i64(s, 1, domain);
	db_bind_text(s, 2, local);
	got = db_step(d->db, s, err);
	sqlite3_reset(s);
	return got;
}

int
directory_find_exact(struct directory *d, const char *local, struct directory_found *f, struct err *err)
{
	int got = alias_is_there(d, f->domain, local, err);

	if (got == -1)
		return -1;
	if (got == 1)
		f->alias = local;
	got = directory_user_get(d, f->domain, local, &f->row, err);
	if (got == 1)
		f->user = local;
	return got == -1 ? -1 : f->alias != NULL || f->user != NULL;
}

const char *
directory_find_untagged(const struct directory *d, const char *local, struct pool *pool)
{
	const char *sep = d->separator, *at;

	if (sep[0] == '\0')
		return NULL;
	at = strstr(local, sep);
	if (at == NULL || at == local)
		return NULL;
	return pool_text(pool, (struct slice){ local, (size_t)(at - local) });
}

bool
directory_find_is_role(const char *local)
{
	return strcmp(local, "postmaster") == 0 || strcmp(local, "abuse") == 0;
}

static int
find_first_user(struct directory *d, struct pool *pool, struct directory_found *f, struct err *err)
{
	sqlite3_stmt *s = d->query[Q_USER_FIRST];
	int got;

	db_bind_i64(s, 1, f->domain);
	got = db_step(d->db, s, err);
	if (got == 1)
		f->user = pool_text(pool, slice_of(db_text(s, 0)));
	sqlite3_reset(s);
	if (got != 1 || f->user == NULL)
		return got == -1 ? -1 : 0;
	f->by_default = true;
	return directory_user_get(d, f->domain, f->user, &f->row, err);
}

int
directory_find(struct directory *d, const char *local, struct pool *pool, struct directory_found *f,
    struct err *err)
{
	const char *base = directory_find_untagged(d, local, pool);
	int got = directory_find_exact(d, local, f, err);

	if (got == 0 && base != NULL)
		got = directory_find_exact(d, base, f, err);
	if (got == 0) {
		got = alias_is_there(d, f->domain, "", err);
		if (got == 1)
			f->alias = "";
	}
	if (got == 0 && directory_find_is_role(base == NULL ? local : base))
		got = find_first_user(d, pool, f, err);
	return got;
}
