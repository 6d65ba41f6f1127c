/* test_date - dates as mail writes them */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "filters/date.h"

static void
test_dates(void **state)
{
	static const struct {
		const char *in;
		int64_t out; /* -1: no date */
	} rows[] = {
		{ "Tue, 24 Nov 2026 05:52:28 +0000", 1795499548 },
		{ "24 Nov 2026 05:52:28 GMT", 1795499548 },
		{ "Tue, 24 Nov 2026 14:52:28 +0900 (JST)", 1795499548 },
		{ "tue, 24 nov 26 05:52:28 -0000", 1795499548 },
		{ "Tue, 24 Nov 2026 00:52:28 EST", 1795499548 },
		{ "Tue, 24 Nov 2026 05:52 +0000", 1795499520 },
		{ "Tue,24 Nov 2026 05:52:28 +0000", 1795499548 },
		{ "", -1 },
		{ "yesterday", -1 },
		{ "Tue, 24 Foo 2026 05:52:28 +0000", -1 },
		{ "Tue, 44 Nov 2026 05:52:28 +0000", -1 },
		{ "Tue, 24 Nov 2026 25:52:28 +0000", -1 },
		{ "Tue, 24 Nov 2026", -1 },
		{ "Tue, 24 Nov 2026 05:52:28 +00x0", -1 },
		{ "Tue, 24 Nov 2026 05:52:28", -1 },
		{ "((((", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t t = -1;

		if (!date_parse(slice_of(rows[i].in), &t))
			t = -1;
		if (t != rows[i].out)
			fail_msg("%s: %lld", rows[i].in, (long long)t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_dates) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
