/* credentials - who may log in with what, kept in credentials.db
 *
 * One row for an account, one for each of its passwords. Hashes never leave this file but into a
 * check, into Dovecot's view, or into the administrator's copy of the file.
 *
 * Errors: ERR_USAGE, ERR_NOT_FOUND, ERR_EXISTS and ERR_FULL (all slots taken) with a sentence,
 * otherwise those of db.c. */
#include "storage/credentials.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "storage/address.h"

#define SECRET_SIZE 32

static const struct db_migration steps[] = {
	{ "CREATE TABLE accounts ("
	  " id INTEGER PRIMARY KEY,"
	  " address TEXT NOT NULL UNIQUE,"
	  " enabled INTEGER NOT NULL,"
	  " created INTEGER NOT NULL) STRICT;"
	  "CREATE TABLE passwords ("
	  " account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,"
	  " slot INTEGER NOT NULL CHECK (slot BETWEEN 0 AND 8),"
	  " hash TEXT NOT NULL,"
	  " label TEXT NOT NULL DEFAULT '',"
	  " created INTEGER NOT NULL,"
	  " expires INTEGER NOT NULL DEFAULT 0," /* us since 1970; 0 never */
	  " last_used INTEGER NOT NULL DEFAULT 0,"
	  " PRIMARY KEY (account, slot)) STRICT, WITHOUT ROWID;" },
	{ /* what it is for: '' all, or ',imap,smtp,' */
	    "ALTER TABLE passwords ADD COLUMN scope TEXT NOT NULL DEFAULT '';"
	    "CREATE VIEW dovecot_passdb AS"
	    " SELECT a.address AS user, p.slot AS slot, p.hash AS password, p.scope AS scope"
	    " FROM accounts a JOIN passwords p ON p.account = a.id"
	    " WHERE a.enabled = 1 AND (p.expires = 0 OR p.expires / 1000000 > CAST(strftime('%s', "
	    "'now') AS INTEGER));" },
	{ /* what salts are made from */
	    "CREATE TABLE salt_secret (secret BLOB NOT NULL) STRICT;"
	    "INSERT INTO salt_secret VALUES (randomblob(32));" },
};

const struct db_schema credentials_schema = { "credentials.db", steps, COUNT(steps), 0, false };

struct credentials {
	sqlite3 *db;
	sqlite3_stmt *find, *used;
	unsigned char secret[SECRET_SIZE];
};

static const char find_sql[] = "SELECT p.slot, p.hash FROM accounts a JOIN passwords p ON "
			       "p.account = a.id WHERE a.address = ?1 AND a.enabled = 1"
			       " AND (p.expires = 0 OR p.expires > ?2) AND (p.scope = '' OR "
			       "instr(p.scope, ',' || ?3 || ',') > 0)";
static const char used_sql[] = "UPDATE passwords SET last_used = ?3 WHERE slot = ?2 AND account = "
			       "(SELECT id FROM accounts WHERE address = ?1)";

static int
secret_read(struct credentials *c, struct err *err)
{
	sqlite3_stmt *s = db_prepare(c->db, "SELECT secret FROM salt_secret", err);
	struct slice secret = { NULL, 0 };
	int got = -1;

	if (s != NULL && (got = db_step(c->db, s, err)) == 1)
		secret = db_blob(s, 0);
	if (secret.len == SECRET_SIZE)
		memcpy(c->secret, secret.at, SECRET_SIZE);
	db_done(&s);
	if (got == -1)
		return -1;
	return secret.len == SECRET_SIZE
		   ? 0
		   : err_set(err, ERR_PERMANENT, "credentials.db: the secret of its salts is gone");
}

struct credentials *
credentials_open(enum db_mode mode, struct err *err)
{
	struct credentials *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		err_sys(err, "credentials");
		return NULL;
	}
	c->db = db_open(&credentials_schema, mode, err);
	if (c->db != NULL) {
		c->find = db_prepare(c->db, find_sql, err);
		c->used = db_prepare(c->db, used_sql, err);
	}
	if (c->find == NULL || c->used == NULL || secret_read(c, err) == -1)
		credentials_close(&c);
	return c;
}

