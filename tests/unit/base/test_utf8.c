/* test_utf8 - what is a character, and what hides */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/utf8.h"

static const struct {
	const char *in;
	size_t len; /* 0: none */
	uint32_t c;
} rows[] = {
	{ "a", 1, 'a' },
	{ "\303\274x", 2, 0xfc },
	{ "\xe2\x82\xac", 3, 0x20ac },
	{ "\xf0\x9f\x98\x80", 4, 0x1f600 },
	{ "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
	{ "", 0, 0 },
	{ "\200", 0, 0 },
	{ "\303", 0, 0 },
	{ "\303x", 0, 0 },
	{ "\300\257", 0, 0 },
	{ "\301\277", 0, 0 },
	{ "\xe0\x80\xaf", 0, 0 },
	{ "\xe0\x9f\xbf", 0, 0 },
	{ "\xf0\x80\x80\xaf", 0, 0 },
	{ "\xed\xa0\x80", 0, 0 },
	{ "\xed\xbf\xbf", 0, 0 },
	{ "\xf4\x90\x80\x80", 0, 0 },
	{ "\xf5\x80\x80\x80", 0, 0 },
	{ "\xf8\x88\x80\x80\x80", 0, 0 },
	{ "\377", 0, 0 },
};

static void
decodes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint32_t c = 0;
		size_t len = utf8_next(slice_of(rows[i].in), &c);

		if (len != rows[i].len || (len > 0 && c != rows[i].c))
			fail_msg("row %zu: %zu, U+%04X", i, len, c);
	}
	assert_true(utf8_ok(SLICE("")));
	assert_true(utf8_ok(SLICE("a\303\274\xe2\x82\xac")));
	assert_false(utf8_ok(SLICE("a\303\274\xe2\x82")));
}

static void
finds_hidden_ones(void **state)
{
	static const uint32_t hidden[] = { 0, '\n', 0x7f, 0x85, 0xa0, 0xad, 0x200b, 0x200e, 0x2028,
		0x202e, 0x2066, 0x3000, 0xfeff, 0xd800, 0xfffe, 0x1ffff, 0xe0041, 0x110000 };
	static const uint32_t seen[] = { ' ', 'a', 0xfc, 0x200c, 0x200d, 0x20ac, 0x624b, 0x1f600 };

	(void)state;
	for (size_t i = 0; i < COUNT(hidden); i++)
		if (!utf8_is_hidden(hidden[i]))
			fail_msg("U+%04X", hidden[i]);
	for (size_t i = 0; i < COUNT(seen); i++)
		if (utf8_is_hidden(seen[i]))
			fail_msg("U+%04X", seen[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(decodes),
		cmocka_unit_test(finds_hidden_ones) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
