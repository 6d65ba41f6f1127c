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
	const char *culprit;
} rows[] = {
	{ "", PARAMS_MAIL, PARAMS_OK, "" },
	{ "SIZE=1000", PARAMS_MAIL, PARAMS_OK, "" },
	{ "size=1000 body=8bitmime", PARAMS_MAIL, PARAMS_OK, "" },
	{ " BODY=7BIT  SIZE=0", PARAMS_MAIL, PARAMS_OK, "" },
	{ "AUTH=<>", PARAMS_MAIL, PARAMS_OK, "" },
	{ "AUTH=a+40b.example", PARAMS_MAIL, PARAMS_OK, "" },
	{ "AUTH=a+0Ab", PARAMS_MAIL, PARAMS_VALUE, "AUTH=a+0Ab" },
	{ "SIZE=18446744073709551615", PARAMS_MAIL, PARAMS_OK, "" },
	{ "SIZE=18446744073709551616", PARAMS_MAIL, PARAMS_VALUE, "SIZE=18446744073709551616" },
	{ "SIZE=000000000000000000001", PARAMS_MAIL, PARAMS_VALUE, "SIZE=000000000000000000001" },
	{ "SIZE=-1", PARAMS_MAIL, PARAMS_VALUE, "SIZE=-1" },
	{ "SIZE=1k", PARAMS_MAIL, PARAMS_VALUE, "SIZE=1k" },
	{ "SIZE", PARAMS_MAIL, PARAMS_VALUE, "SIZE" },
	{ "SIZE=", PARAMS_MAIL, PARAMS_SYNTAX, "SIZE=" },
	{ "SIZE=1 SIZE=2", PARAMS_MAIL, PARAMS_TWICE, "SIZE=2" },
	{ "SIZE=1 size=1", PARAMS_MAIL, PARAMS_TWICE, "size=1" },
	{ "BODY=BINARYMIME", PARAMS_MAIL, PARAMS_OK, "" },
	{ "BODY=9BIT", PARAMS_MAIL, PARAMS_VALUE, "BODY=9BIT" },
	{ "BODY", PARAMS_MAIL, PARAMS_VALUE, "BODY" },
	{ "SMTPUTF8", PARAMS_MAIL, PARAMS_OK, "" },
	{ "SMTPUTF8=1", PARAMS_MAIL, PARAMS_VALUE, "SMTPUTF8=1" },
	{ "SMTPUTF8 SMTPUTF8", PARAMS_MAIL, PARAMS_TWICE, "SMTPUTF8" },
	{ "REQUIRETLS", PARAMS_MAIL, PARAMS_OK, "" },
	{ "REQUIRETLS=1", PARAMS_MAIL, PARAMS_VALUE, "REQUIRETLS=1" },
	{ "RET=FULL", PARAMS_MAIL, PARAMS_OK, "" },
	{ "ret=hdrs", PARAMS_MAIL, PARAMS_OK, "" },
	{ "RET=ALL", PARAMS_MAIL, PARAMS_VALUE, "RET=ALL" },
	{ "RET", PARAMS_MAIL, PARAMS_VALUE, "RET" },
	{ "RET=FULL RET=HDRS", PARAMS_MAIL, PARAMS_TWICE, "RET=HDRS" },
	{ "ENVID=QQ314159", PARAMS_MAIL, PARAMS_OK, "" },
	{ "ENVID=a+2Bb+20c", PARAMS_MAIL, PARAMS_OK, "" },
	{ "ENVID=a+0D+0ABcc:+20x", PARAMS_MAIL, PARAMS_VALUE, "ENVID=a+0D+0ABcc:+20x" },
	{ "ENVID=a+00", PARAMS_MAIL, PARAMS_VALUE, "ENVID=a+00" },
	{ "ENVID=a+FF", PARAMS_MAIL, PARAMS_VALUE, "ENVID=a+FF" },
	{ "ENVID=a+2", PARAMS_MAIL, PARAMS_VALUE, "ENVID=a+2" },
	{ "ENVID=a+XY", PARAMS_MAIL, PARAMS_VALUE, "ENVID=a+XY" },
	{ "ENVID=a\303\274", PARAMS_MAIL, PARAMS_VALUE, "ENVID=a\303\274" },
	{ "ENVID", PARAMS_MAIL, PARAMS_VALUE, "ENVID" },
	{ "FROB=1", PARAMS_MAIL, PARAMS_UNKNOWN, "FROB=1" },
	{ "NOTIFY=NEVER", PARAMS_MAIL, PARAMS_UNKNOWN, "NOTIFY=NEVER" },
	{ "-X=1", PARAMS_MAIL, PARAMS_SYNTAX, "-X=1" },
	{ "=1", PARAMS_MAIL, PARAMS_SYNTAX, "=1" },
	{ "A=B=C", PARAMS_MAIL, PARAMS_SYNTAX, "A=B=C" },
	{ "X\tY=1", PARAMS_MAIL, PARAMS_SYNTAX, "X\tY=1" },
	{ "SIZE=1\377", PARAMS_MAIL, PARAMS_SYNTAX, "SIZE=1\377" },
	{ "SIZE=1", PARAMS_RCPT, PARAMS_UNKNOWN, "SIZE=1" },
	{ "SMTPUTF8", PARAMS_RCPT, PARAMS_UNKNOWN, "SMTPUTF8" },
	{ "NOTIFY=NEVER", PARAMS_RCPT, PARAMS_OK, "" },
	{ "NOTIFY=success,failure,DELAY", PARAMS_RCPT, PARAMS_OK, "" },
	{ "NOTIFY=NEVER,DELAY", PARAMS_RCPT, PARAMS_VALUE, "NOTIFY=NEVER,DELAY" },
	{ "NOTIFY=NEVER,NEVER", PARAMS_RCPT, PARAMS_VALUE, "NOTIFY=NEVER,NEVER" },
	{ "NOTIFY=DELAY,DELAY", PARAMS_RCPT, PARAMS_VALUE, "NOTIFY=DELAY,DELAY" },
	{ "NOTIFY=DELAY,", PARAMS_RCPT, PARAMS_VALUE, "NOTIFY=DELAY," },
	{ "NOTIFY=,DELAY", PARAMS_RCPT, PARAMS_VALUE, "NOTIFY=,DELAY" },
	{ "NOTIFY=ALWAYS", PARAMS_RCPT, PARAMS_VALUE, "NOTIFY=ALWAYS" },
	{ "NOTIFY", PARAMS_RCPT, PARAMS_VALUE, "NOTIFY" },
	{ "NOTIFY=DELAY NOTIFY=SUCCESS", PARAMS_RCPT, PARAMS_TWICE, "NOTIFY=SUCCESS" },
	{ "ORCPT=rfc822;a@b.example NOTIFY=DELAY", PARAMS_RCPT, PARAMS_OK, "" },
	{ "ORCPT=rfc822;a@b.example ORCPT=rfc822;a@b.example", PARAMS_RCPT, PARAMS_TWICE,
	    "ORCPT=rfc822;a@b.example" },
	{ "ORCPT=a@b.example", PARAMS_RCPT, PARAMS_VALUE, "ORCPT=a@b.example" },
	{ "ORCPT=;a@b.example", PARAMS_RCPT, PARAMS_VALUE, "ORCPT=;a@b.example" },
	{ "ORCPT=rfc822;", PARAMS_RCPT, PARAMS_VALUE, "ORCPT=rfc822;" },
	{ "ORCPT=rfc822;a+0Ab", PARAMS_RCPT, PARAMS_VALUE, "ORCPT=rfc822;a+0Ab" },
	{ "ORCPT=utf-8;\303\274@b.example", PARAMS_RCPT, PARAMS_VALUE,
	    "ORCPT=utf-8;\303\274@b.example" },
	{ "", PARAMS_RCPT, PARAMS_OK, "" },
};