void
credentials_close(struct credentials **c)
{
	if (*c == NULL)
		return;
	db_close(&(*c)->db); /* and its statements */
	OPENSSL_cleanse((*c)->secret, SECRET_SIZE);
	free(*c);
	*c = NULL;
}

sqlite3 *
credentials_db(struct credentials *c)
{
	return c->db;
}

/* -- for a login */

int
credentials_find(struct credentials *c, const char *address, const char *scope, int64_t now,
    struct password_set *set, struct err *err)
{
	int got, found = 0;
	int64_t slot;
	char *to;

	memset(set, 0, sizeof(*set));
	db_bind_text(c->find, 1, address);
	db_bind_i64(c->find, 2, now);
	db_bind_text(c->find, 3, scope);
	while ((got = db_step(c->db, c->find, err)) == 1) {
		slot = db_i64(c->find, 0);
		to = slot == 0 ? set->main : set->apps[slot - 1];
		if (!slice_copy(slice_of(db_text(c->find, 1)), to, PASSWORD_HASH_SIZE))
			to[0] = '\0'; /* no hash of ours is that long */
		found = 1;
	}
	return got == -1 ? -1 : found;
}

void
credentials_salt(const struct credentials *c, const char *address, struct verifier *v)
{
	unsigned char sum[EVP_MAX_MD_SIZE] = { 0 };
	unsigned len = 0;

	memset(v, 0, sizeof(*v));
	HMAC(EVP_sha256(), c->secret, SECRET_SIZE, (const unsigned char *)address, strlen(address),
	    sum, &len);
	memcpy(v->salt, sum, VERIFIER_SALT);
	v->salt_len = VERIFIER_SALT;
	v->iterations = VERIFIER_ITERATIONS;
}

int
credentials_used(struct credentials *c, const char *address, int slot, int64_t now, struct err *err)
{
	db_bind_text(c->used, 1, address);
	db_bind_i64(c->used, 2, slot);
	db_bind_i64(c->used, 3, now);
	return db_run(c->db, c->used, err);
}

/* -- changing it */

/* The address in its one form. */
static int
account_name(const char *text, char out[ADDRESS_SIZE], struct err *err)
{
	struct address a;

	if (address_read(slice_of(text), &a, err) == -1 || address_is_mailbox(&a, err) == -1)
		return err_context(err, "\"%.80s\"", text);
	address_text(&a, out);
	return 0;
}

/* Its id: 0 + *id, or -1 and ERR_NOT_FOUND. */
static int
account_id(struct credentials *c, const char *text, int64_t *id, struct err *err)
{
	char address[ADDRESS_SIZE];
	sqlite3_stmt *s;
	int got;

	if (account_name(text, address, err) == -1)
		return -1;
	s = db_prepare(c->db, "SELECT id FROM accounts WHERE address = ?1", err);
	if (s == NULL)
		return -1;
	db_bind_text(s, 1, address);
	got = db_step(c->db, s, err);
	if (got == 1)
		*id = db_i64(s, 0);
	db_done(&s);
	if (got == 0)
		return err_set(err, ERR_NOT_FOUND, "nobody logs in as %s", address);
	return got == 1 ? 0 : -1;
}

static int
finish(struct credentials *c, int rc, struct err *err)
{
	if (rc == 0)
		rc = db_exec(c->db, "COMMIT", err);
	if (rc == -1)
		sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* Write the main password of an account. */
static int
main_password(struct credentials *c, int64_t account, const char *hash, struct err *err)
{
	sqlite3_stmt *s = db_prepare(c->db,
	    "INSERT INTO passwords (account, slot, hash, created) VALUES (?1, 0, ?2, ?3)"
	    " ON CONFLICT (account, slot) DO UPDATE SET hash = ?2, created = ?3, last_used = 0",
	    err);
	int rc;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, account);
	db_bind_text(s, 2, hash);
	db_bind_i64(s, 3, clock_now());
	rc = db_run(c->db, s, err);
	db_done(&s);
	return rc;
}

