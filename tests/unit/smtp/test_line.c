/* test_line - where a command line ends, and its parts */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/proto/line.h"

static const struct {
	const char *in;
	size_t len; /* 0: strlen */
	enum line_status status;
	const char *line;
	size_t used;
} rows[] = {
	{ "NOOP\r\n", 0, LINE_OK, "NOOP", 6 },
	{ "NOOP\r\nQUIT\r\n", 0, LINE_OK, "NOOP", 6 },
	{ "\r\n", 0, LINE_OK, "", 2 },
	{ "", 0, LINE_MORE, "", 0 },
	{ "NOOP", 0, LINE_MORE, "", 0 },
	{ "NOOP\r", 0, LINE_MORE, "", 0 },
	{ "NOOP\n", 0, LINE_BARE_LF, "NOOP", 5 },
	{ "\n", 0, LINE_BARE_LF, "", 1 },
	{ "NO\rOP\r\n", 0, LINE_BAD, "NO\rOP", 7 },
	{ "NOOP\r\r\n", 0, LINE_BAD, "NOOP\r", 7 },
	{ "NO\0OP\r\n", 7, LINE_BAD, NULL, 7 },
	{ "123456789012345678\r\n", 0, LINE_OK, "123456789012345678", 20 },
	{ "1234567890123456789\r\n", 0, LINE_TOO_LONG, "", 20 },
	{ "12345678901234567890123", 0, LINE_TOO_LONG, "", 20 },
};

static void
finds_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct slice in = { rows[i].in,
			rows[i].len > 0 ? rows[i].len : strlen(rows[i].in) },
			     line;
		size_t used;
		enum line_status status = line_next(in, 20, &line, &used);

		if (status != rows[i].status || used != rows[i].used)
			fail_msg("row %zu: status %d, used %zu", i, status, used);
		if (status == LINE_OK || (status != LINE_MORE && status != LINE_TOO_LONG && rows[i].line != NULL))
			assert_true(slice_eq(line, slice_of(rows[i].line)));
	}
}

static void
skips_long_ones(void **state)
{
	bool ended;

	(void)state;
	assert_int_equal(line_skip(SLICE("xxxx"), &ended), 4);
	assert_false(ended);
	assert_int_equal(line_skip(SLICE("xx\r\nNOOP\r\n"), &ended), 4);
	assert_true(ended);
	assert_int_equal(line_skip((struct slice){ NULL, 0 }, &ended), 0);
	assert_false(ended);
}

static void
splits(void **state)
{
	struct slice verb, args;

	(void)state;
	line_split(SLICE("MAIL FROM:<a@b> SIZE=1 "), &verb, &args);
	assert_true(slice_eq(verb, SLICE("MAIL")));
	assert_true(slice_eq(args, SLICE("FROM:<a@b> SIZE=1")));
	line_split(SLICE("QUIT"), &verb, &args);
	assert_true(slice_eq(verb, SLICE("QUIT")));
	assert_int_equal(args.len, 0);
	line_split(SLICE(""), &verb, &args);
	assert_int_equal(verb.len, 0);
	args = SLICE("from: <a@b>");
	assert_true(line_take(&args, SLICE("FROM:")));
	assert_true(slice_eq(args, SLICE("<a@b>")));
	assert_false(line_take(&args, SLICE("FROM:")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_lines),
		cmocka_unit_test(skips_long_ones),
		cmocka_unit_test(splits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
