/* directory - domains and users, kept in directory.db; its aliases are changed in directory_alias.c
 *
 * What is in the file: domains by their A-label, users and aliases by domain and lower-case local
 * part, one row for each target of an alias; a catch-all is the alias with the empty local part.
 * `dovecot_userdb` is the interface for Dovecot: its columns stay when the tables change.
 *
 * Each change is one statement or one transaction, so a reader sees all of it or nothing. Errors:
 * ERR_USAGE, ERR_NOT_FOUND and ERR_EXISTS for the administrator's own mistakes, otherwise those of
 * db.c. */
#include "storage/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "storage/directory_store.h"

static const struct db_migration steps[] = {
	{ "CREATE TABLE domains ("
	  " id INTEGER PRIMARY KEY,"
	  " name TEXT NOT NULL UNIQUE,"
	  " created INTEGER NOT NULL) STRICT;"
	  "CREATE TABLE users ("
	  " id INTEGER PRIMARY KEY,"
	  " domain INTEGER NOT NULL REFERENCES domains (id),"
	  " local TEXT NOT NULL CHECK (local <> ''),"
	  " quota INTEGER NOT NULL," /* -1: as configured */
	  " enabled INTEGER NOT NULL,"
	  " created INTEGER NOT NULL,"
	  " UNIQUE (domain, local)) STRICT;"
	  "CREATE TABLE aliases ("
	  " id INTEGER PRIMARY KEY,"
	  " domain INTEGER NOT NULL REFERENCES domains (id),"
	  " local TEXT NOT NULL,"
	  " target TEXT NOT NULL,"
	  " created INTEGER NOT NULL,"
	  " UNIQUE (domain, local, target)) STRICT;" },
	{ "ALTER TABLE users ADD COLUMN name TEXT NOT NULL DEFAULT '';"
	  "CREATE TABLE settings (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;"
	  "INSERT INTO settings VALUES ('default_quota', 0);"
	  "CREATE VIEW dovecot_userdb AS"
	  " SELECT u.local || '@' || d.name AS user, d.name || '/' || u.local AS home,"
	  "  '*:bytes=' || CASE WHEN u.quota >= 0 THEN u.quota"
	  "   ELSE (SELECT value FROM settings WHERE key = 'default_quota') END AS quota_rule"
	  " FROM users u JOIN domains d ON d.id = u.domain WHERE u.enabled = 1;" },
	{ "CREATE TABLE forward_keys ("
	  " id INTEGER PRIMARY KEY,"
	  " created INTEGER NOT NULL,"
	  " secret BLOB NOT NULL) STRICT;" },
};

const struct db_schema directory_schema = { "directory.db", steps, COUNT(steps), 0, false };

static const char *const query_text[Q_QUERIES] = {
	[Q_DOMAIN_ID] = "SELECT id FROM domains WHERE name = ?1",
	[Q_DOMAIN_FIRST] = "SELECT name FROM domains ORDER BY id LIMIT 1",
	[Q_USER] = "SELECT id, quota, enabled FROM users WHERE domain = ?1 AND local = ?2",
	[Q_USER_FIRST] =
	    "SELECT local FROM users WHERE domain = ?1 AND enabled = 1 ORDER BY id LIMIT 1",
	[Q_ALIAS] = "SELECT target FROM aliases WHERE domain = ?1 AND local = ?2 ORDER BY id",
	[Q_KEYS] = "SELECT secret, created FROM forward_keys ORDER BY created DESC, id DESC LIMIT 20",
};

/* -- open, configure, close */

int
directory_configure(struct directory *d, const struct directory_settings *settings, struct err *err)
{
	sqlite3_stmt *s;
	int rc;

	if (!slice_copy(slice_of(settings->separator), d->separator, sizeof(d->separator)))
		return err_set(err, ERR_USAGE, "the subaddress separator is longer than %zu bytes",
		    sizeof(d->separator) - 1);
	if (domain_read(slice_of(settings->hostname), d->hostname, NULL) == -1)
		d->hostname[0] = '\0';
	d->default_quota = settings->default_quota;
	if (sqlite3_db_readonly(d->db, "main"))
		return 0;
	s = db_prepare(d->db,
	    "UPDATE settings SET value = ?1 WHERE key = 'default_quota' AND value IS NOT ?1", err);
	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, d->default_quota);
	rc = db_run(d->db, s, err);
	db_done(&s);
	return rc;
}

