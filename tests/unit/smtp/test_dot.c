/* test_dot - the body of DATA, in every way to cut it into pieces */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "smtp/proto/dot.h"

static const struct {
	const char *wire;
	size_t len; /* 0: strlen */
	const char *body, *rest;
	enum dot_fault fault;
	bool ended;
} rows[] = {
	{ ".\r\n", 0, "", "", DOT_FINE, true },
	{ "a\r\n.\r\n", 0, "a\r\n", "", DOT_FINE, true },
	{ "a\r\n.\r\nQUIT\r\n", 0, "a\r\n", "QUIT\r\n", DOT_FINE, true },
	{ "a\r\nb\r\n\r\nc\r\n.\r\n", 0, "a\r\nb\r\n\r\nc\r\n", "", DOT_FINE, true },
	{ "..a\r\n.\r\n", 0, ".a\r\n", "", DOT_FINE, true },
	{ "..\r\n.\r\n", 0, ".\r\n", "", DOT_FINE, true },
	{ ".a\r\n.\r\n", 0, "a\r\n", "", DOT_FINE, true },
	{ "a.\r\n.b.\r\n...\r\n.\r\n", 0, "a.\r\nb.\r\n..\r\n", "", DOT_FINE, true },
	{ "\r\n.\r\n", 0, "\r\n", "", DOT_FINE, true },
	{ "a\r\n.\r\n.\r\n", 0, "a\r\n", ".\r\n", DOT_FINE, true },
	{ "a", 0, "a", "", DOT_FINE, false },
	{ "a\r\n.", 0, "a\r\n", "", DOT_FINE, false },
	{ "a\r\n.\r", 0, "a\r\n", "", DOT_FINE, false },
	/* what others have taken for an end */
	{ "a\n.\r\nMAIL FROM:<x@y>\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_LF, true },
	{ "a\n.\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_LF, true },
	{ "a\r\n.\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_LF, true },
	{ "a\r.\rb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true },
	{ "a\r\n.\rb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true },
	{ "a\r\n.\r.\r\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true },
	{ "a\r.\r\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true },
	{ "a\r\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true },
	{ "a\r\n.\r\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true },
	{ "\n\n.\n\n", 0, NULL, "", DOT_BARE_LF, false },
	{ "\r\r\r\r\n.\r\n", 0, NULL, "", DOT_BARE_CR, true },
	{ "a\0b\r\n.\r\nQ", 9, NULL, "Q", DOT_NUL, true },
	{ "a\r\n.\0\r\n.\r\nQ", 11, NULL, "Q", DOT_NUL, true },
	{ "a\nb\0c\r\n.\r\n", 10, NULL, "", DOT_BARE_LF, true },
};

/* Feed `in`; what is left of it. */
static struct slice
feed(struct dot *d, struct slice in, struct buf *out)
{
	struct slice run;

	while (dot_next(d, &in, &run))
		buf_slice(out, run);
	return in;
}

static void
check(size_t row, struct dot *d, struct buf *out, const char *rest, size_t rest_len)
{
	if (d->fault != rows[row].fault || dot_ended(d) != rows[row].ended)
		fail_msg("row %zu: fault %d, ended %d", row, d->fault, dot_ended(d));
	if (rows[row].body != NULL && !slice_eq(buf_all(out), slice_of(rows[row].body)))
		fail_msg("row %zu: body is \"%.*s\"", row, SLICE_ARG(buf_all(out)));
	if (!slice_eq((struct slice){ rest, rest_len }, slice_of(rows[row].rest)))
		fail_msg("row %zu: %zu bytes are left", row, rest_len);
}

/* Cut in two at every place, and in three at every two places. */
static void
decodes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = rows[i].len > 0 ? rows[i].len : strlen(rows[i].wire);

		for (size_t a = 0; a <= len; a++) {
			for (size_t b = a; b <= len; b++) {
				size_t cuts[] = { 0, a, b, len };
				struct dot d;
				struct buf out;
				size_t used = 0;

				buf_init(&out, 1000);
				dot_init(&d);
				for (int k = 0; k < 3 && !dot_ended(&d); k++) {
					struct slice in = { rows[i].wire + cuts[k],
						cuts[k + 1] - cuts[k] };

					used = cuts[k + 1] - feed(&d, in, &out).len;
				}
				check(i, &d, &out, rows[i].wire + used, len - used);
				buf_free(&out);
			}
		}
	}
}

static void
runs_are_long(void **state)
{
	struct slice in = SLICE("one line\r\nanother\r\n\r\nand more\r\nlast\r\n.\r\n"), run;
	struct dot d;

	(void)state;
	dot_init(&d);
	assert_true(dot_next(&d, &in, &run));
	assert_int_equal(run.len, 37);
	assert_false(dot_next(&d, &in, &run));
	assert_true(dot_ended(&d));
}

static const char *const bodies[] = { "", "a\r\n", ".\r\n", "..\r\n.a\r\n", "a\r\n.\r\n", "a", ".",
	"a\r\n\r\n.b", "\r\n.\r\n.\r\n" };

/* Stuffed and decoded again it is the same (plus the line end that the last line must have). */
static void
stuffs(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		size_t len = strlen(bodies[i]);

		for (size_t cut = 0; cut <= len; cut++) {
			struct dot_stuffer stuffer = { 0 };
			struct slice parts[] = { { bodies[i], cut },
				{ bodies[i] + cut, len - cut } },
				     run;
			struct buf wire, out;
			struct dot d;

			buf_init(&wire, 1000);
			buf_init(&out, 1000);
			for (int k = 0; k < 2; k++)
				while (dot_stuff(&stuffer, &parts[k], &run))
					buf_slice(&wire, run);
			buf_slice(&wire, dot_tail(&stuffer));
			dot_init(&d);
			assert_int_equal(feed(&d, buf_all(&wire), &out).len, 0);
			assert_true(dot_ended(&d) && d.fault == DOT_FINE);
			if (len > 0 && bodies[i][len - 1] != '\n')
				assert_int_equal(out.len, len + 2);
			else
				assert_int_equal(out.len, len);
			assert_true(slice_eq(slice_first(buf_all(&out), len), slice_of(bodies[i])));
			buf_free(&wire);
			buf_free(&out);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes),
		cmocka_unit_test(runs_are_long),
		cmocka_unit_test(stuffs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
