/* directory: changes, look-up, ceilings, senders, migration, verbs */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/address.h"
#include "storage/directory.h"
#include "storage/directory_admin.h"
#include "tests/unit/storage/scratch.h"

static struct directory *d;
static struct pool *pool;
static struct directory_answer answer;
static struct err err;

static const struct directory_settings settings = { "mx.example.test", "+", 1000 };

static int
enter(void **state)
{
	if (scratch_enter(state) == -1)
		return -1;
	d = directory_open(DB_CREATE, &settings, &err);
	pool = pool_new(16 * 1024 * 1024);
	return d != NULL && pool != NULL ? 0 : -1;
}

static int
leave(void **state)
{
	directory_close(&d);
	pool_free(&pool);
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
alias(const char *address, const char *a, const char *b)
{
	const char *targets[] = { a, b };

	return directory_alias_add(d, address, targets, b == NULL ? 1 : 2, &err);
}

/* "ok local alice@x remote bob@y", or the status. */
static const char *
look(const char *address)
{
	static const char *const status[] = { "ok", "unknown", "not ours", "over quota",
		"temporary" };
	static char text[20000];
	size_t i, n;

	directory_lookup(d, slice_of(address), pool, &answer);
	n = (size_t)snprintf(text, sizeof(text), "%s", status[answer.status]);
	for (i = 0; i < answer.n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s%s",
		    answer.targets[i].kind == RCPT_REMOTE ? ">" : "", answer.targets[i].address);
	return text;
}

static void
fill(void)
{
	OK(directory_domain_add(d, "example.test", &err));
	OK(directory_domain_add(d,
	    "B\xc3\xbc"
	    "cher.test",
	    &err));
	OK(directory_user_add(d, "alice@example.test", "Alice", -1, &err));
	OK(directory_user_add(d, "Bob@Example.Test", "", 5000, &err));
	OK(directory_user_add(d, "carol@xn--bcher-kva.test", "", 0, &err));
	OK(alias("team@example.test", "alice@example.test", "bob@example.test"));
	OK(alias("out@example.test", "x@elsewhere.example", "Alice@example.test"));
	OK(alias("both@example.test", "team@example.test", "out@example.test"));
	OK(alias("@xn--bcher-kva.test", "alice@example.test", NULL));
}

static void
test_lookup(void **state)
{
	static const struct {
		const char *address, *want;
	} rows[] = {
		{ "alice@example.test", "ok alice@example.test" },
		{ "ALICE@EXAMPLE.TEST", "ok alice@example.test" },
		{ "\"alice\"@example.test", "ok alice@example.test" },
		{ "alice+shop@example.test", "ok alice@example.test" },
		{ "alice+a+b@example.test", "ok alice@example.test" },
		{ "team@example.test", "ok alice@example.test bob@example.test" },
		{ "team+x@example.test", "ok alice@example.test bob@example.test" },
		{ "out@example.test", "ok >x@elsewhere.example alice@example.test" },
		{ "both@example.test",
		    "ok alice@example.test bob@example.test >x@elsewhere.example" },
		{ "nobody@example.test", "unknown" },
		{ "+alice@example.test", "unknown" },
		{ "carol@b\xc3\xbc"
		  "cher.test",
		    "ok carol@xn--bcher-kva.test" },
		{ "anyone@b\xc3\xbc"
		  "cher.test",
		    "ok alice@example.test" },
		{ "postmaster@example.test", "ok alice@example.test" },
		{ "Abuse@example.test", "ok alice@example.test" },
		{ "postmaster+x@example.test", "ok alice@example.test" },
		{ "postmaster", "ok alice@example.test" },
		{ "Postmaster@mx.example.test", "ok alice@example.test" },
		{ "root@mx.example.test", "ok alice@example.test" },
		{ "postmaster@b\xc3\xbc"
		  "cher.test",
		    "ok alice@example.test" },
		{ "alice@mx.example.test", "unknown" },
		{ "alice", "unknown" },
		{ "x@elsewhere.example", "not ours" },
		{ "alice@sub.example.test", "not ours" },
		{ "alice@[192.0.2.1]", "not ours" },
		{ "", "unknown" },
		{ "@example.test", "unknown" },
		{ "alice@", "unknown" },
		{ "alice@example.test\n", "unknown" },
		{ "x' OR '1'='1@example.test", "unknown" },
		{ "\"x' OR '1'='1\"@example.test", "unknown" },
		{ "%@example.test", "unknown" },
		{ "_lice@example.test", "unknown" },
		{ "\"..\"@example.test", "unknown" },
		{ "\"../alice\"@example.test", "unknown" },
		{ "\xff\xfe@example.test", "unknown" },
		{ "al\xc3\xad"
		  "ce@example.test",
		    "unknown" },
	};
	size_t i;

	(void)state;
	fill();
	for (i = 0; i < COUNT(rows); i++)
		if (strcmp(look(rows[i].address), rows[i].want) != 0)
			fail_msg("%s: %s (%s)", rows[i].address, look(rows[i].address), answer.why);
	look("alice@example.test");
	assert_string_equal(answer.targets[0].home, "example.test/alice");
	assert_int_equal(answer.targets[0].quota, 1000);
	look("bob@example.test");
	assert_int_equal(answer.targets[0].quota, 5000);
	look("carol@b\xc3\xbc"
	     "cher.test");
	assert_int_equal(answer.targets[0].quota, 0);
}

static void
test_separator(void **state)
{
	struct directory_settings other = { "mx.example.test", "--", 0 };

	(void)state;
	fill();
	OK(directory_configure(d, &other, &err));
	assert_string_equal(look("alice--x@example.test"), "ok alice@example.test");
	assert_string_equal(look("alice+x@example.test"), "unknown");
	other.separator = "";
	OK(directory_configure(d, &other, &err));
	assert_string_equal(look("alice--x@example.test"), "unknown");
	other.separator = "far too long";
	FAILS(directory_configure(d, &other, &err), ERR_USAGE);
}

static void
test_exact_name_wins(void **state)
{
	(void)state;
	fill();
	OK(directory_user_add(d, "alice+vip@example.test", "", 0, &err));
	assert_string_equal(look("alice+vip@example.test"), "ok alice+vip@example.test");
	OK(alias("bob+x@example.test", "alice@example.test", NULL));
	assert_string_equal(look("bob+x@example.test"), "ok alice@example.test");
}

/* A user with an alias of the same name: forwarding, with or without a copy of one's own. */
static void
test_user_and_alias(void **state)
{
	(void)state;
	fill();
	OK(alias("alice@example.test", "x@elsewhere.example", NULL));
	assert_string_equal(look("alice@example.test"), "ok >x@elsewhere.example");
	assert_string_equal(look("team@example.test"), "ok >x@elsewhere.example bob@example.test");
	OK(alias("alice@example.test", "alice@example.test", NULL));
	assert_string_equal(
	    look("alice@example.test"), "ok >x@elsewhere.example alice@example.test");
	OK(alias("bob@example.test", "loop@example.test", NULL));
	OK(alias("loop@example.test", "bob@example.test", NULL));
	assert_string_equal(look("bob@example.test"), "ok bob@example.test");
}

static void
test_circles(void **state)
{
	const char *a[] = { "b@example.test" }, *b[] = { "a@example.test" };

	(void)state;
	fill();
	OK(directory_alias_add(d, "a@example.test", a, 1, &err)); /* b is not there yet */
	FAILS(directory_alias_add(d, "b@example.test", b, 1, &err), ERR_USAGE);
	assert_non_null(strstr(err.text, "back to itself"));
	assert_string_equal(look("b@example.test"), "unknown");
	/* one that came in some other way */
	OK(db_exec(directory_db(d),
	    "INSERT INTO aliases (domain, local, target, created) VALUES (1, 'b', "
	    "'a@example.test', 0)",
	    &err));
	assert_string_equal(look("a@example.test"), "temporary");
	assert_string_equal(look("b@example.test"), "temporary");
	/* a way out */
	OK(alias("b@example.test", "alice@example.test", NULL));
	assert_string_equal(look("a@example.test"), "ok alice@example.test");
}

static void
test_ceilings(void **state)
{
	char names[101][40], text[160];
	const char *targets[101];
	int i;

	(void)state;
	fill();
	for (i = 0; i < 101; i++) {
		snprintf(names[i], sizeof(names[i]), "u%d@elsewhere.example", i);
		targets[i] = names[i];
	}
	FAILS(directory_alias_add(d, "many@example.test", targets, 101, &err), ERR_USAGE);
	FAILS(directory_alias_add(d, "many@example.test", targets, 0, &err), ERR_USAGE);
	OK(directory_alias_add(d, "many@example.test", targets, 100, &err));
	look("many@example.test");
	assert_int_equal(answer.n, 100);
	FAILS(alias("many@example.test", "u100@elsewhere.example", NULL), ERR_USAGE);
	FAILS(alias("more@example.test", "many@example.test", "alice@example.test"), ERR_USAGE);
	assert_string_equal(look("more@example.test"), "unknown");
	/* depth */
	for (i = 0; i < 40; i++) {
		snprintf(text, sizeof(text),
		    "INSERT INTO aliases (domain, local, target, created) VALUES (1, 'd%d', "
		    "'d%d@example.test', 0)",
		    i, i + 1);
		OK(db_exec(directory_db(d), text, &err));
	}
	OK(db_exec(directory_db(d),
	    "UPDATE aliases SET target = 'alice@example.test' WHERE local = 'd39'", &err));
	assert_string_equal(look("d0@example.test"), "temporary");
	assert_string_equal(look("d30@example.test"), "ok alice@example.test");
	/* breadth: 100 aliases of 100 targets that do not exist */
	for (i = 0; i < 100; i++) {
		int k;

		OK(db_exec(directory_db(d), "BEGIN", &err));
		for (k = 0; k < 100; k++) {
			char sql[160];

			snprintf(sql, sizeof(sql),
			    "INSERT INTO aliases (domain, local, target, created) VALUES (1, "
			    "'w%d', 'n%d-%d@example.test', 0)",
			    i, i, k);
			OK(db_exec(directory_db(d), sql, &err));
			if (k == 0) {
				snprintf(sql, sizeof(sql),
				    "INSERT INTO aliases (domain, local, target, created) VALUES "
				    "(1, 'wide', 'w%d@example.test', 0)",
				    i);
				OK(db_exec(directory_db(d), sql, &err));
			}
		}
		OK(db_exec(directory_db(d), "COMMIT", &err));
	}
	assert_string_equal(look("wide@example.test"), "temporary");
}

static void
test_out_of_memory(void **state)
{
	struct pool *small = pool_new(10);

	(void)state;
	fill();
	directory_lookup(d, SLICE("team@example.test"), small, &answer);
	assert_int_equal(answer.status, RCPT_TEMPORARY);
	pool_free(&small);
}

static void
test_missing_and_disabled(void **state)
{
	(void)state;
	fill();
	OK(directory_user_enable(d, "bob@example.test", false, &err));
	assert_string_equal(look("bob@example.test"), "unknown");
	assert_non_null(strstr(answer.why, "disabled"));
	assert_string_equal(look("team@example.test"), "ok alice@example.test");
	assert_non_null(strstr(answer.why, "bob@example.test"));
	OK(directory_user_remove(d, "alice@example.test", &err));
	assert_string_equal(look("team@example.test"), "unknown");
	/* nobody is left who could be postmaster */
	assert_string_equal(look("postmaster@example.test"), "unknown");
	OK(directory_user_enable(d, "bob@example.test", true, &err));
	assert_string_equal(look("postmaster@example.test"), "ok bob@example.test");
	/* a disabled user's mail does not go to the catch-all */
	OK(directory_user_enable(d,
	    "carol@b\xc3\xbc"
	    "cher.test",
	    false, &err));
	assert_string_equal(look("carol@b\xc3\xbc"
				 "cher.test"),
	    "unknown");
}

static void
test_whole_domain(void **state)
{
	(void)state;
	fill();
	OK(directory_domain_add(d, "old.test", &err));
	OK(alias("@old.test", "@example.test", NULL));
	assert_string_equal(look("alice@old.test"), "ok alice@example.test");
	assert_string_equal(look("alice+x@old.test"), "ok alice@example.test");
	assert_string_equal(look("team@old.test"), "ok alice@example.test bob@example.test");
	assert_string_equal(look("nobody@old.test"), "unknown");
	OK(alias("@example.test", "@old.test", NULL));
	assert_string_equal(look("nobody@old.test"), "temporary");
	assert_string_equal(look("alice@old.test"), "ok alice@example.test");
	FAILS(alias("x@example.test", "@old.test", NULL), ERR_USAGE);
}

static void
test_senders(void **state)
{
	static const struct {
		const char *user, *address;
		int may;
	} rows[] = {
		{ "alice@example.test", "alice@example.test", 1 },
		{ "alice@example.test", "Alice+x@Example.Test", 1 },
		{ "alice@example.test", "team@example.test", 1 },
		{ "alice@example.test", "both@example.test", 1 },
		{ "alice@example.test", "", 1 },
		/* their mail comes to the first user only because nobody is named for it */
		{ "alice@example.test", "postmaster@example.test", 0 },
		{ "alice@example.test", "abuse+x@example.test", 0 },
		{ "alice@example.test", "postmaster", 0 },
		{ "alice@example.test",
		    "any@b\xc3\xbc"
		    "cher.test",
		    1 },
		{ "alice@example.test",
		    "carol@b\xc3\xbc"
		    "cher.test",
		    0 },
		{ "bob@example.test", "postmaster@example.test", 0 },
		{ "bob@example.test", "alice@example.test", 0 },
		{ "bob@example.test", "out@example.test", 0 },
		{ "bob@example.test", "x@elsewhere.example", 0 },
		{ "bob@example.test", "nobody@example.test", 0 },
		{ "bob@example.test", "bob@elsewhere.example", 0 },
	};
	const char *why;
	size_t i;

	(void)state;
	fill();
	for (i = 0; i < COUNT(rows); i++) {
		int may = directory_may_send(
		    d, slice_of(rows[i].user), slice_of(rows[i].address), pool, &why, &err);

		if (may != rows[i].may || (may == 0) != (why[0] != '\0'))
			fail_msg("%s as %s: %d %s", rows[i].user, rows[i].address, may, why);
	}
}

/* An address stays its owner's when mail to it goes elsewhere; a longer name of somebody else's does
 * not become theirs. */
static void
test_senders_with_aliases_on_top(void **state)
{
	static const struct {
		const char *user, *address;
		int may;
	} rows[] = {
		{ "alice@example.test", "alice@example.test", 1 },
		{ "alice@example.test", "alice+tag@example.test", 1 },
		{ "alice@example.test", "alice+bob@example.test", 0 },
		{ "bob@example.test", "alice+bob@example.test", 1 },
		{ "bob@example.test", "alice@example.test", 1 }, /* mail to it reaches him */
		{ "bob@example.test", "bob@example.test", 1 },
		{ "alice@example.test", "bob@example.test", 0 },
	};
	const char *why;
	size_t i;

	(void)state;
	fill();
	OK(alias("alice@example.test", "bob@example.test", NULL));
	OK(alias("alice+bob@example.test", "bob@example.test", NULL));
	for (i = 0; i < COUNT(rows); i++) {
		int may = directory_may_send(
		    d, slice_of(rows[i].user), slice_of(rows[i].address), pool, &why, &err);

		if (may != rows[i].may)
			fail_msg("%s as %s: %d %s", rows[i].user, rows[i].address, may, why);
	}
}

/* A role is written as by whom an alias names, also when its mail reaches the first user besides. */
static void
test_senders_of_roles(void **state)
{
	static const struct {
		const char *user, *address;
		int may;
	} rows[] = {
		{ "alice@example.test", "postmaster@example.test", 0 },
		{ "bob@example.test", "postmaster@example.test", 1 },
		{ "alice@example.test", "abuse@example.test", 0 },
		{ "alice@example.test", "help@example.test", 1 },
		{ "alice@example.test", "desk@example.test", 0 },
	};
	const char *why;
	size_t i;

	(void)state;
	fill();
	OK(alias("postmaster@example.test", "bob+x@example.test", NULL));
	OK(alias("help@example.test", "abuse@example.test", "alice@example.test"));
	OK(alias("desk@example.test", "abuse@example.test", "bob@example.test"));
	for (i = 0; i < COUNT(rows); i++) {
		int may = directory_may_send(
		    d, slice_of(rows[i].user), slice_of(rows[i].address), pool, &why, &err);

		if (may != rows[i].may)
			fail_msg("%s as %s: %d %s", rows[i].user, rows[i].address, may, why);
	}
}

static void
test_changes_refused(void **state)
{
	const char *gone[] = { "bob@example.test" };

	(void)state;
	fill();
	FAILS(directory_domain_add(d, "EXAMPLE.test", &err), ERR_EXISTS);
	FAILS(directory_domain_add(d, "nodots", &err), ERR_USAGE);
	FAILS(directory_domain_add(d, "[192.0.2.1]", &err), ERR_USAGE);
	FAILS(directory_domain_add(d, "a/b.test", &err), ERR_USAGE);
	FAILS(directory_domain_remove(d, "example.test", &err), ERR_USAGE);
	FAILS(directory_domain_remove(d, "no.test", &err), ERR_NOT_FOUND);
	FAILS(directory_user_add(d, "alice@example.test", "", 0, &err), ERR_EXISTS);
	FAILS(directory_user_add(d, "alice@no.test", "", 0, &err), ERR_NOT_FOUND);
	FAILS(directory_user_add(d, "alice", "", 0, &err), ERR_USAGE);
	FAILS(directory_user_add(d, "\"..\"@example.test", "", 0, &err), ERR_USAGE);
	FAILS(directory_user_add(d, "a/b@example.test", "", 0, &err), ERR_USAGE);
	FAILS(directory_user_add(d, "@example.test", "", 0, &err), ERR_USAGE);
	FAILS(directory_user_remove(d, "nobody@example.test", &err), ERR_NOT_FOUND);
	FAILS(directory_user_quota(d, "nobody@example.test", 1, &err), ERR_NOT_FOUND);
	FAILS(alias("team@example.test", "alice@example.test", NULL), ERR_EXISTS);
	FAILS(alias("new@example.test", "no domain", NULL), ERR_USAGE);
	FAILS(alias("new@example.test", "alice@example.test", "x@"), ERR_USAGE);
	assert_string_equal(look("new@example.test"), "unknown");
	FAILS(alias("new@no.test", "alice@example.test", NULL), ERR_NOT_FOUND);
	FAILS(directory_alias_remove(d, "new@example.test", NULL, 0, &err), ERR_NOT_FOUND);
	OK(directory_alias_remove(d, "team@example.test", gone, 1, &err));
	FAILS(directory_alias_remove(d, "team@example.test", gone, 1, &err), ERR_NOT_FOUND);
	assert_string_equal(look("team@example.test"), "ok alice@example.test");
	OK(directory_alias_remove(d, "team@example.test", NULL, 0, &err));
	assert_string_equal(look("team@example.test"), "unknown");
}

/* A file as the first version made it is copied, upgraded and still holds all that was in it. */
static void
test_migration_from_version_1(void **state)
{
	struct db_schema first = directory_schema;
	sqlite3 *db;

	(void)state;
	directory_close(&d);
	remove("directory.db");
	remove("directory.db-wal");
	remove("directory.db-shm");
	first.n_steps = 1;
	db = db_open(&first, DB_CREATE, &err);
	OK(db_exec(db,
	    "INSERT INTO domains VALUES (7, 'old.test', 1);"
	    "INSERT INTO users (domain, local, quota, enabled, created) VALUES (7, 'ann', 500, 1, "
	    "1), (7, 'ben', -1, 1, 1), (7, 'cy', 0, 0, 1);"
	    "INSERT INTO aliases (domain, local, target, created) VALUES (7, '', 'ann@old.test', "
	    "1);",
	    &err));
	db_close(&db);
	assert_null(directory_open(DB_WRITE, &settings, &err));
	d = directory_open(DB_CREATE, &settings, &err);
	assert_non_null(d);
	assert_string_equal(look("ann@old.test"), "ok ann@old.test");
	assert_string_equal(look("any@old.test"), "ok ann@old.test");
	assert_string_equal(look("cy@old.test"), "unknown");
	OK(directory_user_add(d, "new@old.test", "N. E. W.", 1, &err));
	first = directory_schema;
	first.n_steps = 1;
	first.file = "directory.db.v1.bak";
	db = db_open(&first, DB_WRITE, &err);
	assert_non_null(db);
	db_close(&db);
}

static void
test_dovecot_view(void **state)
{
	static const char sql[] =
	    "SELECT user || ' ' || home || ' ' || quota_rule FROM dovecot_userdb ORDER BY user";
	static const char *const want[] = {
		"alice@example.test example.test/alice *:bytes=1000",
		"bob@example.test example.test/bob *:bytes=5000",
		"carol@xn--bcher-kva.test xn--bcher-kva.test/carol *:bytes=0",
	};
	sqlite3_stmt *s;
	size_t i;

	(void)state;
	fill();
	OK(directory_user_add(d, "dora@example.test", "", 0, &err));
	OK(directory_user_enable(d, "dora@example.test", false, &err));
	s = db_prepare(directory_db(d), sql, &err);
	for (i = 0; i < COUNT(want); i++) {
		assert_int_equal(db_step(directory_db(d), s, &err), 1);
		assert_string_equal(db_text(s, 0), want[i]);
	}
	assert_int_equal(db_step(directory_db(d), s, &err), 0);
	db_done(&s);
}

/* -- verbs */

static char rows_text[20000];

static void
keep_row(struct admin_out *out, const struct admin_word *words, size_t n)
{
	size_t at = strlen(rows_text), i;

	(void)out;
	for (i = 0; i < n; i++)
		if (strcmp(words[i].key, "created") != 0)
			at += (size_t)snprintf(rows_text + at, sizeof(rows_text) - at, "%s=%s ",
			    words[i].key, words[i].value);
	snprintf(rows_text + at, sizeof(rows_text) - at, "\n");
}

/* "verb key value key value ..." */
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
	return admin_run(directory_admin_verbs, d, &rq, &out, &err);
}

