/* xtext: what a stranger's codes hide comes out as one line */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "delivery/xtext.h"

static const struct {
	const char *in, *out;
} xtexts[] = {
	{ "", "" },
	{ "QQ314159", "QQ314159" },
	{ "a+2Bb+3dc", "a+b=c" },
	{ "a+0D+0ABcc:+20x", "a  Bcc: x" },
	{ "a+00b+7F", "a b " },
	{ "+C3+9f", "??" },
	{ "+", "+" },
	{ "+4", "+4" },
	{ "+4x+zz", "+4x+zz" },
};

static void
shows_xtext(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(xtexts); i++) {
		struct buf b;

		buf_init(&b, 1000);
		xtext_show(&b, slice_of(xtexts[i].in));
		assert_string_equal(buf_cstr(&b), xtexts[i].out);
		buf_free(&b);
	}
}

static const struct {
	const char *in, *ascii, *utf8;
} orcpts[] = {
	{ "rfc822;Bob@x.test", "rfc822;Bob@x.test", "rfc822;Bob@x.test" },
	{ "rfc822;a+2Bb@x.test", "rfc822;a+b@x.test", "rfc822;a+b@x.test" },
	{ "rfc822;x+0D+0AAction:+20failed", "rfc822;x  Action: failed",
	    "rfc822;x  Action: failed" },
	{ "utf-8;\\x{DF}@x.test", "utf-8;\\x{DF}@x.test", "utf-8;\xc3\x9f@x.test" },
	{ "UTF-8;\xc3\x9f@x.test", "UTF-8;\\x{DF}@x.test", "UTF-8;\xc3\x9f@x.test" },
	{ "utf-8;a\\x{2B}b\\x{20AC}\\x{1F600}", "utf-8;a\\x{2B}b\\x{20AC}\\x{1F600}",
	    "utf-8;a+b\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ "utf-8;\\x{D}\\x{A}\\x{85}X: y", "utf-8;\\x{D}\\x{A}\\x{85}X: y", "utf-8;   X: y" },
	{ "utf-8;\\x{D800}\\x{110000}\\x{}\\x{1", "utf-8;\\x{D800}\\x{110000}\\x{}\\x{1",
	    "utf-8;\\x{D800}\\x{110000}\\x{}\\x{1" },
	{ "utf-8;\xc3", "utf-8;?", "utf-8;?" },
	{ "none", "none;", "none;" },
};

static void
shows_orcpt(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(orcpts); i++) {
		struct buf b;

		buf_init(&b, 1000);
		orcpt_show(&b, orcpts[i].in, false);
		assert_string_equal(buf_cstr(&b), orcpts[i].ascii);
		buf_reset(&b);
		orcpt_show(&b, orcpts[i].in, true);
		assert_string_equal(buf_cstr(&b), orcpts[i].utf8);
		buf_free(&b);
	}
}

static void
codes_for_ascii_commands(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	orcpt_ascii(&b, "utf-8;\xc3\x9f\\x{20}\xff@x.test");
	assert_string_equal(buf_cstr(&b), "utf-8;\\x{DF}\\x{20}?@x.test");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_xtext),
		cmocka_unit_test(shows_orcpt),
		cmocka_unit_test(codes_for_ascii_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
