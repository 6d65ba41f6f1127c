/* base/admin, admin/rows, admin/spam: requests, their words, their rows */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/rows.h"
#include "admin/spam.h"
#include "base/msg.h"

static const struct admin_request rq = {
	.verb = "x.y",
	.words = { { "id", "1" }, { "n", "42" }, { "id", "2" }, { "bad", "4x" }, { "none", "" } },
	.n_words = 5,
	.fd = -1,
};

static void
words(void **state)
{
	struct err err = { .kind = ERR_NONE };
	uint64_t n;

	(void)state;
	assert_string_equal(admin_get(&rq, "id"), "1");
	assert_string_equal(admin_get_at(&rq, "id", 1), "2");
	assert_null(admin_get_at(&rq, "id", 2));
	assert_null(admin_get(&rq, "nothing"));
	assert_int_equal(admin_get_u64(&rq, "n", 7, &n, &err), 0);
	assert_int_equal(n, 42);
	assert_int_equal(admin_get_u64(&rq, "nothing", 7, &n, &err), 0);
	assert_int_equal(n, 7);
	assert_int_equal(admin_get_u64(&rq, "bad", 7, &n, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
}

static int
good(void *owner, const struct admin_request *r, struct admin_out *out, struct err *err)
{
	(void)err;
	admin_row(out, "verb", r->verb, "null", NULL, NULL);
	*(int *)owner = 1;
	return 0;
}

static void
runs(void **state)
{
	static const struct admin_verb verbs[] = { { "x.y", good }, { NULL, NULL } };
	static const struct admin_verb none[] = { { NULL, NULL } };
	struct err err = { .kind = ERR_NONE };
	struct rows rows;
	int called = 0;

	(void)state;
	rows_init(&rows);
	assert_int_equal(admin_run(verbs, &called, &rq, &rows.out, &err), 0);
	assert_int_equal(called, 1);
	assert_int_equal(rows.n, 1);
	assert_string_equal(row_text(&rows.at[0], "verb"), "x.y");
	assert_string_equal(row_get(&rows.at[0], "null"), "");
	assert_int_equal(admin_run(none, &called, &rq, &rows.out, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	rows_free(&rows);
}

static void
frame(void **state)
{
	struct pool *pool = pool_new(10000);
	struct admin_request got;
	struct frame f = { .type = MSG_ADMIN, .fd = -1 };
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	admin_put(&b, &rq);
	assert_true(msg_shape_ok(MSG_ADMIN, buf_all(&b)));
	wire_init(&f.in, buf_all(&b));
	assert_int_equal(admin_from_frame(&f, pool, &got), 0);
	assert_string_equal(got.verb, "x.y");
	assert_int_equal(got.n_words, 5);
	assert_string_equal(got.words[2].key, "id");
	assert_string_equal(got.words[2].value, "2");
	/* a value with a NUL in it, and a key without its value */
	wire_put_text(&b, "key");
	wire_put_bytes(&b, (struct slice){ "a\0b", 3 });
	wire_init(&f.in, buf_all(&b));
	assert_int_equal(admin_from_frame(&f, pool, &got), -1);
	buf_reset(&b);
	admin_put(&b, &rq);
	wire_put_text(&b, "key");
	wire_init(&f.in, buf_all(&b));
	assert_int_equal(admin_from_frame(&f, pool, &got), -1);
	buf_free(&b);
	pool_free(&pool);
}

static void
too_many_words(void **state)
{
	struct pool *pool = pool_new(100000);
	struct admin_request got;
	struct frame f = { .type = MSG_ADMIN, .fd = -1 };
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	wire_put_text(&b, "x");
	for (int i = 0; i <= ADMIN_WORDS_MAX; i++) {
		wire_put_text(&b, "k");
		wire_put_text(&b, "v");
	}
	wire_init(&f.in, buf_all(&b));
	assert_int_equal(admin_from_frame(&f, pool, &got), -1);
	buf_free(&b);
	pool_free(&pool);
}

static void
classes(void **state)
{
	enum score_class c;

	(void)state;
	assert_true(spam_class("spam", &c) && c == SCORE_SPAM);
	assert_true(spam_class("ham", &c) && c == SCORE_HAM);
	assert_false(spam_class("eggs", &c));
	assert_false(spam_class(NULL, &c));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(words), cmocka_unit_test(runs),
		cmocka_unit_test(frame), cmocka_unit_test(too_many_words),
		cmocka_unit_test(classes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
