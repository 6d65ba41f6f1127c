/* test_xtext - what stands for what, and what hides in it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/proto/xtext.h"

static const struct {
	const char *in, *text; /* NULL: refused */
} rows[] = {
	{ "", "" },
	{ "abc", "abc" },
	{ "a+2Bb+3Dc", "a+b=c" },
	{ "a+20b", "a b" },
	{ "a+2bb", "a+b" }, /* not in the standard, but seen */
	{ "<>\"\\", "<>\"\\" },
	{ "a b", NULL },
	{ "a=b", NULL },
	{ "+", NULL },
	{ "+2", NULL },
	{ "+2G", NULL },
	{ "++2B", NULL },
	{ "+0A", NULL },
	{ "+0D+0A", NULL },
	{ "+00", NULL },
	{ "+7F", NULL },
	{ "+80", NULL },
	{ "a\nb", NULL },
	{ "a\177b", NULL },
	{ "\303\274", NULL },
};

static void
decodes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;
		bool ok;

		buf_init(&out, 100);
		ok = xtext_decode(&out, slice_of(rows[i].in)) == 0;
		assert_int_equal(ok, xtext_ok(slice_of(rows[i].in)));
		if (ok != (rows[i].text != NULL) ||
		    (ok && !slice_eq(buf_all(&out), slice_of(rows[i].text))))
			fail_msg("\"%s\": %d, %.*s", rows[i].in, ok, SLICE_ARG(buf_all(&out)));
		buf_free(&out);
	}
}

static void
goes_round(void **state)
{
	struct buf wire, back;

	(void)state;
	buf_init(&wire, 100);
	buf_init(&back, 100);
	assert_int_equal(xtext_encode(&wire, SLICE("a+b=c d\"~!")), 0);
	assert_true(slice_eq(buf_all(&wire), SLICE("a+2Bb+3Dc+20d\"~!")));
	assert_int_equal(xtext_decode(&back, buf_all(&wire)), 0);
	assert_true(slice_eq(buf_all(&back), SLICE("a+b=c d\"~!")));
	buf_free(&wire);
	buf_free(&back);
}

static void
stays_below_the_ceiling(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 3);
	assert_int_equal(xtext_decode(&out, SLICE("abcd")), -1);
	buf_reset(&out);
	assert_int_equal(xtext_encode(&out, SLICE("a=")), -1);
	buf_free(&out);
}

static const struct {
	const char *in;
	bool ok, raw; /* allowed in plain ASCII; with SMTPUTF8 */
} recipients[] = {
	{ "rfc822;a@b.example", true, true },
	{ "RFC822;a+2Bb@c.example", true, true },
	{ "x-local;anything", true, true },
	{ "rfc822", false, false },
	{ ";a", false, false },
	{ "rfc822;", false, false },
	{ "rfc 822;a", false, false },
	{ "rfc+38;a", false, false },
	{ "<x>;a", false, false },
	{ "rfc822;a b", false, false },
	{ "rfc822;a+0A", false, false },
	{ "rfc822;\303\274@b.example", false, false },
	{ "utf-8;a@b.example", true, true },
	{ "utf-8;\\x{FC}@b.example", true, true },
	{ "UTF-8;\\x{1F600}@b.example", true, true },
	{ "utf-8;\\x{0A}x", false, false },
	{ "utf-8;+5Cx{0A}x", false, false },
	{ "utf-8;\\x{202E}x", false, false },
	{ "utf-8;\\x{D800}x", false, false },
	{ "utf-8;\\x{110000}x", false, false },
	{ "utf-8;\\x{1234567}x", false, false },
	{ "utf-8;\\x{}x", false, false },
	{ "utf-8;\\x{FC", false, false },
	{ "utf-8;\\n", false, false },
	{ "utf-8;\303\274@b.example", false, true },
	{ "utf-8;\303\274\\x{0A}", false, false },
	{ "utf-8;\303@b.example", false, false },
	{ "utf-8;\302\205@b.example", false, false },
};

static void
knows_recipients(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(recipients); i++) {
		if (xtext_orcpt_ok(slice_of(recipients[i].in), false) != recipients[i].ok)
			fail_msg("%s", recipients[i].in);
		if (xtext_orcpt_ok(slice_of(recipients[i].in), true) != recipients[i].raw)
			fail_msg("with SMTPUTF8: %s", recipients[i].in);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes),
		cmocka_unit_test(goes_round),
		cmocka_unit_test(stays_below_the_ceiling),
		cmocka_unit_test(knows_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
