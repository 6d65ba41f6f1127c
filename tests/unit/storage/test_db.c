/* db: opening, versions, migration, relative names, errors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/db.h"
#include "tests/unit/storage/scratch.h"

static const struct db_migration steps[] = {
	{ "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE); INSERT INTO t VALUES (1, "
	  "'one');" },
	{ "ALTER TABLE t ADD COLUMN size INTEGER NOT NULL DEFAULT 7;" },
	{ "CREATE TABLE broken (; " },
};
static const struct db_schema v1 = { "t.db", steps, 1, 0, false };
static const struct db_schema v2 = { "t.db", steps, 2, 0, false };
static const struct db_schema v3 = { "t.db", steps, 3, 0, false };

static int64_t
number(sqlite3 *db, const char *sql)
{
	struct err err;
	sqlite3_stmt *s = db_prepare(db, sql, &err);
	int64_t n;

	assert_non_null(s);
	assert_int_equal(db_step(db, s, &err), 1);
	n = db_i64(s, 0);
	db_done(&s);
	return n;
}

static void
make(const struct db_schema *schema)
{
	struct err err;
	sqlite3 *db = db_open(schema, DB_CREATE, &err);

	assert_non_null(db);
	db_close(&db);
	assert_null(db);
}

static void
test_create(void **state)
{
	struct stat st;
	struct err err;
	sqlite3 *db;

	(void)state;
	make(&v2);
	assert_int_equal(stat("t.db", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	db = db_open(&v2, DB_WRITE, &err);
	assert_non_null(db);
	assert_int_equal(number(db, "PRAGMA user_version"), 2);
	assert_int_equal(number(db, "PRAGMA synchronous"), 2);
	assert_int_equal(number(db, "PRAGMA foreign_keys"), 1);
	assert_int_equal(number(db, "PRAGMA trusted_schema"), 0);
	assert_int_equal(number(db, "SELECT size FROM t"), 7);
	db_close(&db);
	/* kept for readers under other uids */
	assert_int_equal(access("t.db-wal", F_OK), 0);
	assert_int_equal(access("t.db-shm", F_OK), 0);
	db_close(&db);
}

static void
test_missing(void **state)
{
	struct err err;

	(void)state;
	assert_null(db_open(&v2, DB_READ, &err));
	assert_non_null(strstr(err.text, "t.db"));
	assert_null(db_open(&v2, DB_WRITE, &err));
	assert_int_equal(access("t.db", F_OK), -1);
}

