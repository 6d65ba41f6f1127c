/* envelope: what is written is read again, whole; fields beyond their bounds are refused */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/envelope.h"

static const struct rcpt good = { RCPT_REMOTE, "b@peer.test", "", "", "B@peer.test",
	NOTIFY_SUCCESS | NOTIFY_DELAY, "rfc822;B@peer.test" };

static void
keeps_all(void **state)
{
	const struct envelope in = { .qid = 7,
		.flags = ENVELOPE_REQUIRETLS | ENVELOPE_RET_HDRS,
		.from = "a@example.test",
		.msgid = "<m@x>",
		.ip = "192.0.2.1",
		.envid = "QQ+2B314",
		.prefix = SLICE("Received: x\r\n"),
		.cuts = { { 2, 3 } },
		.n_cuts = 1,
		.size = 4,
		.body = SLICE("body") };
	struct pool *pool = pool_new(65536);
	struct envelope out;
	struct rcpt r;
	struct wire wire;
	struct buf b;
	size_t before;

	(void)state;
	buf_init(&b, 65536);
	envelope_put(&b, &in);
	before = b.len;
	rcpt_put(&b, &good);
	assert_int_equal(b.len - before, rcpt_cost(&good));
	wire_init(&wire, buf_all(&b));
	assert_int_equal(envelope_get(&wire, pool, &out), 0);
	assert_int_equal(out.flags, in.flags);
	assert_string_equal(out.from, in.from);
	assert_string_equal(out.msgid, in.msgid);
	assert_string_equal(out.ip, in.ip);
	assert_string_equal(out.envid, in.envid);
	assert_true(slice_eq(out.prefix, in.prefix));
	assert_true(slice_eq(out.body, in.body));
	assert_int_equal(out.cuts[0].len, 3);
	assert_true(wire_more(&wire));
	assert_int_equal(rcpt_get(&wire, pool, &r), 0);
	assert_int_equal(r.kind, RCPT_REMOTE);
	assert_string_equal(r.address, good.address);
	assert_string_equal(r.original, good.original);
	assert_int_equal(r.notify, good.notify);
	assert_string_equal(r.orcpt, good.orcpt);
	assert_false(wire_more(&wire));
	buf_free(&b);
	pool_free(&pool);
}

static int
read_back(const struct rcpt *r)
{
	struct pool *pool = pool_new(65536);
	struct wire wire;
	struct rcpt out;
	struct buf b;
	int rc;

	buf_init(&b, 65536);
	rcpt_put(&b, r);
	wire_init(&wire, buf_all(&b));
	rc = rcpt_get(&wire, pool, &out);
	buf_free(&b);
	pool_free(&pool);
	return rc;
}

static void
refuses_bad_rcpts(void **state)
{
	static const struct {
		unsigned notify;
		int rc;
	} rows[] = { { 0, 0 }, { NOTIFY_NEVER, 0 }, { 14, 0 }, { NOTIFY_NEVER | NOTIFY_DELAY, -1 },
		{ 16, -1 } };
	char text[ORCPT_MAX + 2];
	struct rcpt r = good;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		r.notify = rows[i].notify;
		assert_int_equal(read_back(&r), rows[i].rc);
	}
	r = good;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	r.orcpt = text;
	assert_int_equal(read_back(&r), -1);
	text[ORCPT_MAX] = '\0';
	assert_int_equal(read_back(&r), 0);
	r.address = "";
	assert_int_equal(read_back(&r), -1);
}

static void
refuses_a_long_envid(void **state)
{
	char text[ENVID_MAX + 2] = { 0 };
	struct envelope e = { .qid = 1, .from = "", .msgid = "", .ip = "", .envid = text };

	(void)state;
	memset(text, 'x', ENVID_MAX + 1);
	for (int rc = -1; rc <= 0; rc++) {
		struct pool *pool = pool_new(65536);
		struct envelope out;
		struct wire wire;
		struct buf b;

		buf_init(&b, 65536);
		envelope_put(&b, &e);
		wire_init(&wire, buf_all(&b));
		assert_int_equal(envelope_get(&wire, pool, &out), rc);
		text[ENVID_MAX] = '\0';
		buf_free(&b);
		pool_free(&pool);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_all),
		cmocka_unit_test(refuses_bad_rcpts),
		cmocka_unit_test(refuses_a_long_envid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
