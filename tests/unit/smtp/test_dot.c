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
	bool ended, false_end;
	unsigned mode;
} rows[] = {
	{ ".\r\n", 0, "", "", DOT_FINE, true, false, 0 },
	{ "a\r\n.\r\n", 0, "a\r\n", "", DOT_FINE, true, false, 0 },
	{ "a\r\n.\r\nQUIT\r\n", 0, "a\r\n", "QUIT\r\n", DOT_FINE, true, false, 0 },
	{ "a\r\nb\r\n\r\nc\r\n.\r\n", 0, "a\r\nb\r\n\r\nc\r\n", "", DOT_FINE, true, false, 0 },
	{ "..a\r\n.\r\n", 0, ".a\r\n", "", DOT_FINE, true, false, 0 },
	{ "..\r\n.\r\n", 0, ".\r\n", "", DOT_FINE, true, false, 0 },
	{ ".a\r\n.\r\n", 0, "a\r\n", "", DOT_FINE, true, false, 0 },
	{ "a.\r\n.b.\r\n...\r\n.\r\n", 0, "a.\r\nb.\r\n..\r\n", "", DOT_FINE, true, false, 0 },
	{ "\r\n.\r\n", 0, "\r\n", "", DOT_FINE, true, false, 0 },
	{ "a\r\n.\r\n.\r\n", 0, "a\r\n", ".\r\n", DOT_FINE, true, false, 0 },
	{ "a", 0, "a", "", DOT_FINE, false, false, 0 },
	{ "a\r\n.", 0, "a\r\n", "", DOT_FINE, false, false, 0 },
	{ "a\r\n.\r", 0, "a\r\n", "", DOT_FINE, false, false, 0 },
	/* what others have taken for an end */
	{ "a\n.\r\nMAIL FROM:<x@y>\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_LF, true, true, 0 },
	{ "a\n.\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_LF, true, true, 0 },
	{ "a\r\n.\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_LF, true, true, 0 },
	{ "a\r.\rb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true, true, 0 },
	{ "a\r\n.\rb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true, true, 0 },
	{ "a\r\n.\r.\r\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true, true, 0 },
	{ "a\r.\r\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true, true, 0 },
	{ "a\r\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true, true, 0 },
	{ "a\r\n.\r\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true, true, 0 },
	{ "a\r\r\n.\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true, true, 0 },
	{ ".\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_LF, true, true, 0 },
	{ "\n\n.\n\n", 0, NULL, "", DOT_BARE_LF, false, true, 0 },
	{ "\r\r\r\r\n.\r\n", 0, NULL, "", DOT_BARE_CR, true, true, 0 },
	/* bare ones away from any dot alone */
	{ "a\nb\rc\n..\n.d\ne.\n\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_LF, true, false, 0 },
	{ "a\rb\r\n.\r\nQ", 0, NULL, "Q", DOT_BARE_CR, true, false, 0 },
	{ "a\0b\r\n.\r\nQ", 9, NULL, "Q", DOT_NUL, true, false, 0 },
	{ "a\r\n.\0\r\n.\r\nQ", 11, NULL, "Q", DOT_NUL, true, false, 0 },
	{ "a\nb\0c\r\n.\r\n", 10, NULL, "", DOT_BARE_LF, true, false, 0 },
	{ "a\0b\nc\r\n.\r\n", 10, NULL, "", DOT_NUL, true, false, 0 },
	/* normalised: lines end somehow, a message only one way */
	{ "a\nb\rc\r\n.\r\nQ", 0, "a\r\nb\r\nc\r\n", "Q", DOT_FINE, true, false, DOT_NORMALISE },
	{ "\n\r\r\n.\r\n", 0, NULL, "", DOT_FALSE_END, true, true, DOT_NORMALISE },
	{ "\n\r\r\nx\r\n.\r\n", 0, "\r\n\r\n\r\nx\r\n", "", DOT_FINE, true, false, DOT_NORMALISE },
	{ "a\n..b\n.c\r\n.\r\nQ", 0, "a\r\n.b\r\nc\r\n", "Q", DOT_FINE, true, false,
	    DOT_NORMALISE },
	{ "a\n.\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_FALSE_END, true, true, DOT_NORMALISE },
	{ "a\n.\r\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_FALSE_END, true, true, DOT_NORMALISE },
	{ "a\r\n.\nb\r\n.\r\nQ", 0, NULL, "Q", DOT_FALSE_END, true, true, DOT_NORMALISE },
	{ "a\r.\rb\r\n.\r\nQ", 0, NULL, "Q", DOT_FALSE_END, true, true, DOT_NORMALISE },
	{ "a\0b\r\n.\r\nQ", 9, NULL, "Q", DOT_NUL, true, false, DOT_NORMALISE },
	/* chunks: a dot is a dot; nothing ends them */
	{ ".\r\n.\r\n..\r\na", 0, ".\r\n.\r\n..\r\na", "", DOT_FINE, false, false, DOT_CHUNKS },
	{ "a\n.\r\nb", 0, NULL, "", DOT_BARE_LF, false, false, DOT_CHUNKS },
	{ "a\r.\r\nb", 0, NULL, "", DOT_BARE_CR, false, false, DOT_CHUNKS },
	{ "a\0.\r\nb", 6, NULL, "", DOT_NUL, false, false, DOT_CHUNKS },
	{ "a\n.\r\nb\rc", 0, "a\r\n.\r\nb\r\nc", "", DOT_FINE, false, false,
	    DOT_CHUNKS | DOT_NORMALISE },
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
	if (d->fault != rows[row].fault || dot_ended(d) != rows[row].ended ||
	    d->false_end != rows[row].false_end)
		fail_msg("row %zu: fault %d, ended %d, false %d", row, d->fault, dot_ended(d),
		    d->false_end);
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
				dot_init(&d, rows[i].mode);
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
	dot_init(&d, 0);
	assert_true(dot_next(&d, &in, &run));
	assert_int_equal(run.len, 37);
	assert_false(dot_next(&d, &in, &run));
	assert_true(dot_ended(&d));
}

/* The last octet of a message in chunks */
static void
finishes(void **state)
{
	static const struct {
		const char *in, *out;
		unsigned mode;
		enum dot_fault fault;
	} ends[] = {
		{ "a\r\n", "a\r\n", 0, DOT_FINE },
		{ "a", "a", 0, DOT_FINE },
		{ "", "", 0, DOT_FINE },
		{ "a\r", "a", 0, DOT_BARE_CR },
		{ "a\r\r", "a", 0, DOT_BARE_CR },
		{ "a\r", "a\r\n", DOT_NORMALISE, DOT_FINE },
		{ "a\r\r", "a\r\n\r\n", DOT_NORMALISE, DOT_FINE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++) {
		struct dot d;
		struct buf out;

		buf_init(&out, 100);
		dot_init(&d, DOT_CHUNKS | ends[i].mode);
		feed(&d, slice_of(ends[i].in), &out);
		buf_slice(&out, dot_finish(&d));
		assert_true(slice_eq(buf_all(&out), slice_of(ends[i].out)));
		assert_int_equal(d.fault, ends[i].fault);
		assert_true(dot_ended(&d));
		buf_free(&out);
	}
}

/* Each fault has words of its own. */
static void
says_why(void **state)
{
	struct dot d;

	(void)state;
	for (int i = DOT_FINE; i <= DOT_FALSE_END; i++) {
		dot_init(&d, 0);
		d.fault = (enum dot_fault)i;
		assert_non_null(dot_why(&d));
	}
	d.fault = DOT_BARE_LF;
	d.false_end = true;
	assert_non_null(strstr(dot_why(&d), "a dot alone"));
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
			dot_init(&d, 0);
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
		cmocka_unit_test(finishes),
		cmocka_unit_test(says_why),
		cmocka_unit_test(stuffs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