static void
test_migration(void **state)
{
	struct err err;
	struct stat st;
	sqlite3 *db;

	(void)state;
	make(&v1);
	assert_null(db_open(&v2, DB_WRITE, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.text, "tegamid"));
	make(&v2);
	assert_int_equal(stat("t.db.v1.bak", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(access("t.db.v1.bak.tmp", F_OK), -1);
	db = db_open(&v2, DB_READ, &err);
	assert_non_null(db);
	assert_int_equal(number(db, "SELECT size FROM t WHERE name = 'one'"), 7);
	db_close(&db);
	assert_int_equal(rename("t.db.v1.bak", "t.db"), 0);
	unlink("t.db-wal");
	unlink("t.db-shm");
	db = db_open(&v1, DB_WRITE, &err); /* the copy is a whole database of the old version */
	assert_non_null(db);
	db_close(&db);
}

static void
test_newer_and_foreign(void **state)
{
	struct err err;
	sqlite3 *db = NULL;

	(void)state;
	make(&v2);
	assert_null(db_open(&v1, DB_CREATE, &err));
	assert_non_null(strstr(err.text, "newer"));
	assert_int_equal(sqlite3_open("t.db", &db), SQLITE_OK);
	sqlite3_exec(db, "PRAGMA user_version = 0", NULL, NULL, NULL);
	sqlite3_close(db);
	assert_null(db_open(&v2, DB_CREATE, &err));
	assert_int_equal(err.kind, ERR_USAGE);
}

static void
test_broken_step_changes_nothing(void **state)
{
	struct err err;
	sqlite3 *db;

	(void)state;
	make(&v2);
	assert_null(db_open(&v3, DB_CREATE, &err));
	assert_non_null(strstr(err.text, "version 3"));
	db = db_open(&v2, DB_WRITE, &err);
	assert_non_null(db);
	db_close(&db);
}

static void
test_not_a_database(void **state)
{
	struct err err;
	int fd = open("t.db", O_WRONLY | O_CREAT, 0600);

	(void)state;
	assert_int_equal(
	    write(
		fd, "this is no database, but long enough to look at, I hope, so there it is", 70),
	    70);
	close(fd);
	assert_null(db_open(&v2, DB_CREATE, &err));
	assert_int_equal(err.kind, ERR_TEMPORARY);
	assert_int_equal(unlink("t.db"), 0);
	assert_int_equal(symlink("/tmp/elsewhere", "t.db"), 0);
	assert_null(db_open(&v2, DB_CREATE, &err));
}

static void
test_statements(void **state)
{
	struct err err;
	sqlite3 *db;
	sqlite3_stmt *s;

	(void)state;
	make(&v2);
	db = db_open(&v2, DB_WRITE, &err);
	assert_null(db_prepare(db, "SELECT nothing FROM nowhere", &err));
	s = db_prepare(db, "INSERT INTO t (name, size) VALUES (?1, ?2)", &err);
	db_bind_text(s, 1, "x'); DROP TABLE t; --");
	db_bind_i64(s, 2, INT64_MAX);
	assert_int_equal(db_run(db, s, &err), 0);
	assert_int_equal(db_run(db, s, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	db_bind_slice(s, 1, (struct slice){ "a\0b", 3 });
	assert_int_equal(db_run(db, s, &err), 0);
	db_bind_slice(s, 1, (struct slice){ NULL, 0 });
	assert_int_equal(db_run(db, s, &err), 0);
	db_done(&s);
	s = db_prepare(db, "SELECT name, size FROM t ORDER BY id", &err);
	assert_int_equal(db_step(db, s, &err), 1);
	assert_string_equal(db_text(s, 0), "one");
	assert_int_equal(db_step(db, s, &err), 1);
	assert_string_equal(db_text(s, 0), "x'); DROP TABLE t; --");
	assert_true(db_i64(s, 1) == INT64_MAX);
	assert_int_equal(db_step(db, s, &err), 1);
	assert_int_equal(db_blob(s, 0).len, 3);
	assert_int_equal(db_step(db, s, &err), 1);
	assert_int_equal(db_blob(s, 0).len, 0);
	assert_int_equal(db_step(db, s, &err), 0);
	db_done(&s);
	db_close(&db);
	db = db_open(&v2, DB_READ, &err);
	assert_int_equal(db_exec(db, "DELETE FROM t", &err), -1);
	db_close(&db);
}

/* The file must be reached through the working directory even when it cannot be reached by its
 * absolute name. */
static void
test_moved_directory(void **state)
{
	struct err err;
	sqlite3 *db;
	int fd;

	(void)state;
	assert_int_equal(mkdir("a", 0700), 0);
	assert_int_equal(chdir("a"), 0);
	make(&v2);
	db = db_open(&v2, DB_WRITE, &err);
	fd = open("..", O_RDONLY | O_DIRECTORY);
	assert_int_equal(renameat(fd, "a", fd, "b"), 0);
	assert_int_equal(db_exec(db, "INSERT INTO t (name) VALUES ('two')", &err), 0);
	db_close(&db);
	db = db_open(&v2, DB_WRITE, &err);
	assert_non_null(db);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 2);
	db_close(&db);
	assert_int_equal(fchdir(fd), 0);
	close(fd);
}

#define ROW(t) cmocka_unit_test_setup_teardown(t, scratch_enter, scratch_leave)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_create),
		ROW(test_missing),
		ROW(test_migration),
		ROW(test_newer_and_foreign),
		ROW(test_broken_step_changes_nothing),
		ROW(test_not_a_database),
		ROW(test_statements),
		ROW(test_moved_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
