/* test_path - addresses in MAIL and RCPT: what is taken and in which form, and what is refused */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/proto/path.h"

static const struct {
	const char *in, *text, *rest;
} good[] = {
	{ "<a@b.example>", "a@b.example", "" },
	{ "<>", "", "" },
	{ "<> BODY=7BIT", "", " BODY=7BIT" },
	{ "<a@b.example> SIZE=1", "a@b.example", " SIZE=1" },
	{ "a@b.example", "a@b.example", "" },
	{ "a@b.example SIZE=1", "a@b.example", " SIZE=1" },
	{ "<\"a b\"@c.example>", "\"a b\"@c.example", "" },
	{ "<\"ab\"@c.example>", "ab@c.example", "" },
	{ "<\"a\\\"b\"@c.example>", "\"a\\\"b\"@c.example", "" },
	{ "<\"a\\b\"@c.example>", "ab@c.example", "" },
	{ "<\"a..b\"@c.example>", "\"a..b\"@c.example", "" },
	{ "<\"<script>\"@c.example>", "\"<script>\"@c.example", "" },
	{ "<\"a@b\"@c.example>", "\"a@b\"@c.example", "" },
	{ "<@x.example,@y.example:a@b.example>", "a@b.example", "" },
	{ "<postmaster>", "postmaster", "" },
	{ "<Postmaster>", "Postmaster", "" },
	{ "<a@[192.0.2.1]>", "a@[192.0.2.1]", "" },
	{ "<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "" },
	{ "<user+tag@b.example>", "user+tag@b.example", "" },
	{ "<!#$%&'*+-/=?^_`{|}~@b.example>", "!#$%&'*+-/=?^_`{|}~@b.example", "" },
	{ "<a@my_host.example>", "a@my_host.example", "" },
	{ "<a@b>", "a@b", "" },
	{ "<j\303\274rgen@b.example>", "j\303\274rgen@b.example", "" },
	{ "<a@b\303\274.example>", "a@b\303\274.example", "" },
	{ "<\"\303\274\"@b.example>", "\303\274@b.example", "" },
	{ "<\"\303\274 x\"@b.example> SMTPUTF8", "\"\303\274 x\"@b.example", " SMTPUTF8" },
	{ "<\xe6\x89\x8b\xe7\xb4\x99@\xe4\xbe\x8b\xe3\x81\x88.example>",
	    "\xe6\x89\x8b\xe7\xb4\x99@\xe4\xbe\x8b\xe3\x81\x88.example", "" },
	{ "<user%peer.example@b.example>", "user%peer.example@b.example", "" },
	{ "<peer.example!user@b.example>", "peer.example!user@b.example", "" },
};

static const struct {
	const char *in;
	enum path_status status;
} bad[] = {
	{ "", PATH_SYNTAX },
	{ "<", PATH_SYNTAX },
	{ "<a@b.example", PATH_SYNTAX },
	{ "<a@b.example>x", PATH_SYNTAX },
	{ "<a@b.example>>", PATH_SYNTAX },
	{ "<a b@c.example>", PATH_SYNTAX },
	{ "<a@>", PATH_SYNTAX },
	{ "<@b.example>", PATH_SYNTAX },
	{ "<a>", PATH_NO_DOMAIN },
	{ "<.a@b.example>", PATH_SYNTAX },
	{ "<a.@b.example>", PATH_SYNTAX },
	{ "<a..b@b.example>", PATH_SYNTAX },
	{ "<a@b..example>", PATH_SYNTAX },
	{ "<a@-b.example>", PATH_SYNTAX },
	{ "<a@b-.example>", PATH_SYNTAX },
	{ "<a@b.example.>", PATH_SYNTAX },
	{ "<a@b@c.example>", PATH_SYNTAX },
	{ "<a@[192.0.2.256]>", PATH_SYNTAX },
	{ "<a@[192.0.2.1>", PATH_SYNTAX },
	{ "<a@[]>", PATH_SYNTAX },
	{ "<a@[IPv6:zz]>", PATH_SYNTAX },
	{ "<a@[x-tag:data]>", PATH_SYNTAX },
	{ "<\"\"@b.example>", PATH_SYNTAX },
	{ "<\"a@b.example>", PATH_SYNTAX },
	{ "<\"a\\", PATH_SYNTAX },
	{ "<\"a\tb\"@c.example>", PATH_SYNTAX },
	{ "<a\r@b.example>", PATH_SYNTAX },
	{ "<@x.example:>", PATH_SYNTAX },
	{ "<@x.example a@b.example>", PATH_SYNTAX },
	{ "<x.example:a@b.example>", PATH_SYNTAX },
	{ "<j\374rgen@b.example>", PATH_NOT_UTF8 },
	{ "<a@b\374.example>", PATH_NOT_UTF8 },
	{ "<\"\374\"@b.example>", PATH_NOT_UTF8 },
	{ "<a\303@b.example>", PATH_NOT_UTF8 },             /* cut off */
	{ "<a\300\257b@b.example>", PATH_NOT_UTF8 },        /* overlong '/' */
	{ "<a\xed\xa0\x80@b.example>", PATH_NOT_UTF8 },     /* a surrogate */
	{ "<a\xf4\x90\x80\x80@b.example>", PATH_NOT_UTF8 }, /* past U+10FFFF */
	{ "<a\302\205@b.example>", PATH_NOT_UTF8 },         /* NEL */
	{ "<a\xe2\x80\xa8@b.example>", PATH_NOT_UTF8 },     /* line separator */
	{ "<a\xe2\x80\xae@b.example>", PATH_NOT_UTF8 },     /* turns the direction */
	{ "<alice\xe2\x80\x8b@b.example>", PATH_NOT_UTF8 }, /* no width */
	{ "<a@b\xe2\x80\x8b.example>", PATH_NOT_UTF8 },
	{ "<a@b\xef\xbb\xbf.example>", PATH_NOT_UTF8 }, /* byte order mark */
	{ "<a\302\240b@b.example>", PATH_NOT_UTF8 },    /* a blank that is none */
	{ "<@\303\274.example:a@b.example>", PATH_SYNTAX },
	{ "<|/bin/sh@b.example;x>", PATH_SYNTAX },
};

static void
reads_good_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct slice rest = slice_of(good[i].in);
		struct path p;

		if (path_read(&rest, &p) != PATH_OK)
			fail_msg("%s was refused", good[i].in);
		assert_string_equal(p.text, good[i].text);
		if (!slice_eq(rest, slice_of(good[i].rest)))
			fail_msg("%s: left over: %.*s", good[i].in, SLICE_ARG(rest));
	}
}