struct directory *
directory_open(enum db_mode mode, const struct directory_settings *settings, struct err *err)
{
	struct directory *d = calloc(1, sizeof(*d));
	int i;

	if (d == NULL) {
		err_sys(err, "directory");
		return NULL;
	}
	d->db = db_open(&directory_schema, mode, err);
	for (i = 0; d->db != NULL && i < Q_QUERIES; i++) {
		d->query[i] = db_prepare(d->db, query_text[i], err);
		if (d->query[i] == NULL)
			break;
	}
	if (i < Q_QUERIES || directory_configure(d, settings, err) == -1)
		directory_close(&d);
	return d;
}

void
directory_close(struct directory **d)
{
	if (*d == NULL)
		return;
	db_close(&(*d)->db); /* and its statements */
	free(*d);
	*d = NULL;
}

sqlite3 *
directory_db(struct directory *d)
{
	return d->db;
}

/* -- finding what is there */

int
directory_domain_id(struct directory *d, const char *domain, int64_t *id, struct err *err)
{
	sqlite3_stmt *s = d->query[Q_DOMAIN_ID];
	int got;

	db_bind_text(s, 1, domain);
	got = db_step(d->db, s, err);
	if (got == 1)
		*id = db_i64(s, 0);
	sqlite3_reset(s);
	return got;
}

int
directory_user_get(struct directory *d, int64_t domain, const char *local,
    struct directory_user *out, struct err *err)
{
	sqlite3_stmt *s = d->query[Q_USER];
	int got;

	db_bind_i64(s, 1, domain);
	db_bind_text(s, 2, local);
	got = db_step(d->db, s, err);
	if (got == 1) {
		out->id = db_i64(s, 0);
		out->quota = db_i64(s, 1) >= 0 ? db_i64(s, 1) : d->default_quota;
		out->enabled = db_i64(s, 2) != 0;
	}
	sqlite3_reset(s);
	return got;
}

int
directory_own_address(
    struct directory *d, const char *text, struct address *a, int64_t *domain, struct err *err)
{
	int got;

	if (address_read(slice_of(text), a, err) == -1)
		return err_context(err, "\"%.80s\"", text);
	if (a->domain[0] == '\0')
		return err_set(err, ERR_USAGE,
		    "\"%.80s\" has no domain; write it like alice@example.org", text);
	got = directory_domain_id(d, a->domain, domain, err);
	if (got == 0)
		return err_set(err, ERR_NOT_FOUND,
		    "%s is not a domain of this server; see `tegami domain list`", a->domain);
	return got == 1 ? 0 : -1;
}

