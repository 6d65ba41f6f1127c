/* queue_store: what is there after a commit, after a crash at any point, and when rows are damaged
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/queue_store.h"
#include "storage/rescue.h"
#include "tests/unit/storage/scratch.h"

static struct err err;

static void
make_db(void)
{
	sqlite3 *db = db_open(&queue_schema, DB_CREATE, &err);

	assert_non_null(db);
	db_close(&db);
}

static struct queue_store *
open_store(void)
{
	struct queue_store *s = queue_store_open(&err);

	assert_non_null(s);
	return s;
}

static void
put(struct queue_store *s, uint64_t qid, size_t n_rcpts)
{
	struct rcpt rcpts[8] = { 0 };
	struct envelope e = { .qid = qid,
		.flags = ENVELOPE_8BIT,
		.from = "s@example.test",
		.msgid = "<m@x>",
		.ip = "192.0.2.1",
		.envid = "QQ+2B314159",
		.prefix = SLICE("Received: x\r\n"),
		.body = SLICE("Subject: s\r\n\r\nbody\r\n"),
		.rcpts = rcpts,
		.n_rcpts = n_rcpts,
		.n_cuts = 1,
		.cuts = { { 2, 3 } } };

	e.size = e.body.len;
	for (size_t i = 0; i < n_rcpts; i++)
		rcpts[i] = (struct rcpt){ i % 2 ? RCPT_REMOTE : RCPT_LOCAL, "a@example.test",
			"example.test/a", "", "A@example.test", i % 2 ? NOTIFY_NEVER : 0,
			i % 2 ? "rfc822;A@example.test" : "" };
	assert_int_equal(queue_store_put(s, &e, 5000, &err), 0);
}

static const char *const state_names[] = { "waiting", "staged", "held", "reporting" };

/* A row in words: "QID/N STATE ATTEMPTS FILE;" */
static bool
describe(void *arg, const struct queue_row *r)
{
	char *out = arg;

	sprintf(out + strlen(out), "%llu/%u %s %u %s;", (unsigned long long)r->qid, r->n,
	    state_names[r->p.state], r->p.attempts, r->file);
	return true;
}

static const char *
rows(struct queue_store *s)
{
	static char out[4000];
	struct queue_cursor at = { 0 };
	unsigned unreadable = 0;

	out[0] = '\0';
	assert_true(queue_store_walk(s, &at, false, 1000, describe, out, &unreadable, &err) >= 0);
	assert_int_equal(unreadable, 0);
	return out;
}

/* What stands on disk after each step of a message with two recipients. */
static void
step_put(struct queue_store *s)
{
	put(s, 7, 2);
}

static void
step_staged(struct queue_store *s)
{
	assert_int_equal(queue_store_staged(s, 7, 0, ".stage/f", &err), 0);
}

static void
step_deferred(struct queue_store *s)
{
	struct queue_progress p = { QUEUE_WAITING, 3, true, 99, "later" };

	assert_int_equal(queue_store_progress(s, 7, 1, &p, &err), 0);
}

static void
step_held(struct queue_store *s)
{
	struct queue_progress p = { QUEUE_HELD, 4, true, 99, "held" };

	assert_int_equal(queue_store_progress(s, 7, 1, &p, &err), 0);
}

static void
step_done_first(struct queue_store *s)
{
	assert_int_equal(queue_store_done(s, 7, 0, false, &err), 0);
}

static void
step_done_last(struct queue_store *s)
{
	assert_int_equal(queue_store_done(s, 7, 1, true, &err), 0);
}

static const struct {
	void (*step)(struct queue_store *s);
	const char *rows;
} steps[] = {
	{ step_put, "7/0 waiting 0 ;7/1 waiting 0 ;" },
	{ step_staged, "7/0 staged 0 .stage/f;7/1 waiting 0 ;" },
	{ step_deferred, "7/0 staged 0 .stage/f;7/1 waiting 3 ;" },
	{ step_held, "7/0 staged 0 .stage/f;7/1 held 4 ;" },
	{ step_done_first, "7/1 held 4 ;" },
	{ step_done_last, "" },
};

