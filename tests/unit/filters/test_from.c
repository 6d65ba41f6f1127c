/* test_from - one address or none: what readers agree on, and what they do not */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "filters/from.h"

static const struct {
	const char *value;
	enum from_status status;
	const char *domain;
} rows[] = {
	/* plain */
	{ "a@b.example", FROM_OK, "b.example" },
	{ " Alice <a@B.Example> ", FROM_OK, "b.example" },
	{ "<a@b.example>", FROM_OK, "b.example" },
	{ "\"Alice, A.\" <a@b.example>", FROM_OK, "b.example" },
	{ "\"x@victim.example\" <a@b.example>", FROM_OK, "b.example" },
	{ "Alice\r\n\t<a@b.example>", FROM_OK, "b.example" },
	{ "a@b.example (Alice (x))", FROM_OK, "b.example" },
	{ "(c@victim.example) a@b.example", FROM_OK, "b.example" },
	{ "\"a b\"@b.example", FROM_OK, "b.example" },
	{ "<\"a@victim.example\"@b.example>", FROM_OK, "b.example" },
	{ "a@b.example.", FROM_OK, "b.example" },
	{ "a@b.example,", FROM_OK, "b.example" },
	/* sloppy, and yet clear */
	{ "Shop, Inc. <a@b.example>", FROM_OK, "b.example" },
	{ "J. Doe <a@b.example>", FROM_OK, "b.example" },
	{ "[list] Doe <a@b.example>", FROM_OK, "b.example" },
	{ "a@b.example <a@B.example>", FROM_OK, "b.example" },
	{ "\xc3\x84rzte <a@b.example>", FROM_OK, "b.example" },
	{ "<a@b.example> (home)", FROM_OK, "b.example" },
	/* other scripts */
	{ "<a@m\xc3\xbcller.example>", FROM_OK, "xn--mller-kva.example" },
	/* several */
	{ "a@b.example, c@d.example", FROM_SEVERAL, NULL },
	{ "A <a@b.example>, C <c@b.example>", FROM_SEVERAL, NULL },
	/* none */
	{ "", FROM_NONE, NULL },
	{ "Alice", FROM_NONE, NULL },
	{ "\"a@b.example\"", FROM_NONE, NULL },
	{ ",", FROM_NONE, NULL },
	/* who knows */
	{ "c@victim.example <a@b.example>", FROM_UNREADABLE, NULL },
	{ "<a@b.example> <c@d.example>", FROM_UNREADABLE, NULL },
	{ "<a@b.example> c@d.example", FROM_UNREADABLE, NULL },
	{ "<a@b.example<c@d.example>>", FROM_UNREADABLE, NULL },
	{ "<@route.example:a@b.example>", FROM_UNREADABLE, NULL },
	{ "a@b.example@c.example", FROM_UNREADABLE, NULL },
	{ "Alice a@b.example", FROM_UNREADABLE, NULL },
	{ "group: a@b.example;", FROM_UNREADABLE, NULL },
	{ "undisclosed:;", FROM_UNREADABLE, NULL },
	{ "<>", FROM_UNREADABLE, NULL },
	{ "<a@b.example", FROM_UNREADABLE, NULL },
	{ "a@b.example>", FROM_UNREADABLE, NULL },
	{ "\"a <a@b.example>", FROM_UNREADABLE, NULL },
	{ "(a <a@b.example>", FROM_UNREADABLE, NULL },
	{ "a\\@victim.example <a@b.example>", FROM_UNREADABLE, NULL },
	{ "Foo, a@b.example", FROM_UNREADABLE, NULL },
	{ "a@b.example, Foo", FROM_UNREADABLE, NULL },
	{ "@b.example", FROM_UNREADABLE, NULL },
	{ "a\x01@b.example", FROM_UNREADABLE, NULL },
	{ "a@b .example", FROM_UNREADABLE, NULL },
	/* no domain */
	{ "a@[192.0.2.1]", FROM_NO_DOMAIN, NULL },
	{ "<a@[192.0.2.1]>", FROM_NO_DOMAIN, NULL },
	{ "<a@=?utf-8?q?b=2Eexample?=>", FROM_NO_DOMAIN, NULL },
	{ "<a@b..example>", FROM_NO_DOMAIN, NULL },
	{ "<a@>", FROM_NO_DOMAIN, NULL },
};

static void
reads_every_row(void **state)
{
	char out[FROM_DOMAIN_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum from_status status = from_domain(slice_of(rows[i].value), out);

		if (status != rows[i].status)
			fail_msg("\"%s\" gave %d", rows[i].value, (int)status);
		if (status == FROM_OK)
			assert_string_equal(out, rows[i].domain);
	}
}

static void
a_nul_is_unreadable(void **state)
{
	static const char *const bad[] = { "a@b.example\0 <c@d.example>",
		"\"a\0b\" <c@d.example>  ", "(a\0bcdef)   c@d.example   ",
		"<a\0@b.example>       " };
	char out[FROM_DOMAIN_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(from_domain((struct slice){ bad[i], 18 }, out), FROM_UNREADABLE);
}

static void
deep_and_long_ones_end(void **state)
{
	char text[9000], out[FROM_DOMAIN_SIZE];

	(void)state;
	memset(text, '(', sizeof(text));
	assert_int_equal(from_domain((struct slice){ text, sizeof(text) }, out), FROM_UNREADABLE);
	memset(text, 'a', sizeof(text));
	assert_int_equal(from_domain((struct slice){ text, sizeof(text) }, out), FROM_UNREADABLE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_row),
		cmocka_unit_test(a_nul_is_unreadable),
		cmocka_unit_test(deep_and_long_ones_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
