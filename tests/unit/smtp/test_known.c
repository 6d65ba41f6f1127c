/* Tests of smtp/known.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/msg.h"
#include "smtp/known.h"

static struct slice
answer(struct buf *b, enum rcpt_status status, uint64_t quota)
{
	buf_init(b, 4096);
	wire_put_u64(b, status);
	wire_put_text(b, "");
	wire_put_u64(b, RCPT_LOCAL);
	wire_put_text(b, "a@b.example");
	wire_put_text(b, "b.example/a");
	wire_put_text(b, "");
	wire_put_text(b, "a@b.example");
	wire_put_u64(b, quota);
	return buf_all(b);
}

static void
test_what_is_kept(void **state)
{
	static const struct {
		enum rcpt_status status;
		uint64_t quota;
		bool kept;
	} rows[] = {
		{ RCPT_OK, 0, true },
		{ RCPT_OK, 1000, false },
		{ RCPT_UNKNOWN, 0, false },
		{ RCPT_NOT_OURS, 0, false },
		{ RCPT_OVER_QUOTA, 0, false },
		{ RCPT_TEMPORARY, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf b;
		struct wire w;

		known_forget_all();
		known_keep("a@b.example", answer(&b, rows[i].status, rows[i].quota));
		buf_free(&b);
		assert_int_equal(known_find("a@b.example", &w), rows[i].kept);
		assert_false(known_find("A@b.example", &w));
	}
}

static void
test_same_fields(void **state)
{
	struct buf b;
	struct wire w;

	(void)state;
	known_keep("a@b.example", answer(&b, RCPT_OK, 0));
	assert_true(known_find("a@b.example", &w));
	assert_int_equal(w.end - w.at, b.len);
	assert_memory_equal(w.at, b.at, b.len);
	buf_free(&b);
}

static void
test_forget(void **state)
{
	struct buf b;
	struct wire w;

	(void)state;
	known_keep("a@b.example", answer(&b, RCPT_OK, 0));
	buf_free(&b);
	known_forget_all();
	assert_false(known_find("a@b.example", &w));
}

static void
test_bounded(void **state)
{
	struct buf b;
	struct wire w;
	char long_one[200];
	struct slice fields = answer(&b, RCPT_OK, 0);

	(void)state;
	for (int i = 0; i < 199; i++)
		long_one[i] = 'a';
	long_one[199] = '\0';
	known_keep(long_one, fields);
	assert_false(known_find(long_one, &w));
	for (int i = 0; i < 5000; i++) {
		char address[64];

		snprintf(address, sizeof address, "u%d@b.example", i);
		known_keep(address, fields);
		assert_true(known_find(address, &w));
	}
	buf_free(&b);
	known_forget_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_kept),
		cmocka_unit_test(test_same_fields),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