static void
commit(struct queue_store *s)
{
	assert_int_equal(queue_store_commit(s, &err), 0);
}

static void
test_steps(void **state)
{
	struct queue_store *s;

	(void)state;
	make_db();
	s = open_store();
	for (size_t i = 0; i < COUNT(steps); i++) {
		assert_int_equal(queue_store_begin(s, &err), 0);
		steps[i].step(s);
		commit(s);
		assert_string_equal(rows(s), steps[i].rows);
	}
	queue_store_close(&s);
}

static void
copy_file(const char *from, const char *to)
{
	char bytes[65536];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n;

	assert_true(in != -1 && out != -1);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(out, bytes, (size_t)n), n);
	close(in);
	close(out);
}

/* The crash: the files as they are in mid-transaction, opened as a new start would. */
static void
crash_and_look(const char *want)
{
	struct queue_store *s;

	assert_int_equal(mkdir("crash", 0700), 0);
	copy_file("queue.db", "crash/queue.db");
	copy_file("queue.db-wal", "crash/queue.db-wal");
	assert_int_equal(chdir("crash"), 0);
	s = open_store();
	assert_int_equal(queue_store_checkpoint(s, true, &err), 0);
	assert_string_equal(rows(s), want);
	queue_store_close(&s);
	unlink("queue.db");
	unlink("queue.db-wal");
	unlink("queue.db-shm");
	assert_int_equal(chdir(".."), 0);
	assert_int_equal(rmdir("crash"), 0);
}

static bool
journal_damaged(void)
{
	int d = open("queue.db", O_RDONLY), w = open("queue.db-wal", O_RDONLY);
	bool damaged = rescue_journal_damaged(d, w);

	close(d);
	close(w);
	return damaged;
}

