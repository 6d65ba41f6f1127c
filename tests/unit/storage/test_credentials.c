/* credentials: accounts, slots, scopes, expiry, Dovecot's view, migration, verbs */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "storage/credentials.h"
#include "storage/credentials_admin.h"
#include "tests/unit/storage/scratch.h"

#define HASH "{CRYPT}$1$saltstri$qFskPsXrPEqvZxVoJ6nVN/"
#define YEAR (366 * 86400 * CLOCK_SECOND)

static struct credentials *c;
static struct password_set set;
static struct err err;

static int
enter(void **state)
{
	if (scratch_enter(state) == -1)
		return -1;
	c = credentials_open(DB_CREATE, &err);
	return c != NULL ? 0 : -1;
}

static int
leave(void **state)
{
	credentials_close(&c);
	return scratch_leave(state);
}

#define OK(call)                                                                                   \
	do {                                                                                       \
		if ((call) == -1)                                                                  \
			fail_msg("%s: %s", #call, err.text);                                       \
	} while (0)
#define FAILS(call, what)                                                                          \
	do {                                                                                       \
		assert_int_equal(call, -1);                                                        \
		assert_int_equal(err.kind, what);                                                  \
	} while (0)

static int
find(const char *address, const char *scope, int64_t now)
{
	return credentials_find(c, address, scope, now, &set, &err);
}

/* Rows of Dovecot's view. */
static int64_t
view(const char *where)
{
	char sql[300];
	sqlite3_stmt *s;
	int64_t n;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM dovecot_passdb WHERE %s", where);
	s = db_prepare(credentials_db(c), sql, &err);
	assert_non_null(s);
	assert_int_equal(db_step(credentials_db(c), s, &err), 1);
	n = db_i64(s, 0);
	db_done(&s);
	return n;
}

static void
test_accounts(void **state)
{
	(void)state;
	assert_int_equal(find("alice@example.test", "smtp", 1), 0);
	OK(credentials_add(c, "Alice@Example.test", HASH, &err));
	FAILS(credentials_add(c, "alice@example.test", HASH, &err), ERR_EXISTS);
	FAILS(credentials_add(c, "alice", HASH, &err), ERR_USAGE);
	FAILS(credentials_add(c, "a/../b@example.test", HASH, &err), ERR_USAGE);
	assert_int_equal(find("alice@example.test", "smtp", 1), 1);
	assert_string_equal(set.main, HASH);
	assert_string_equal(set.apps[0], "");
	assert_int_equal(find("x' OR '1'='1", "smtp", 1), 0);
	OK(credentials_set(c, "alice@example.test", HASH "x", &err));
	find("alice@example.test", "smtp", 1);
	assert_string_equal(set.main, HASH "x");
	FAILS(credentials_set(c, "bob@example.test", HASH, &err), ERR_NOT_FOUND);
	assert_int_equal(view("user = 'alice@example.test' AND slot = 0"), 1);
	OK(credentials_enable(c, "alice@example.test", false, &err));
	assert_int_equal(find("alice@example.test", "smtp", 1), 0);
	assert_string_equal(set.main, "");
	assert_int_equal(view("1"), 0);
	OK(credentials_enable(c, "alice@example.test", true, &err));
	assert_int_equal(find("alice@example.test", "smtp", 1), 1);
	OK(credentials_remove(c, "alice@example.test", &err));
	FAILS(credentials_remove(c, "alice@example.test", &err), ERR_NOT_FOUND);
	assert_int_equal(find("alice@example.test", "smtp", 1), 0);
}

static void
test_apps(void **state)
{
	char password[9][PASSWORD_APP_SIZE], label[20];
	struct credentials_app app;
	struct verifier salt, kept;
	int i;

	(void)state;
	OK(credentials_add(c, "alice@example.test", HASH, &err));
	FAILS(credentials_app_add(c, "bob@example.test", "x", "", 0, &app, password[0], &err),
	    ERR_NOT_FOUND);
	FAILS(credentials_app_add(c, "alice@example.test",
		  "0123456789012345678901234567890123456789012345678901234567890", "", 0, &app,
		  password[0], &err),
	    ERR_USAGE);
	FAILS(credentials_app_add(
		  c, "alice@example.test", "x", "smtp,http", 0, &app, password[0], &err),
	    ERR_USAGE);
	for (i = 1; i <= 8; i++) {
		snprintf(label, sizeof(label), "app %d", i);
		OK(credentials_app_add(c, "alice@example.test", i == 7 ? "" : label,
		    i == 2   ? "imap"
		    : i == 3 ? "smtp, imap"
			     : "",
		    i == 4 ? YEAR : 0, &app, password[i], &err));
		assert_int_equal(app.slot, i);
		assert_string_equal(app.label, label);
		assert_string_equal(app.scope, i == 2 ? ",imap," : i == 3 ? ",smtp,imap," : "");
	}
	FAILS(credentials_app_add(c, "alice@example.test", "nine", "", 0, &app, password[0], &err),
	    ERR_USAGE);
	assert_int_equal(find("alice@example.test", "smtp", 2 * YEAR), 1);
	assert_string_equal(set.apps[1], ""); /* imap only */
	assert_string_equal(set.apps[3], ""); /* expired */
	credentials_salt(c, "alice@example.test", &salt);
	for (i = 0; i < PASSWORD_APPS_MAX; i++)
		if (set.apps[i][0] != '\0')
			assert_true(
			    verifier_read(set.apps[i], &kept) && verifier_same_salt(&kept, &salt));
	credentials_salt(c, "bob@example.test", &kept);
	assert_false(verifier_same_salt(&kept, &salt));
	assert_int_equal(password_check(&set, password[1]), 1);
	assert_int_equal(password_check(&set, password[3]), 3);
	assert_int_equal(password_check(&set, password[8]), 8);
	find("alice@example.test", "smtp", YEAR / 2);
	assert_int_equal(password_check(&set, password[4]), 4);
	find("alice@example.test", "imap", YEAR / 2);
	assert_int_equal(password_check(&set, password[2]), 2);
	/* Dovecot sees all but the one that expired long ago */
	assert_int_equal(view("slot > 0"), 7);
	assert_int_equal(view("scope = '' OR instr(scope, ',imap,') > 0"), 8);
	assert_int_equal(view("scope = '' OR instr(scope, ',pop3,') > 0"), 6);
	FAILS(credentials_app_remove(c, "alice@example.test", "no such", &err), ERR_NOT_FOUND);
	OK(credentials_app_remove(c, "alice@example.test", "app 5", &err));
	FAILS(credentials_app_add(c, "alice@example.test", "app 6", "", 0, &app, password[0], &err),
	    ERR_EXISTS);
	OK(credentials_app_add(c, "alice@example.test", "new", "", 0, &app, password[0], &err));
	assert_int_equal(app.slot, 5);
	OK(credentials_used(c, "alice@example.test", 5, 1234, &err));
	OK(credentials_remove(c, "alice@example.test", &err));
	assert_int_equal(view("1"), 0);
}

static void
test_migration_from_version_1(void **state)
{
	struct db_schema first = credentials_schema;
	sqlite3 *db;

	(void)state;
	credentials_close(&c);
	remove("credentials.db");
	remove("credentials.db-wal");
	remove("credentials.db-shm");
	first.n_steps = 1;
	db = db_open(&first, DB_CREATE, &err);
	OK(db_exec(db,
	    "INSERT INTO accounts VALUES (3, 'ann@old.test', 1, 5);"
	    "INSERT INTO passwords (account, slot, hash, created) VALUES (3, 0, '" HASH
	    "', 5), (3, 2, 'x', 5)",
	    &err));
	db_close(&db);
	assert_null(credentials_open(DB_WRITE, &err));
	c = credentials_open(DB_CREATE, &err);
	assert_non_null(c);
	assert_int_equal(find("ann@old.test", "smtp", 1), 1);
	assert_string_equal(set.main, HASH);
	assert_string_equal(set.apps[1], "x");
	assert_int_equal(view("1"), 2);
}

static char rows_text[4000];

static void
keep_row(struct admin_out *out, const struct admin_word *words, size_t n)
{
	size_t at = strlen(rows_text), i;

	(void)out;
	for (i = 0; i < n; i++)
		if (strcmp(words[i].key, "created") != 0 && strcmp(words[i].key, "changed") != 0 &&
		    strcmp(words[i].key, "password") != 0 && strcmp(words[i].key, "expires") != 0)
			at += (size_t)snprintf(rows_text + at, sizeof(rows_text) - at, "%s=%s ",
			    words[i].key, words[i].value);
}

static int
run(const char *line)
{
	struct admin_out out = { keep_row };
	struct admin_request rq = { .fd = -1 };
	static char copy[1000];
	char *rest = copy;

	snprintf(copy, sizeof(copy), "%s", line);
	rq.verb = strsep(&rest, " ");
	while (rest != NULL) {
		rq.words[rq.n_words].key = strsep(&rest, " ");
		rq.words[rq.n_words++].value = rest == NULL ? "" : strsep(&rest, " ");
	}
	rows_text[0] = '\0';
	return admin_run(credentials_admin_verbs, c, &rq, &out, &err);
}

static void
test_verbs(void **state)
{
	static const struct {
		const char *line;
		int rc;
		const char *rows;
	} rows[] = {
		{ "cred.add address a@example.test password secret", 0, "" },
		{ "cred.add address b@example.test hash " HASH, 0, "" },
		{ "cred.add address c@example.test hash {PLAIN}secret", ERR_USAGE, "" },
		{ "cred.add address c@example.test", ERR_USAGE, "" },
		{ "cred.add address c@example.test password ", ERR_USAGE, "" },
		{ "cred.passwd address c@example.test password secret", ERR_NOT_FOUND, "" },
		{ "app.add address a@example.test label phone scope imap expires 86400", 0,
		    "slot=1 label=phone scope=imap " },
		{ "app.add address a@example.test label phone", ERR_EXISTS, "" },
		{ "app.add address a@example.test label x expires soon", ERR_USAGE, "" },
		{ "app.add address a@example.test label x expires 18446744073709551615", ERR_USAGE,
		    "" },
		{ "app.list address A@example.test", 0,
		    "slot=1 label=phone scope=imap last_used=0 " },
		{ "cred.show address a@example.test", 0,
		    "address=a@example.test enabled=yes app_passwords=1 last_used=0 " },
		{ "cred.disable address a@example.test", 0, "" },
		{ "cred.list", 0,
		    "address=a@example.test enabled=no app_passwords=1 last_used=0 "
		    "address=b@example.test enabled=yes app_passwords=0 last_used=0 " },
		{ "cred.enable address a@example.test", 0, "" },
		{ "app.remove address a@example.test label phone", 0, "" },
		{ "app.list address a@example.test", 0, "" },
		{ "cred.remove address a@example.test", 0, "" },
		{ "cred.show address a@example.test", ERR_NOT_FOUND, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		int rc = run(rows[i].line);

		if (rc == -1 && (int)err.kind != rows[i].rc)
			fail_msg("%s: %s", rows[i].line, err.text);
		if (rc == 0 && rows[i].rc != 0)
			fail_msg("%s: done", rows[i].line);
		assert_string_equal(rows_text, rows[i].rows);
	}
}

#define ROW(t) cmocka_unit_test_setup_teardown(t, enter, leave)

int
main(void)
{
	const struct CMUnitTest tests[] = { ROW(test_accounts), ROW(test_apps),
		ROW(test_migration_from_version_1), ROW(test_verbs) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