/* An address of ours whose user must exist. */
static int
own_user(struct directory *d, const char *text, struct directory_user *user, struct err *err)
{
	struct address a;
	int64_t domain;
	int got;

	if (directory_own_address(d, text, &a, &domain, err) == -1)
		return -1;
	got = directory_user_get(d, domain, a.local, user, err);
	if (got == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no user %s@%s", a.local, a.domain);
	return got == 1 ? 0 : -1;
}

/* Run one statement with up to three numbers bound. */
static int
change(struct directory *d, const char *sql, int64_t a, int64_t b, int64_t c, struct err *err)
{
	const int64_t v[] = { a, b, c };
	sqlite3_stmt *s = db_prepare(d->db, sql, err);
	int i, rc;

	if (s == NULL)
		return -1;
	for (i = 0; i < sqlite3_bind_parameter_count(s) && i < 3; i++)
		db_bind_i64(s, i + 1, v[i]);
	rc = db_run(d->db, s, err);
	db_done(&s);
	return rc;
}

int
directory_finish(struct directory *d, int rc, struct err *err)
{
	if (rc == 0)
		rc = db_exec(d->db, "COMMIT", err);
	if (rc == -1)
		sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* -- domains */

int
directory_domain_add(struct directory *d, const char *text, struct err *err)
{
	char domain[DOMAIN_MAX + 1];
	sqlite3_stmt *s;
	int rc;

	if (domain_read(slice_of(text), domain, err) == -1)
		return -1;
	if (domain[0] == '[' || strchr(domain, '.') == NULL)
		return err_set(err, ERR_USAGE, "a domain is written like example.org");
	s = db_prepare(d->db, "INSERT INTO domains (name, created) VALUES (?1, ?2)", err);
	if (s == NULL)
		return -1;
	db_bind_text(s, 1, domain);
	db_bind_i64(s, 2, clock_now());
	rc = db_run(d->db, s, err);
	db_done(&s);
	if (rc == -1 && err != NULL && err->kind == ERR_EXISTS)
		err_set(err, ERR_EXISTS, "the domain %s is there already", domain);
	return rc;
}

static int
domain_is_unused(struct directory *d, int64_t id, const char *domain, struct err *err)
{
	sqlite3_stmt *s = db_prepare(d->db, "SELECT count(*) FROM users WHERE domain = ?1", err);
	int64_t users = 0;
	int got;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, id);
	got = db_step(d->db, s, err);
	if (got == 1)
		users = db_i64(s, 0);
	db_done(&s);
	if (got != 1)
		return -1;
	if (users > 0)
		return err_set(err, ERR_USAGE, "%s still has %lld user%s; remove them first",
		    domain, (long long)users, users == 1 ? "" : "s");
	return 0;
}

int
directory_domain_remove(struct directory *d, const char *text, struct err *err)
{
	char domain[DOMAIN_MAX + 1];
	int64_t id = 0;
	int rc;

	if (domain_read(slice_of(text), domain, err) == -1)
		return -1;
	rc = directory_domain_id(d, domain, &id, err);
	if (rc == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no domain %s", domain);
	if (rc == -1 || domain_is_unused(d, id, domain, err) == -1 ||
	    db_exec(d->db, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	rc = change(d, "DELETE FROM aliases WHERE domain = ?1", id, 0, 0, err);
	if (rc == 0)
		rc = change(d, "DELETE FROM domains WHERE id = ?1", id, 0, 0, err);
	return directory_finish(d, rc, err);
}

/* -- users */

static int
user_insert(struct directory *d, int64_t domain, const char *local, const char *name, int64_t quota,
    struct err *err)
{
	sqlite3_stmt *s = db_prepare(d->db,
	    "INSERT INTO users (domain, local, name, quota, enabled, created) VALUES (?1, ?2, ?3, "
	    "?4, 1, ?5)",
	    err);
	int rc;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, domain);
	db_bind_text(s, 2, local);
	db_bind_text(s, 3, name);
	db_bind_i64(s, 4, quota);
	db_bind_i64(s, 5, clock_now());
	rc = db_run(d->db, s, err);
	db_done(&s);
	return rc;
}

int
directory_user_add(
    struct directory *d, const char *address, const char *name, int64_t quota, struct err *err)
{
	struct address a;
	int64_t domain;

	if (directory_own_address(d, address, &a, &domain, err) == -1)
		return -1;
	if (address_is_mailbox(&a, err) == -1)
		return err_context(err, "\"%.80s\"", address);
	if (strlen(name) > 200)
		return err_set(err, ERR_USAGE, "the name is longer than 200 bytes");
	if (user_insert(
		d, domain, a.local, name, quota < 0 ? DIRECTORY_QUOTA_DEFAULT : quota, err) == 0)
		return 0;
	if (err != NULL && err->kind == ERR_EXISTS)
		err_set(err, ERR_EXISTS, "the user %s@%s is there already", a.local, a.domain);
	return -1;
}

int
directory_user_remove(struct directory *d, const char *address, struct err *err)
{
	struct directory_user user;

	if (own_user(d, address, &user, err) == -1)
		return -1;
	return change(d, "DELETE FROM users WHERE id = ?1", user.id, 0, 0, err);
}

int
directory_user_enable(struct directory *d, const char *address, bool enabled, struct err *err)
{
	struct directory_user user;

	if (own_user(d, address, &user, err) == -1)
		return -1;
	return change(d, "UPDATE users SET enabled = ?2 WHERE id = ?1", user.id, enabled, 0, err);
}

int
directory_user_quota(struct directory *d, const char *address, int64_t quota, struct err *err)
{
	struct directory_user user;

	if (own_user(d, address, &user, err) == -1)
		return -1;
	return change(d, "UPDATE users SET quota = ?2 WHERE id = ?1", user.id,
	    quota < 0 ? DIRECTORY_QUOTA_DEFAULT : quota, 0, err);
}