static void
reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct params p;
		struct slice culprit;
		enum params_status status =
		    params_read(slice_of(rows[i].in), rows[i].where, false, &p, &culprit);

		if (status != rows[i].status)
			fail_msg("\"%s\": %d, not %d", rows[i].in, status, rows[i].status);
		if (!slice_eq(culprit, slice_of(rows[i].culprit)))
			fail_msg("\"%s\": blames %.*s", rows[i].in, SLICE_ARG(culprit));
		assert_non_null(params_why(status));
	}
}

static struct params
good(const char *in, enum params_for where, bool utf8)
{
	struct params p;
	struct slice culprit;

	assert_int_equal(params_read(slice_of(in), where, utf8, &p, &culprit), PARAMS_OK);
	return p;
}

static void
keeps_values(void **state)
{
	struct params p =
	    good("SIZE=18446744073709551615 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb",
		PARAMS_MAIL, false);

	(void)state;
	assert_true(p.size == UINT64_MAX && p.body == BODY_8BIT && p.has_utf8 && p.ret == RET_HDRS);
	assert_true(slice_eq(p.envid, SLICE("a+2Bb")));
	assert_false(p.has_requiretls);
	p = good("BODY=BINARYMIME REQUIRETLS RET=FULL", PARAMS_MAIL, false);
	assert_true(p.body == BODY_BINARY && p.has_requiretls && p.ret == RET_FULL);
	p = good("", PARAMS_MAIL, false);
	assert_true(p.body == BODY_7BIT && !p.has_utf8 && p.ret == RET_NONE && p.envid.len == 0);
	p = good("NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.example", PARAMS_RCPT, false);
	assert_int_equal(p.notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_true(slice_eq(p.orcpt, SLICE("rfc822;a+2Bb@c.example")));
	p = good("NOTIFY=NEVER", PARAMS_RCPT, false);
	assert_int_equal(p.notify, NOTIFY_NEVER);
	p = good("ORCPT=utf-8;\303\274@b.example", PARAMS_RCPT, true);
	assert_int_equal(p.orcpt.len, 18);
}

static void
keeps_limits(void **state)
{
	char in[600];
	struct params p;
	struct slice culprit;

	(void)state;
	memset(in, 'a', sizeof(in));
	memcpy(in, "ENVID=", 6);
	assert_int_equal(
	    params_read((struct slice){ in, 106 }, PARAMS_MAIL, false, &p, &culprit), PARAMS_OK);
	assert_int_equal(
	    params_read((struct slice){ in, 107 }, PARAMS_MAIL, false, &p, &culprit), PARAMS_LONG);
	memcpy(in, "ORCPT=x;", 8);
	assert_int_equal(
	    params_read((struct slice){ in, 506 }, PARAMS_RCPT, false, &p, &culprit), PARAMS_OK);
	assert_int_equal(
	    params_read((struct slice){ in, 507 }, PARAMS_RCPT, false, &p, &culprit), PARAMS_LONG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads), cmocka_unit_test(keeps_values),
		cmocka_unit_test(keeps_limits) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
