/* address: one form for every spelling, and nothing dangerous comes through */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "storage/address.h"

#define L64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define D63 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const struct {
	const char *in;
	const char *out; /* NULL: refused */
} rows[] = {
	{ "alice@example.org", "alice@example.org" }, { "ALICE@Example.ORG", "alice@example.org" },
	{ "alice@example.org.", "alice@example.org" }, { "alice", "alice" },
	{ "@example.org", "@example.org" }, { "\"alice\"@example.org", "alice@example.org" },
	{ "\"al\\ice\"@example.org", "alice@example.org" },
	{ "\"Alice B\"@example.org", "\"alice b\"@example.org" },
	{ "\"a\\\"b\"@example.org", "\"a\\\"b\"@example.org" },
	{ "\"a@b\"@example.org", "\"a@b\"@example.org" },
	{ "\"a\\\\b\"@example.org", "\"a\\\\b\"@example.org" },
	{ ".alice@example.org", "\".alice\"@example.org" },
	{ "a..b@example.org", "\"a..b\"@example.org" },
	{ "o'brien@example.org", "o'brien@example.org" },
	{ "x'or'1'='1@example.org", "x'or'1'='1@example.org" },
	{ "user+tag@example.org", "user+tag@example.org" },
	{ "a/b%c|d@example.org", "a/b%c|d@example.org" },
	{ L64 "@example.org", L64 "@example.org" }, { "a@[192.0.2.1]", "a@[192.0.2.1]" },
	{ "a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]" },
	{ "a@b\xc3\xbc"
	  "cher.example",
	    "a@xn--bcher-kva.example" },
	{ "a@B\xc3\x9c"
	  "CHER.example",
	    "a@xn--bcher-kva.example" },
	{ "a@bu\xcc\x88"
	  "cher.example",
	    "a@xn--bcher-kva.example" },
	{ "a@xn--bcher-kva.example", "a@xn--bcher-kva.example" },
	{ "b\xc3\xbc@example.org", "b\xc3\xbc@example.org" },
	{ "\xf0\x9f\x93\xa7@example.org", "\xf0\x9f\x93\xa7@example.org" },
	{ "a_b@_dmarc.example.org", "a_b@_dmarc.example.org" },
	{ D63 "@" D63 ".org", D63 "@" D63 ".org" }, { "", NULL }, { "a@", NULL }, { "a@.", NULL },
	{ "a@b..c", NULL }, { "a@-b.org", NULL }, { "a@b-.org", NULL }, { "a@b c.org", NULL },
	{ "a@b/../c", NULL }, { "a@b@c", NULL }, { "a b@c.org", NULL }, { "a(b)@c.org", NULL },
	{ "<a@c.org>", NULL }, { "\"a@c.org", NULL }, { "\"a\"b@c.org", NULL },
	{ "\"\"@c.org", NULL }, { "a\r\nb@c.org", NULL }, { "a\x7f@c.org", NULL },
	{ "\"a\nb\"@c.org", NULL }, { "a@c.org\n", NULL }, { "a@[1.2.3.4", NULL },
	{ "a@[1.2.3.4]x", NULL }, { "a@[../..]", NULL }, { "a@" D63 "b.org", NULL },
	{ L64 "a@example.org", NULL }, { "\xc0\xaf@c.org", NULL }, /* overlong */
	{ "\xed\xa0\x80@c.org", NULL },                            /* surrogate */
	{ "\xf4\x90\x80\x80@c.org", NULL },                        /* past U+10FFFF */
	{ "\xff@c.org", NULL }, { "\xc3@c.org", NULL },            /* cut short */
	{ "\xc2\x85@c.org", NULL },                                /* a C1 control */
	{ "a@\xc3.org", NULL }, { "a@\xe2\x80\xae.org", NULL },    /* right-to-left override */
	{ "a@a\xef\xbc\x8f"
	  "b.org",
	    NULL }, /* a slash in disguise */
};

static void
test_rows(void **state)
{
	char text[ADDRESS_SIZE];
	struct address a;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		int rc = address_read(slice_of(rows[i].in), &a, &err);

		if (rc != (rows[i].out == NULL ? -1 : 0))
			fail_msg("%s: %d %s", rows[i].in, rc, rc ? err.text : "");
		if (rows[i].out == NULL) {
			assert_int_equal(err.kind, ERR_USAGE);
			continue;
		}
		address_text(&a, text);
		assert_string_equal(text, rows[i].out);
	}
}

static void
test_nul(void **state)
{
	struct address a;

	(void)state;
	assert_int_equal(address_read((struct slice){ "a\0b@c.org", 9 }, &a, NULL), -1);
	assert_int_equal(address_read((struct slice){ "\"a\0b\"@c.org", 11 }, &a, NULL), -1);
	assert_int_equal(address_read((struct slice){ "a@c\0.org", 8 }, &a, NULL), -1);
}

/* The longest that may come out fits where it must. */
static void
test_longest(void **state)
{
	char in[400] = "\"", text[ADDRESS_SIZE];
	struct address a;
	int i;

	(void)state;
	for (i = 0; i < LOCAL_MAX; i++)
		strcat(in, "\\\"");
	strcat(in, "\"@" D63 "." D63 "." D63 "."
		   "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc");
	assert_int_equal(address_read(slice_of(in), &a, NULL), 0);
	address_text(&a, text);
	assert_string_equal(text, in);
}

static void
test_mailbox(void **state)
{
	static const struct {
		const char *address;
		bool ok;
	} names[] = {
		{ "alice@example.org", true },
		{ "o'brien@example.org", true },
		{ "a.b-c_d+e@example.org", true },
		{ "@example.org", false },
		{ "alice", false },
		{ "a@[192.0.2.1]", false },
		{ "..@example.org", false },
		{ ".a@example.org", false },
		{ "a/b@example.org", false },
		{ "a%b@example.org", false },
		{ "\"a b\"@example.org", false },
		{ "b\xc3\xbc@example.org", false },
		{ "\"..\"@example.org", false },
		{ "\".\"@example.org", false },
	};
	struct address a;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		assert_int_equal(address_read(slice_of(names[i].address), &a, NULL), 0);
		if (address_is_mailbox(&a, NULL) != (names[i].ok ? 0 : -1))
			fail_msg("%s", names[i].address);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_mailbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
