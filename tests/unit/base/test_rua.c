/* test_rua - lists of report addresses, also from people who mean no good */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/rua.h"

static const struct {
	const char *list;
	const char *to; /* of all, with blanks between */
} rows[] = {
	{ "mailto:a@b.test", "a@b.test" },
	{ " MAILTO:a@B.Test , mailto:c@d.test ", "a@B.Test c@d.test" },
	{ "mailto:a@b.test,mailto:A@b.test", "a@b.test" },
	{ "mailto:a%2Cb@c.test", "" },
	{ "mailto:a%2bb@c.test", "a+b@c.test" },
	{ "mailto:a@b.tes%74", "a@b.test" },
	{ "mailto:a@b.test%", "" },
	{ "mailto:a@b.test%4", "" },
	{ "mailto:a%00b@c.test", "" },
	{ "mailto:a%0d%0aRCPT@c.test", "" },
	{ "mailto:a b@c.test", "" },
	{ "mailto:a@b.test?subject=x", "a@b.test" },
	{ "mailto:<a@b.test>", "" },
	{ "mailto:\"a b\"@c.test", "" },
	{ "mailto:a@b@c.test", "" },
	{ "mailto:a@[127.0.0.1]", "" },
	{ "mailto:a@localhost", "" },
	{ "mailto:@b.test", "" },
	{ "mailto:a@", "" },
	{ "mailto:a@b..test", "" },
	{ "mailto:.a@b.test", "" },
	{ "mailto:a..b@c.test", "" },
	{ "mailto:a@b.test.", "" },
	{ "mailto:\xc3\xa4@b.test", "" },
	{ "https://b.test/x", "https://b.test/x" },
	{ "https://b.test:8443/x?y", "https://b.test:8443/x?y" },
	{ "https://u:p@b.test/", "" },
	{ "https://[::1]/", "" },
	{ "https:b.test", "" },
	{ "http://b.test/", "" },
	{ "ftp://b.test/,,,file:///etc/passwd,a@b.test", "" },
	{ "", "" },
	{ ",,,", "" },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rua out[RUA_MAX];
		size_t n = rua_read(slice_of(rows[i].list), out);
		char text[2000] = "";

		for (size_t k = 0; k < n; k++) {
			strcat(text, k > 0 ? " " : "");
			strcat(text, out[k].to);
		}
		if (strcmp(text, rows[i].to) != 0)
			fail_msg("\"%s\" gives \"%s\"", rows[i].list, text);
	}
}

static const struct {
	const char *uri;
	uint64_t limit;
	bool good;
} limits[] = {
	{ "mailto:a@b.test!10m", UINT64_C(10) << 20, true },
	{ "mailto:a@b.test!10K", 10240, true },
	{ "mailto:a@b.test!7", 7, true },
	{ "mailto:a@b.test!2g", UINT64_C(2) << 30, true },
	{ "mailto:a@b.test!1t", UINT64_C(1) << 40, true },
	{ "mailto:a@b.test!", 0, false },
	{ "mailto:a@b.test!m", 0, false },
	{ "mailto:a@b.test!-1", 0, false },
	{ "mailto:a@b.test!0", 0, false },
	{ "mailto:a@b.test!99999999999999t", 0, false },
	{ "mailto:a@b.test!10x", 0, false },
	{ "mailto:a@b.test", 0, true },
};

static void
test_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(limits); i++) {
		struct rua out[RUA_MAX];
		size_t n = rua_read(slice_of(limits[i].uri), out);

		if (n != limits[i].good || (n == 1 && out[0].limit != limits[i].limit))
			fail_msg("%s", limits[i].uri);
	}
}

/* Names in lower case; no more than we take, however long the list. */
static void
test_many(void **state)
{
	struct rua out[RUA_MAX];
	static char list[100000];
	size_t len = 0;

	(void)state;
	assert_int_equal(rua_read(SLICE("mailto:Me@Host.TEST"), out), 1);
	assert_string_equal(out[0].host, "host.test");
	for (int i = 0; i < 100; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "mailto:r%d@b.test,", i);
	assert_int_equal(rua_read(slice_of(list), out), RUA_MAX);
	assert_string_equal(out[RUA_MAX - 1].to, "r4@b.test");
	/* good ones far behind are not looked for */
	memset(list, ',', sizeof(list) - 1);
	memcpy(list + 50000, "mailto:a@b.test", 15);
	assert_int_equal(rua_read((struct slice){ list, sizeof(list) - 1 }, out), 0);
	memset(list, 'a', 5000);
	memcpy(list, "mailto:", 7);
	assert_int_equal(rua_read((struct slice){ list, 5000 }, out), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
