/* Rdata as values; names of questions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/dns/client.h"

#define B(lit) { (lit), sizeof(lit) - 1 }

static void
addresses(void **state)
{
	static const struct {
		struct slice in;
		const char *out; /* NULL: refused */
	} rows[] = { { B("\xc0\0\2\1"), "192.0.2.1" },
		{ B("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), "2001:db8::1" }, { B("\1\2\3"), NULL }, { B(""), NULL } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[DNS_ADDRESS_TEXT];

		assert_int_equal(dns_rdata_address(rows[i].in, out), rows[i].out != NULL);
		assert_string_equal(out, rows[i].out != NULL ? rows[i].out : "");
	}
}

static void
names(void **state)
{
	static const struct {
		struct slice in;
		const char *out;
	} rows[] = { { B("\2mx\4test\0"), "mx.test" }, { B("\0"), "." }, { B("\2mx\4test"), NULL }, { B("\2mx\0x"), NULL },
		{ B("\3a b\0"), NULL }, { B("\3a\r\n\0"), NULL }, { B("\3a.b\0"), NULL }, { B("\xc0\0"), NULL },
		{ B("\5_dmrc\4Test\0"), "_dmrc.test" }, { B(""), NULL } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[DNS_NAME_TEXT];

		if (dns_rdata_name(rows[i].in, out) != (rows[i].out != NULL))
			fail_msg("name %zu", i);
		assert_string_equal(out, rows[i].out != NULL ? rows[i].out : "");
	}
}

static void
mx(void **state)
{
	char host[DNS_NAME_TEXT];
	unsigned pref;

	(void)state;
	assert_true(dns_rdata_mx((struct slice)B("\1\2\2mx\4test\0"), &pref, host));
	assert_int_equal(pref, 258);
	assert_string_equal(host, "mx.test");
	assert_true(dns_rdata_mx((struct slice)B("\0\0\0"), &pref, host));
	assert_string_equal(host, ".");
	assert_false(dns_rdata_mx((struct slice)B("\0\1"), &pref, host));
	assert_false(dns_rdata_mx((struct slice)B("\0\1\2mx"), &pref, host));
}

static void
txt(void **state)
{
	char out[16];
	size_t len;

	(void)state;
	assert_true(dns_rdata_txt((struct slice)B("\3abc\2de"), out, sizeof(out), &len));
	assert_string_equal(out, "abcde");
	assert_int_equal(len, 5);
	assert_true(dns_rdata_txt((struct slice)B("\0"), out, sizeof(out), &len));
	assert_int_equal(len, 0);
	assert_false(dns_rdata_txt((struct slice)B("\4abc"), out, sizeof(out), &len));
	assert_true(dns_rdata_txt((struct slice)B("\x0f" "123456789012345"), out, sizeof(out), &len));
	assert_false(dns_rdata_txt((struct slice)B("\x10" "1234567890123456"), out, sizeof(out), &len));
}

static void
reverse(void **state)
{
	static const struct {
		const char *ip, *zone, *out;
	} rows[] = { { "192.0.2.1", NULL, "1.2.0.192.in-addr.arpa" }, { "192.0.2.1", "bl.example", "1.2.0.192.bl.example" },
		{ "::ffff:192.0.2.1", NULL, "1.2.0.192.in-addr.arpa" },
		{ "2001:db8::1", NULL, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa" },
		{ "nonsense", NULL, NULL }, { "", NULL, NULL } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[DNS_NAME_TEXT];

		assert_int_equal(dns_reverse_name(rows[i].ip, rows[i].zone, out), rows[i].out != NULL);
		if (rows[i].out != NULL)
			assert_string_equal(out, rows[i].out);
	}
}

static void
questions(void **state)
{
	static const struct {
		const char *name;
		bool ok;
	} rows[] = { { "a.test", true }, { "a.test.", true }, { "_dmarc.a.test", true }, { "", false }, { ".", false },
		{ "a..test", false }, { ".a", false }, { "a b", true }, { "a\"b", false }, { "a\tb", false }, { "a\\.b", false }, { "\xc3\xa9.test", false },
		{ "123456789012345678901234567890123456789012345678901234567890123.x", true },
		{ "1234567890123456789012345678901234567890123456789012345678901234.x", false } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (dns_name_ok(slice_of(rows[i].name)) != rows[i].ok)
			fail_msg("%s", rows[i].name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(addresses), cmocka_unit_test(names), cmocka_unit_test(mx),
		cmocka_unit_test(txt), cmocka_unit_test(reverse), cmocka_unit_test(questions) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