static int
account_insert(struct credentials *c, const char *address, struct err *err)
{
	sqlite3_stmt *s = db_prepare(
	    c->db, "INSERT INTO accounts (address, enabled, created) VALUES (?1, 1, ?2)", err);
	int rc;

	if (s == NULL)
		return -1;
	db_bind_text(s, 1, address);
	db_bind_i64(s, 2, clock_now());
	rc = db_run(c->db, s, err);
	db_done(&s);
	if (rc == -1 && err != NULL && err->kind == ERR_EXISTS)
		err_set(err, ERR_EXISTS,
		    "%s has a password already; change it with `tegami user passwd`", address);
	return rc;
}

int
credentials_add(struct credentials *c, const char *text, const char *hash, struct err *err)
{
	char address[ADDRESS_SIZE];
	int rc;

	if (account_name(text, address, err) == -1 || db_exec(c->db, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	rc = account_insert(c, address, err);
	if (rc == 0)
		rc = main_password(c, sqlite3_last_insert_rowid(c->db), hash, err);
	return finish(c, rc, err);
}

int
credentials_set(struct credentials *c, const char *text, const char *hash, struct err *err)
{
	int64_t id = 0;

	return account_id(c, text, &id, err) == -1 ? -1 : main_password(c, id, hash, err);
}

static int
change(struct credentials *c, const char *sql, int64_t account, int64_t value, struct err *err)
{
	sqlite3_stmt *s = db_prepare(c->db, sql, err);
	int rc;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, account);
	if (sqlite3_bind_parameter_count(s) > 1)
		db_bind_i64(s, 2, value);
	rc = db_run(c->db, s, err);
	db_done(&s);
	return rc;
}

int
credentials_remove(struct credentials *c, const char *text, struct err *err)
{
	int64_t id = 0;

	return account_id(c, text, &id, err) == -1
		   ? -1
		   : change(c, "DELETE FROM accounts WHERE id = ?1", id, 0, err);
}

int
credentials_enable(struct credentials *c, const char *text, bool enabled, struct err *err)
{
	int64_t id = 0;

	if (account_id(c, text, &id, err) == -1)
		return -1;
	return change(c, "UPDATE accounts SET enabled = ?2 WHERE id = ?1", id, enabled, err);
}

/* -- app passwords */

/* "imap, smtp" -> ",imap,smtp,"; "" stays. */
static int
scope_read(const char *text, char out[CREDENTIALS_SCOPE_SIZE], struct err *err)
{
	static const char *const known[] = { "smtp", "imap", "pop3", "sieve" };
	struct slice rest = slice_of(text), one;
	unsigned seen = 0;
	size_t i;

	out[0] = '\0';
	while (rest.len > 0) {
		one = slice_trim(slice_cut(&rest, ','));
		for (i = 0; i < COUNT(known) && !slice_eq(one, slice_of(known[i])); i++)
			continue;
		if (i == COUNT(known))
			return err_set(err, ERR_USAGE,
			    "\"%.*s\" is no scope; there are smtp, imap, pop3 and sieve",
			    (int)(one.len > 40 ? 40 : one.len), one.at);
		seen |= 1u << i;
	}
	for (i = 0; i < COUNT(known); i++)
		if (seen & 1u << i)
			snprintf(out + strlen(out), CREDENTIALS_SCOPE_SIZE - strlen(out), "%s%s,",
			    out[0] ? "" : ",", known[i]);
	return 0;
}

/* The lowest free slot, and the hash of another app password ("" when there is none). */
static int
slot_free(struct credentials *c, int64_t account, const char *label, int *slot,
    char like[PASSWORD_HASH_SIZE], struct err *err)
{
	sqlite3_stmt *s = db_prepare(
	    c->db, "SELECT slot, hash, label FROM passwords WHERE account = ?1 AND slot > 0", err);
	bool taken[PASSWORD_APPS_MAX + 1] = { true }, same = false;
	int got = -1, i = 0;

	like[0] = '\0';
	if (s != NULL)
		db_bind_i64(s, 1, account);
	while (s != NULL && (got = db_step(c->db, s, err)) == 1) {
		taken[db_i64(s, 0)] = true;
		slice_copy(slice_of(db_text(s, 1)), like, PASSWORD_HASH_SIZE);
		same = same || strcmp(db_text(s, 2), label) == 0;
	}
	db_done(&s);
	if (got == -1)
		return -1;
	if (same)
		return err_set(err, ERR_EXISTS, "there is an app password \"%s\" already", label);
	while (i <= PASSWORD_APPS_MAX && taken[i])
		i++;
	*slot = i;
	return i > PASSWORD_APPS_MAX
		   ? err_set(err, ERR_USAGE, "all %d app passwords are in use; remove one first",
			 PASSWORD_APPS_MAX)
		   : 0;
}

static int
app_insert(struct credentials *c, int64_t account, int slot, const char *hash, const char *label,
    const char *scope, int64_t expires, struct err *err)
{
	sqlite3_stmt *s = db_prepare(c->db,
	    "INSERT INTO passwords (account, slot, hash, label, scope, created, expires) VALUES "
	    "(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	    err);
	int rc;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, account);
	db_bind_i64(s, 2, slot);
	db_bind_text(s, 3, hash);
	db_bind_text(s, 4, label);
	db_bind_text(s, 5, scope);
	db_bind_i64(s, 6, clock_now());
	db_bind_i64(s, 7, expires);
	rc = db_run(c->db, s, err);
	db_done(&s);
	return rc;
}

/* With a label of ours if there is none. */
static int
app_add(struct credentials *c, int64_t id, const char *address, const char *password,
    struct credentials_app *app, struct err *err)
{
	char like[PASSWORD_HASH_SIZE], hash[PASSWORD_HASH_SIZE];
	struct verifier salt;

	if (slot_free(c, id, app->label, &app->slot, like, err) == -1)
		return -1;
	if (app->label[0] == '\0') {
		snprintf(app->label, sizeof(app->label), "app %d", app->slot);
		if (slot_free(c, id, app->label, &app->slot, like, err) == -1)
			return -1;
	}
	if (!verifier_read(like, &salt))
		credentials_salt(c, address, &salt);
	if (password_app_hash(password, &salt, hash, err) == -1)
		return -1;
	return app_insert(c, id, app->slot, hash, app->label, app->scope, app->expires, err);
}

int
credentials_app_add(struct credentials *c, const char *text, const char *label,
    const char *scope_text, int64_t expires, struct credentials_app *app,
    char password[static PASSWORD_APP_SIZE], struct err *err)
{
	char address[ADDRESS_SIZE];
	int64_t id = 0;
	int rc;

	app->expires = expires;
	if (!slice_copy(slice_of(label), app->label, sizeof(app->label)))
		return err_set(
		    err, ERR_USAGE, "a label has at most %d bytes", CREDENTIALS_LABEL_MAX);
	if (account_name(text, address, err) == -1 || account_id(c, address, &id, err) == -1 ||
	    scope_read(scope_text, app->scope, err) == -1 ||
	    password_app_make(password, err) == -1 || db_exec(c->db, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	rc = app_add(c, id, address, password, app, err);
	return finish(c, rc, err);
}

int
credentials_app_remove(struct credentials *c, const char *text, const char *label, struct err *err)
{
	sqlite3_stmt *s;
	int64_t id = 0;
	int rc;

	if (account_id(c, text, &id, err) == -1)
		return -1;
	s = db_prepare(
	    c->db, "DELETE FROM passwords WHERE account = ?1 AND slot > 0 AND label = ?2", err);
	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, id);
	db_bind_text(s, 2, label);
	rc = db_run(c->db, s, err);
	db_done(&s);
	if (rc == 0 && sqlite3_changes(c->db) == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no app password \"%.60s\"", label);
	return rc;
}