static void
refuses_bad_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct slice rest = slice_of(bad[i].in);
		struct path p;
		enum path_status status = path_read(&rest, &p);

		if (status != bad[i].status)
			fail_msg("%s: %d, not %d", bad[i].in, status, bad[i].status);
		assert_string_equal(p.text, "");
		assert_true(rest.at == bad[i].in);
	}
}

static void
keeps_limits(void **state)
{
	char in[700];
	struct slice rest;
	struct path p;

	(void)state;
	memset(in, 'a', sizeof(in));
	in[0] = '<';
	memcpy(in + 1 + PATH_LOCAL_MAX, "@b.example>", 12);
	rest = slice_of(in);
	assert_int_equal(path_read(&rest, &p), PATH_OK);
	memset(in, 'a', sizeof(in));
	in[0] = '<';
	memcpy(in + 2 + PATH_LOCAL_MAX, "@b.example>", 12);
	rest = slice_of(in);
	assert_int_equal(path_read(&rest, &p), PATH_TOO_LONG);
	/* a label of 64, and a name of more than 255 */
	memset(in, 'a', sizeof(in));
	memcpy(in, "<a@", 3);
	memcpy(in + 3 + 64, ">", 2);
	rest = slice_of(in);
	assert_int_equal(path_read(&rest, &p), PATH_SYNTAX);
	memset(in, 'a', sizeof(in));
	memcpy(in, "<a@", 3);
	for (int i = 35; i < 300; i += 32)
		in[i] = '.';
	memcpy(in + 300, ">", 2);
	rest = slice_of(in);
	assert_int_equal(path_read(&rest, &p), PATH_TOO_LONG);
	/* each within its limit, but not together: nothing is written past the end */
	memset(in, 'a', sizeof(in));
	in[0] = '<';
	in[1 + PATH_LOCAL_MAX] = '@';
	for (int i = 1 + PATH_LOCAL_MAX + 32; i < 440; i += 32)
		in[i] = '.';
	memcpy(in + 440, ">", 2);
	rest = slice_of(in);
	assert_int_equal(path_read(&rest, &p), PATH_TOO_LONG);
}

