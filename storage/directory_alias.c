/* directory_alias - adding and removing aliases
 *
 * One row for each target; a catch-all is the alias with the empty local part, and only it may lead
 * to a whole domain. An alias that leads into a circle or to too many is refused when it is made,
 * not when mail comes. Each change is one transaction. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "storage/directory_store.h"

/* Bring a target into its one form. "@domain" only behind a catch-all. */
static int
target_read(const struct address *alias, const char *text, char *out, struct err *err)
{
	struct address a;

	if (address_read(slice_of(text), &a, err) == -1)
		return err_context(err, "target \"%.80s\"", text);
	if (a.domain[0] == '\0')
		return err_set(err, ERR_USAGE,
		    "target \"%.80s\" has no domain; write it like alice@example.org", text);
	if (a.local[0] == '\0' && alias->local[0] != '\0')
		return err_set(err, ERR_USAGE,
		    "target \"%.80s\" names a whole domain; only a catch-all (@%s) may do that",
		    text, alias->domain);
	address_text(&a, out);
	return 0;
}

/* One (domain, local, target) with `sql`. */
static int
alias_row(struct directory *d, const char *sql, int64_t domain, const char *local,
    const char *target, struct err *err)
{
	sqlite3_stmt *s = db_prepare(d->db, sql, err);
	int rc;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, domain);
	db_bind_text(s, 2, local);
	db_bind_text(s, 3, target);
	if (sqlite3_bind_parameter_count(s) > 3)
		db_bind_i64(s, 4, clock_now());
	rc = db_run(d->db, s, err);
	db_done(&s);
	return rc;
}

/* Does the alias, as it now stands, lead somewhere and not to too many? */
static int
alias_leads(struct directory *d, const struct address *a, struct err *err)
{
	struct address probe = *a;
	struct directory_answer *out = malloc(sizeof(*out));
	struct pool *pool = pool_new(1024 * 1024);
	char text[ADDRESS_SIZE];
	int rc = 0;

	if (out == NULL || pool == NULL) {
		rc = err_sys(err, "cannot look along the alias");
	} else if (probe.local[0] != '\0') {
		address_text(&probe, text);
		directory_lookup(d, slice_of(text), pool, out);
		if (out->status == RCPT_TEMPORARY)
			rc = err_set(err, ERR_USAGE, "%s", out->why);
	}
	pool_free(&pool);
	free(out);
	return rc;
}

static int
alias_insert(struct directory *d, const struct address *a, int64_t domain,
    const char *const *targets, size_t n, struct err *err)
{
	char target[ADDRESS_SIZE];
	size_t i;

	for (i = 0; i < n; i++) {
		if (target_read(a, targets[i], target, err) == -1)
			return -1;
		if (alias_row(d,
			"INSERT INTO aliases (domain, local, target, created) VALUES (?1, ?2, ?3, "
			"?4)",
			domain, a->local, target, err) == 0)
			continue;
		if (err != NULL && err->kind == ERR_EXISTS)
			err_set(err, ERR_EXISTS, "%s leads to %s already",
			    a->local[0] ? a->local : "the catch-all", target);
		return -1;
	}
	return alias_leads(d, a, err);
}

int
directory_alias_add(
    struct directory *d, const char *address, const char *const *targets, size_t n, struct err *err)
{
	struct address a;
	int64_t domain;

	if (n == 0 || n > DIRECTORY_TARGETS_MAX)
		return err_set(
		    err, ERR_USAGE, "an alias has 1 to %d targets", DIRECTORY_TARGETS_MAX);
	if (directory_own_address(d, address, &a, &domain, err) == -1 ||
	    db_exec(d->db, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	return directory_finish(d, alias_insert(d, &a, domain, targets, n, err), err);
}

static int
alias_delete(struct directory *d, const struct address *a, int64_t domain,
    const char *const *targets, size_t n, struct err *err)
{
	char target[ADDRESS_SIZE], text[ADDRESS_SIZE];
	const char *sql =
	    n == 0 ? "DELETE FROM aliases WHERE domain = ?1 AND local = ?2 AND ?3 = ''"
		   : "DELETE FROM aliases WHERE domain = ?1 AND local = ?2 AND target = ?3";
	size_t i;

	address_text(a, text);
	for (i = 0; i < (n == 0 ? 1 : n); i++) {
		target[0] = '\0';
		if (n > 0 && target_read(a, targets[i], target, err) == -1)
			return -1;
		if (alias_row(d, sql, domain, a->local, target, err) == -1)
			return -1;
		if (sqlite3_changes(d->db) == 0)
			return err_set(err, ERR_NOT_FOUND, "there is no alias %s%s%s", text,
			    n ? " to " : "", target);
	}
	return 0;
}

int
directory_alias_remove(
    struct directory *d, const char *address, const char *const *targets, size_t n, struct err *err)
{
	struct address a;
	int64_t domain;

	if (directory_own_address(d, address, &a, &domain, err) == -1 ||
	    db_exec(d->db, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	return directory_finish(d, alias_delete(d, &a, domain, targets, n, err), err);
}