static void
test_verbs(void **state)
{
	static const struct {
		const char *line;
		int rc; /* 0, or the kind of the error */
		const char *rows;
	} rows[] = {
		{ "domain.list", 0, "" },
		{ "domain.add domain example.test", 0, "" },
		{ "domain.add", ERR_USAGE, "" },
		{ "domain.add domain example.test", ERR_EXISTS, "" },
		{ "user.add address alice@example.test quota 2M name Alice", 0, "" },
		{ "user.add address bob@example.test", 0, "" },
		{ "user.add address carl@example.test quota x", ERR_USAGE, "" },
		{ "user.add address carl@example.test quota 99999999999G", ERR_USAGE, "" },
		{ "user.add address carl@example.test quota -5", ERR_USAGE, "" },
		{ "user.list", 0,
		    "address=alice@example.test name=Alice enabled=yes quota=2097152 "
		    "quota_default=no home=example.test/alice \n"
		    "address=bob@example.test name= enabled=yes quota=1000 quota_default=yes "
		    "home=example.test/bob \n" },
		{ "user.quota address bob@example.test quota 0", 0, "" },
		{ "user.quota address bob@example.test", ERR_USAGE, "" },
		{ "user.disable address bob@example.test", 0, "" },
		{ "user.show address BOB@example.test", 0,
		    "address=bob@example.test name= enabled=no quota=0 quota_default=no "
		    "home=example.test/bob \n" },
		{ "user.enable address bob@example.test", 0, "" },
		{ "user.show address carl@example.test", ERR_NOT_FOUND, "" },
		{ "user.list domain no.test", ERR_NOT_FOUND, "" },
		{ "alias.add address info@example.test target alice@example.test target "
		  "x@y.example",
		    0, "" },
		{ "alias.add address info@example.test", ERR_USAGE, "" },
		{ "alias.list domain example.test", 0,
		    "address=info@example.test target=alice@example.test "
		    "\naddress=info@example.test target=x@y.example \n" },
		{ "domain.list", 0, "domain=example.test users=2 aliases=1 \n" },
		{ "domain.show domain example.test", 0,
		    "domain=example.test users=2 aliases=1 \n" },
		{ "domain.show domain no.test", ERR_NOT_FOUND, "" },
		{ "directory.check", 0,
		    "name=postmaster state=warning text=postmaster@example.test is not set up: its "
		    "mail goes to alice@example.test "
		    "advice=name who reads it with `tegami alias add` \n" },
		{ "alias.add address postmaster@example.test target bob@example.test", 0, "" },
		{ "directory.check", 0,
		    "name=directory state=ok text=every alias leads to somebody, and every domain "
		    "has a postmaster advice= \n" },
		{ "user.remove address bob@example.test", 0, "" },
		{ "directory.check", 0,
		    "name=alias state=error text=postmaster@example.test: there is no mailbox "
		    "bob@example.test "
		    "advice=add what is missing, or take the target away with `tegami alias "
		    "remove` \n" },
		{ "alias.remove address info@example.test target x@y.example", 0, "" },
		{ "alias.remove address info@example.test", 0, "" },
		{ "domain.remove domain example.test", ERR_USAGE, "" },
		{ "user.remove address alice@example.test", 0, "" },
		{ "domain.remove domain example.test", 0, "" },
		{ "alias.list", 0, "" },
		{ "no.verb", ERR_USAGE, "" },
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
	const struct CMUnitTest tests[] = {
		ROW(test_lookup),
		ROW(test_separator),
		ROW(test_exact_name_wins),
		ROW(test_user_and_alias),
		ROW(test_circles),
		ROW(test_ceilings),
		ROW(test_out_of_memory),
		ROW(test_missing_and_disabled),
		ROW(test_whole_domain),
		ROW(test_senders),
		ROW(test_senders_with_aliases_on_top),
		ROW(test_senders_of_roles),
		ROW(test_changes_refused),
		ROW(test_migration_from_version_1),
		ROW(test_dovecot_view),
		ROW(test_verbs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