/* A journal that was made longer is no damaged one, neither unused nor with mail in front. */
static void
test_lengthened(void **state)
{
	struct queue_store *s;
	struct stat st;
	int fd;

	(void)state;
	make_db();
	s = open_store();
	assert_int_equal(queue_store_checkpoint(s, true, &err), 0);
	queue_store_lengthen(s, 1 << 20);
	assert_int_equal(stat("queue.db-wal", &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_false(journal_damaged());
	crash_and_look("");
	assert_int_equal(queue_store_begin(s, &err), 0);
	step_put(s);
	crash_and_look("");
	commit(s);
	assert_false(journal_damaged());
	crash_and_look(steps[0].rows);
	queue_store_close(&s);
	assert_int_equal(stat("queue.db-wal", &st), 0);
	fd = open("queue.db-wal", O_WRONLY | O_TRUNC);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(pwrite(fd, "\0\0\0\7", 4, 32 + 24 + 4096), 4);
	close(fd);
	assert_true(journal_damaged()); /* its beginning is lost, not unused */
}

static void
test_crash_at_every_step(void **state)
{
	struct queue_store *s;
	const char *before = "";

	(void)state;
	make_db();
	s = open_store();
	for (size_t i = 0; i < COUNT(steps); i++) {
		assert_int_equal(queue_store_begin(s, &err), 0);
		steps[i].step(s);
		crash_and_look(before); /* not committed: as if it never was */
		commit(s);
		crash_and_look(steps[i].rows); /* committed: there */
		before = steps[i].rows;
	}
	queue_store_close(&s);
}

static void
test_rollback(void **state)
{
	struct queue_store *s;

	(void)state;
	make_db();
	s = open_store();
	queue_store_begin(s, &err);
	put(s, 9, 1);
	queue_store_rollback(s);
	queue_store_rollback(s);
	assert_string_equal(rows(s), "");
	queue_store_begin(s, &err);
	put(s, 9, 1);
	commit(s);
	queue_store_begin(s, &err);
	struct envelope again = { .qid = 9, .from = "", .msgid = "", .ip = "" };
	assert_int_equal(queue_store_put(s, &again, 0, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	queue_store_rollback(s);
	assert_string_equal(rows(s), "9/0 waiting 0 ;");
	queue_store_close(&s);
}

static void
test_repeated(void **state)
{
	struct queue_store *s;

	(void)state;
	make_db();
	s = open_store();
	/* work whose commit failed is done again, perhaps after it stood already */
	for (int twice = 0; twice < 2; twice++) {
		queue_store_begin(s, &err);
		assert_int_equal(queue_store_staged(s, 7, 0, "f", &err), 0);
		assert_int_equal(queue_store_done(s, 7, 0, false, &err), 0);
		assert_int_equal(queue_store_done(s, 7, 1, true, &err), 0);
		commit(s);
	}
	queue_store_close(&s);
}

static void
test_load(void **state)
{
	struct queue_store *s;
	struct queue_content c;

	(void)state;
	make_db();
	s = open_store();
	queue_store_begin(s, &err);
	put(s, 7, 5);
	queue_store_done(s, 7, 0, false, &err);
	queue_store_done(s, 7, 3, false, &err);
	commit(s);
	assert_int_equal(queue_store_load(s, 7, &c, &err), 0);
	assert_string_equal(c.e.from, "s@example.test");
	assert_int_equal(c.e.flags, ENVELOPE_8BIT);
	assert_true(slice_eq(c.e.body, SLICE("Subject: s\r\n\r\nbody\r\n")));
	assert_true(slice_eq(c.e.prefix, SLICE("Received: x\r\n")));
	assert_int_equal(c.e.n_cuts, 1);
	assert_int_equal(c.e.cuts[0].len, 3);
	assert_int_equal(c.e.n_rcpts, 3);
	assert_int_equal(c.numbers[0], 1);
	assert_int_equal(c.numbers[1], 2);
	assert_int_equal(c.numbers[2], 4);
	assert_int_equal(c.e.rcpts[0].kind, RCPT_REMOTE);
	assert_string_equal(c.e.rcpts[1].home, "example.test/a");
	assert_string_equal(c.e.envid, "QQ+2B314159");
	assert_int_equal(c.e.rcpts[0].notify, NOTIFY_NEVER);
	assert_string_equal(c.e.rcpts[0].orcpt, "rfc822;A@example.test");
	assert_int_equal(c.e.rcpts[1].notify, 0);
	assert_string_equal(c.e.rcpts[1].orcpt, "");
	queue_content_free(&c);
	assert_int_equal(queue_store_load(s, 8, &c, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	queue_store_close(&s);
}

/* A database of version 1 with mail in it: it goes on, and new mail has the new fields. */
static void
test_upgrade(void **state)
{
	const struct db_schema v1 = { queue_schema.file, queue_schema.steps, 1,
		queue_schema.page_size, false };
	struct queue_content c;
	struct queue_store *s;
	sqlite3 *db;

	(void)state;
	db = db_open(&v1, DB_CREATE, &err);
	assert_non_null(db);
	assert_int_equal(
	    db_exec(db,
		"INSERT INTO message VALUES (7, 's@example.test', '<m@x>', '192.0.2.1',"
		" x'', x'', x'626f6479');"
		"INSERT INTO rcpt VALUES (7, 0, 4, 4, 1, 0, 2, 1, 99, 'a@peer.test', '',"
		" '', 'A@peer.test', 'later', '');",
		&err),
	    0);
	db_close(&db);
	assert_null(queue_store_open(&err));
	make_db();
	s = open_store();
	assert_string_equal(rows(s), "7/0 waiting 2 ;");
	assert_int_equal(queue_store_load(s, 7, &c, &err), 0);
	assert_true(slice_eq(c.e.body, SLICE("body")));
	assert_string_equal(c.e.envid, "");
	assert_int_equal(c.e.rcpts[0].notify, 0);
	assert_string_equal(c.e.rcpts[0].orcpt, "");
	assert_string_equal(c.e.rcpts[0].original, "A@peer.test");
	queue_content_free(&c);
	queue_store_begin(s, &err);
	put(s, 8, 2);
	assert_int_equal(queue_store_done(s, 7, 0, true, &err), 0);
	commit(s);
	assert_string_equal(rows(s), "8/0 waiting 0 ;8/1 waiting 0 ;");
	assert_int_equal(queue_store_load(s, 8, &c, &err), 0);
	assert_string_equal(c.e.envid, "QQ+2B314159");
	queue_content_free(&c);
	queue_store_close(&s);
}

static const struct {
	const char *sql, *why;
	enum err_kind kind;
} damages[] = {
	{ "UPDATE message SET body = x'00'", "size", ERR_PERMANENT },
	{ "UPDATE message SET cuts = x'0011'", "cuts", ERR_PERMANENT },
	{ "DELETE FROM message", "not in the queue", ERR_NOT_FOUND },
	{ "DELETE FROM rcpt", "no recipients", ERR_NOT_FOUND },
};

static void
test_damage(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(damages); i++) {
		struct queue_content c;
		struct queue_store *s;
		sqlite3 *db;

		make_db();
		s = open_store();
		queue_store_begin(s, &err);
		put(s, 7, 1);
		commit(s);
		queue_store_close(&s);
		db = db_open(&queue_schema, DB_WRITE, &err);
		assert_int_equal(db_exec(db, damages[i].sql, &err), 0);
		db_close(&db);
		s = open_store();
		assert_int_equal(queue_store_load(s, 7, &c, &err), -1);
		assert_int_equal(err.kind, damages[i].kind);
		assert_non_null(strstr(err.text, damages[i].why));
		queue_store_close(&s);
		unlink("queue.db");
		unlink("queue.db-wal");
		unlink("queue.db-shm");
	}
}

static bool
count(void *arg, const struct queue_row *r)
{
	(void)r;
	(*(unsigned *)arg)++;
	return true;
}

/* A page of zeroes in the middle of the recipients: the others are still found. */
static void
test_damaged_page(void **state)
{
	struct queue_cursor at = { 0 };
	unsigned found = 0, unreadable = 0;
	struct queue_store *s;
	char zero[4096] = { 0 };
	int64_t page = 0;
	sqlite3_stmt *st;
	sqlite3 *db;
	int fd;

	(void)state;
	make_db();
	s = open_store();
	queue_store_begin(s, &err);
	for (uint64_t i = 1; i <= 2000; i++)
		put(s, i << 20, 1);
	commit(s);
	assert_int_equal(queue_store_checkpoint(s, true, &err), 0);
	queue_store_close(&s);
	db = db_open(&queue_schema, DB_WRITE, &err);
	st = db_prepare(db,
	    "SELECT pageno FROM dbstat WHERE name = 'rcpt' AND pagetype = 'leaf' LIMIT 1 OFFSET 20",
	    NULL);
	if (st == NULL || db_step(db, st, &err) != 1) {
		db_close(&db);
		skip();
	}
	page = db_i64(st, 0);
	db_done(&st);
	db_close(&db);
	fd = open("queue.db", O_WRONLY);
	assert_int_equal(pwrite(fd, zero, sizeof(zero), (page - 1) * 4096), 4096);
	close(fd);
	s = open_store();
	assert_true(queue_store_walk(s, &at, false, 100000, count, &found, &unreadable, &err) > 0);
	assert_true(unreadable > 0);
	assert_true(found > 1800 && found < 2000);
	queue_store_close(&s);
}

static void
test_paging(void **state)
{
	struct queue_cursor at = { 0 };
	unsigned found = 0, unreadable = 0, pages = 0;
	struct queue_store *s;

	(void)state;
	make_db();
	s = open_store();
	queue_store_begin(s, &err);
	for (uint64_t i = 1; i <= 50; i++)
		put(s, i, 3);
	put(s, UINT64_C(1) << 63, 1); /* ids of the far future are negative on disk */
	commit(s);
	while (queue_store_walk(s, &at, true, 7, count, &found, &unreadable, &err) == 7)
		pages++;
	assert_int_equal(found, 151);
	assert_int_equal(pages, 21);
	queue_store_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_steps, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(
		    test_crash_at_every_step, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_rollback, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_repeated, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_load, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_upgrade, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_lengthened, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_damage, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_damaged_page, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_paging, scratch_enter, scratch_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
