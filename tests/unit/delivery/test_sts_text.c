/* MTA-STS as text: records, policies, patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "delivery/sts_text.h"

static void
records(void **state)
{
	static const struct {
		const char *txt, *id; /* NULL: none */
	} rows[] = { { "v=STSv1; id=20160831085700Z;", "20160831085700Z" }, { "v=STSv1;id=1", "1" },
		{ "v=STSv1 ; x=y ; id = a1 ;", "a1" }, { "v=STSv1", NULL }, { "v=STSv1; id=;", NULL },
		{ "v=STSv1; id=a-b", NULL }, { "v=STSv12; id=1", NULL }, { "id=1; v=STSv1", NULL },
		{ "v=STSv1; id=123456789012345678901234567890123", NULL }, { "", NULL } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char id[STS_ID] = "";

		if (sts_record(slice_of(rows[i].txt), id) != (rows[i].id != NULL))
			fail_msg("%s", rows[i].txt);
		if (rows[i].id != NULL)
			assert_string_equal(id, rows[i].id);
	}
}

static void
policies(void **state)
{
	static struct sts_policy p;

	(void)state;
	assert_null(sts_parse(
	    slice_of("version: STSv1\r\nmode:testing\r\nnew: thing\r\nmx: a.test\r\n"
		     "mode: enforce\r\nmx: *.b.test\r\nmax_age: 99999999\r\n"),
	    &p));
	assert_int_equal(p.mode, STS_TESTING);
	assert_int_equal(p.max_age, STS_MAX_AGE);
	assert_string_equal(p.text,
	    "version: STSv1\nmode: testing\nmx: a.test\nmx: *.b.test\nmax_age: 31557600");
	assert_null(sts_parse(slice_of("version: STSv1\nmode: none\nmax_age: 0"), &p));
	assert_non_null(sts_parse(slice_of("mode: none\nmax_age: 0"), &p));
	assert_non_null(sts_parse(slice_of("version: STSv1\nmode: enforce\nmx: a b\nmax_age: 9"), &p));
	assert_non_null(sts_parse(slice_of("version: STSv1\nmode: enforce\nmx: a\nmax_age: -1"), &p));
}

static void
hosts(void **state)
{
	static const char text[] = "mode: enforce\nmx: a.test\nmx: *.b.test\nmax_age: 1";

	(void)state;
	assert_true(sts_names(text, "A.test."));
	assert_true(sts_names(text, "x.b.test"));
	assert_false(sts_names(text, "b.test"));
	assert_false(sts_names(text, "y.x.b.test"));
	assert_false(sts_names(text, ".b.test"));
	assert_false(sts_names(text, "enforce"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(records), cmocka_unit_test(policies),
		cmocka_unit_test(hosts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
