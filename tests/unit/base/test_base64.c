/* test_base64 - RFC 4648 10, and what is none */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base64.h"

static const struct {
	const char *bytes, *text;
} good[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xff\xfe\xfd", "//79" },
};
static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg==Zg==", "Zh==", "Zm9=", "Zm9v\n",
	"Z===", "====", "Zm 9", "Zm9v*AAA", "=Zg=" };

static void
both_ways(void **state)
{
	struct buf b;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		buf_init(&b, 100);
		assert_int_equal(base64_encode(&b, slice_of(good[i].bytes)), 0);
		assert_true(slice_eq(buf_all(&b), slice_of(good[i].text)));
		buf_reset(&b);
		assert_int_equal(base64_decode(&b, slice_of(good[i].text)), 0);
		assert_true(slice_eq(buf_all(&b), slice_of(good[i].bytes)));
		buf_free(&b);
	}
}

static void
refuses(void **state)
{
	struct buf b;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		buf_init(&b, 100);
		if (base64_decode(&b, slice_of(bad[i])) != -1)
			fail_msg("%s was taken", bad[i]);
		buf_free(&b);
	}
	buf_init(&b, 2);
	assert_int_equal(base64_decode(&b, SLICE("Zm9v")), -1);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(both_ways),
		cmocka_unit_test(refuses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
