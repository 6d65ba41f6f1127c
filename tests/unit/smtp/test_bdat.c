/* test_bdat - how many octets follow BDAT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/proto/bdat.h"

static const struct {
	const char *in;
	bool ok, last;
	uint64_t size;
} rows[] = {
	{ "0", true, false, 0 },
	{ "1000", true, false, 1000 },
	{ "1000 LAST", true, true, 1000 },
	{ "0 last", true, true, 0 },
	{ "1000   Last", true, true, 1000 },
	{ "007", true, false, 7 },
	{ "18446744073709551615", true, false, UINT64_MAX },
	{ "18446744073709551616", true, false, UINT64_MAX },
	{ "99999999999999999999999999999999999999 LAST", true, true, UINT64_MAX },
	{ "", false, false, 0 },
	{ " 5", false, false, 0 },
	{ "LAST", false, false, 0 },
	{ "-1", false, false, 0 },
	{ "+1", false, false, 0 },
	{ "0x10", false, false, 0 },
	{ "1e3", false, false, 0 },
	{ "1.5", false, false, 0 },
	{ "10LAST", false, false, 0 },
	{ "10 LASTX", false, false, 0 },
	{ "10 LAST LAST", false, false, 0 },
	{ "10 20", false, false, 0 },
	{ "10\tLAST", false, false, 0 },
	{ "\331\241", false, false, 0 },
};

static void
reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bdat b;
		bool ok = bdat_read(slice_of(rows[i].in), &b);

		if (ok != rows[i].ok || (ok && (b.size != rows[i].size || b.last != rows[i].last)))
			fail_msg("\"%s\": %d, %llu, %d", rows[i].in, ok, (unsigned long long)b.size,
			    b.last);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
