/* queue_writer: sharing a commit, failures, what is told to whom, and that nothing is written while
 * the store is ill */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delivery/queue_writer.h"
#include "tests/unit/storage/scratch.h"

struct probe {
	struct op op;
	int fail; /* times that run fails */
	enum err_kind kind;
	bool put; /* write a message of this id */
	unsigned runs, dones;
	enum err_kind told; /* ERR_NONE: committed */
};

static struct event_base *base;
static struct writer *writer;

static int
probe_run(struct op *op, struct queue_store *s, struct err *err)
{
	struct probe *p = (struct probe *)op;
	struct rcpt r = { RCPT_LOCAL, "a@b", "b/a", "", "a@b", 0, "" };
	struct envelope e = {
		.qid = op->qid, .from = "", .msgid = "", .ip = "", .rcpts = &r, .n_rcpts = 1
	};

	p->runs++;
	if (p->put && queue_store_put(s, &e, 1, err) == -1)
		return -1;
	if (p->fail-- > 0)
		return err_set(err, p->kind, "as the test wishes");
	return 0;
}

static void
probe_done(struct op *op, const struct err *err)
{
	struct probe *p = (struct probe *)op;

	p->dones++;
	p->told = err != NULL ? err->kind : ERR_NONE;
}

static struct probe
probe(enum op_kind kind, uint64_t qid, int fail)
{
	return (
	    struct probe){ .op = { .kind = kind, .qid = qid, .run = probe_run, .done = probe_done },
		.fail = fail,
		.kind = ERR_TEMPORARY,
		.put = kind != OP_READ && qid != 0 };
}

static void
turn_until_done(void)
{
	while (writer_pending(writer) > 0)
		event_base_loop(base, EVLOOP_ONCE);
}

static int
enter(void **state)
{
	struct err err;
	sqlite3 *db;

	scratch_enter(state);
	db = db_open(&queue_schema, DB_CREATE, &err);
	assert_non_null(db);
	db_close(&db);
	base = event_base_new();
	writer = writer_new(base, queue_store_open(&err), true, -1, NULL, &err);
	assert_non_null(writer);
	return 0;
}

static int
leave(void **state)
{
	writer_free(&writer);
	event_base_free(base);
	return scratch_leave(state);
}

static int
messages(void)
{
	struct err err;
	sqlite3 *db = db_open(&queue_schema, DB_READ, &err);
	sqlite3_stmt *st = db_prepare(db, "SELECT count(*) FROM message", &err);
	int n;

	assert_int_equal(db_step(db, st, &err), 1);
	n = (int)db_i64(st, 0);
	db_done(&st);
	db_close(&db);
	return n;
}

static void
test_commit(void **state)
{
	struct probe p[3] = { probe(OP_INTAKE, 1, 0), probe(OP_WORK, 2, 0), probe(OP_READ, 0, 1) };

	(void)state;
	for (size_t i = 0; i < COUNT(p); i++)
		writer_submit(writer, &p[i].op);
	turn_until_done();
	assert_int_equal(p[0].told, ERR_NONE);
	assert_int_equal(p[1].told, ERR_NONE);
	assert_int_equal(p[2].told, ERR_TEMPORARY); /* a failed read fails nobody else */
	assert_int_equal(messages(), 2);
}

static void
test_failed_batch(void **state)
{
	struct probe in = probe(OP_INTAKE, 1, 0), work = probe(OP_WORK, 2, 0),
		     bad = probe(OP_WORK, 3, 1);

	(void)state;
	writer_submit(writer, &in.op);
	writer_submit(writer, &work.op);
	writer_submit(writer, &bad.op);
	while (in.dones == 0)
		event_base_loop(base, EVLOOP_ONCE);
	/* the sender is told at once; nothing of the batch is there; the work waits until the store
	 * is well */
	assert_int_equal(in.told, ERR_TEMPORARY);
	assert_int_equal(messages(), 0);
	assert_false(writer_healthy(writer, NULL));
	turn_until_done();
	assert_true(writer_healthy(writer, NULL));
	assert_int_equal(work.told, ERR_NONE);
	assert_int_equal(bad.told, ERR_NONE);
	assert_int_equal(work.dones + bad.dones + in.dones, 3);
	assert_int_equal(messages(), 2);
}

static void
test_full(void **state)
{
	struct probe in = probe(OP_INTAKE, 1, 1);
	const struct err *why;

	(void)state;
	in.kind = ERR_FULL;
	writer_submit(writer, &in.op);
	turn_until_done();
	assert_int_equal(in.told, ERR_FULL);
	assert_false(writer_healthy(writer, &why));
	assert_int_equal(why->kind, ERR_FULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commit, enter, leave),
		cmocka_unit_test_setup_teardown(test_failed_batch, enter, leave),
		cmocka_unit_test_setup_teardown(test_full, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
