/* test_params - ESMTP parameters of MAIL and RCPT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/proto/params.h"

static const struct {
	const char *in;
	enum params_for where;
	enum params_status status;
	uint64_t size;
	bool eight_bit;
	const char *culprit;
} rows[] = {
	{ "", PARAMS_MAIL, PARAMS_OK, 0, false, "" },
	{ "SIZE=1000", PARAMS_MAIL, PARAMS_OK, 1000, false, "" },
	{ "size=1000 body=8bitmime", PARAMS_MAIL, PARAMS_OK, 1000, true, "" },
	{ " BODY=7BIT  SIZE=0", PARAMS_MAIL, PARAMS_OK, 0, false, "" },
	{ "AUTH=<>", PARAMS_MAIL, PARAMS_OK, 0, false, "" },
	{ "SIZE=18446744073709551615", PARAMS_MAIL, PARAMS_OK, UINT64_MAX, false, "" },
	{ "SIZE=18446744073709551616", PARAMS_MAIL, PARAMS_VALUE, 0, false,
	    "SIZE=18446744073709551616" },
	{ "SIZE=-1", PARAMS_MAIL, PARAMS_VALUE, 0, false, "SIZE=-1" },
	{ "SIZE=1k", PARAMS_MAIL, PARAMS_VALUE, 0, false, "SIZE=1k" },
	{ "SIZE", PARAMS_MAIL, PARAMS_VALUE, 0, false, "SIZE" },
	{ "SIZE=", PARAMS_MAIL, PARAMS_SYNTAX, 0, false, "SIZE=" },
	{ "SIZE=1 SIZE=2", PARAMS_MAIL, PARAMS_TWICE, 1, false, "SIZE=2" },
	{ "BODY=BINARYMIME", PARAMS_MAIL, PARAMS_VALUE, 0, false, "BODY=BINARYMIME" },
	{ "SMTPUTF8", PARAMS_MAIL, PARAMS_UNKNOWN, 0, false, "SMTPUTF8" },
	{ "RET=FULL", PARAMS_MAIL, PARAMS_UNKNOWN, 0, false, "RET=FULL" },
	{ "-X=1", PARAMS_MAIL, PARAMS_SYNTAX, 0, false, "-X=1" },
	{ "=1", PARAMS_MAIL, PARAMS_SYNTAX, 0, false, "=1" },
	{ "A=B=C", PARAMS_MAIL, PARAMS_SYNTAX, 0, false, "A=B=C" },
	{ "X\tY=1", PARAMS_MAIL, PARAMS_SYNTAX, 0, false, "X\tY=1" },
	{ "SIZE=1\377", PARAMS_MAIL, PARAMS_SYNTAX, 0, false, "SIZE=1\377" },
	{ "SIZE=1", PARAMS_RCPT, PARAMS_UNKNOWN, 0, false, "SIZE=1" },
	{ "NOTIFY=NEVER", PARAMS_RCPT, PARAMS_UNKNOWN, 0, false, "NOTIFY=NEVER" },
	{ "", PARAMS_RCPT, PARAMS_OK, 0, false, "" },
};

static void
reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct params p;
		struct slice culprit;
		enum params_status status =
		    params_read(slice_of(rows[i].in), rows[i].where, &p, &culprit);

		if (status != rows[i].status)
			fail_msg("\"%s\": %d, not %d", rows[i].in, status, rows[i].status);
		if (!slice_eq(culprit, slice_of(rows[i].culprit)))
			fail_msg("\"%s\": blames %.*s", rows[i].in, SLICE_ARG(culprit));
		if (status == PARAMS_OK) {
			assert_int_equal(p.size, rows[i].size);
			assert_int_equal(p.eight_bit, rows[i].eight_bit);
		}
		assert_non_null(params_why(status));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