static void
tells_utf8(void **state)
{
	struct slice rest = SLICE("<a@b.example>");
	struct path p;

	(void)state;
	assert_int_equal(path_read(&rest, &p), PATH_OK);
	assert_false(p.utf8);
	rest = SLICE("<\303\274@b.example>");
	assert_int_equal(path_read(&rest, &p), PATH_OK);
	assert_true(p.utf8);
	rest = SLICE("<a@\303\274.example>");
	assert_int_equal(path_read(&rest, &p), PATH_OK);
	assert_true(p.utf8);
	assert_false(path_is_domain(SLICE("\303\274.example")));
}

static void
knows_greetings(void **state)
{
	static const char *const yes[] = { "a.example", "a", "A_b-c.example", "[192.0.2.1]",
		"[IPv6:2001:db8::1]", "[::1]", "localhost.", "-x-", "a:b", "192.0.2.1" };
	static const char *const no[] = { "", "[", "]", "[]", "[x]", "[192.0.2.1", "a b", "a\tb",
		"%s%n", "a(b", "a;b", "<a>", "a\\b", "\"a\"", "a\r", "\303\274.example", "a/b",
		"$(x)", "[1.2.3.4]x", "a@b", "a,b", "{x}" };
	char name[300];

	(void)state;
	for (size_t i = 0; i < COUNT(yes); i++)
		if (!path_is_greeting(slice_of(yes[i])))
			fail_msg("%s was refused", yes[i]);
	for (size_t i = 0; i < COUNT(no); i++)
		if (path_is_greeting(slice_of(no[i])))
			fail_msg("%s was taken", no[i]);
	memset(name, 'a', sizeof(name));
	assert_true(path_is_greeting((struct slice){ name, 255 }));
	assert_false(path_is_greeting((struct slice){ name, 256 }));
	assert_false(path_is_greeting((struct slice){ "a\0b", 3 }));
}

static void
knows_parts(void **state)
{
	struct slice rest = SLICE("<\"a@b\"@c.example>");
	struct path p;

	(void)state;
	assert_int_equal(path_read(&rest, &p), PATH_OK);
	assert_true(slice_eq(path_local(&p), SLICE("\"a@b\"")));
	assert_true(slice_eq(path_domain(&p), SLICE("c.example")));
	rest = SLICE("<postmaster>");
	assert_int_equal(path_read(&rest, &p), PATH_OK);
	assert_int_equal(path_domain(&p).len, 0);
	assert_true(path_same("a@b.example", "a@B.Example"));
	assert_false(path_same("a@b.example", "A@b.example"));
	assert_false(path_same("a@b.example", "a@c.example"));
	assert_true(path_same("postmaster", "postmaster"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_good_ones),
		cmocka_unit_test(refuses_bad_ones),
		cmocka_unit_test(keeps_limits),
		cmocka_unit_test(tells_utf8),
		cmocka_unit_test(knows_greetings),
		cmocka_unit_test(knows_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
