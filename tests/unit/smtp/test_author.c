/* author: From fields that are read, and those that are not */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/author.h"

static const struct {
	const char *value, *authors; /* joined by a space; NULL: unreadable */
} rows[] = {
	{ " a@b.example\r\n", "a@b.example" },
	{ "Alice <a@b.example>", "a@b.example" },
	{ "<a@b.example>", "a@b.example" },
	{ " \"Smith, Alice\" <a@b.example>", "a@b.example" },
	{ "\"a \\\" <x@y.example>\" <a@b.example>", "a@b.example" },
	{ "Alice B. Smith (at (home)) <a@b.example> (x)", "a@b.example" },
	{ "(x@y.example) a@b.example", "a@b.example" },
	{ "=?utf-8?q?Andr=C3=A9?=\r\n <a@b.example>\r\n", "a@b.example" },
	{ "Andr\xc3\xa9 <a@b.example>", "a@b.example" },
	{ "< a@b.example >", "a@b.example" },
	{ "a@b.example, C <c@d.example>,\r\n\te@f.example", "a@b.example c@d.example e@f.example" },
	{ "a@b.example <A@B.example>", "A@B.example" },
	{ "\"x@y.example\" <a@b.example>", "a@b.example" },
	{ "\"q q\"@b.example", "\"q q\"@b.example" },
	{ "\"a>\"@b.example", "\"a>\"@b.example" },
	{ "<\"a>b,c\"@b.example>", "\"a>b,c\"@b.example" },
	{ "a@[192.0.2.1]", "a@[192.0.2.1]" },
	{ "\"plain\"@b.example", "plain@b.example" },
	{ "x@y.example <a@b.example>", NULL }, /* which one? */
	{ "a@b.example c@d.example", NULL },
	{ "<a@b.example> <c@d.example>", NULL },
	{ "<a@b.example> c@d.example", NULL },
	{ "Alice <a@b.example", NULL },
	{ "Alice a@b.example>", NULL },
	{ "<@x.example:a@b.example>", NULL },
	{ "@x.example:a@b.example", NULL },
	{ "team: a@b.example;", NULL },
	{ "a@b.example;", NULL },
	{ "a@b.example,", NULL },
	{ ",a@b.example", NULL },
	{ "<>", NULL },
	{ "", NULL },
	{ "  \r\n", NULL },
	{ "Alice", NULL },
	{ "alice", NULL },
	{ "<postmaster>", NULL },
	{ "\"Alice <a@b.example>", NULL },
	{ "(Alice a@b.example", NULL },
	{ "a@b.example\x01", NULL },
	{ "a\\@b.example", NULL },
	{ "a@b@c.example", NULL },
	{ "<a@b.example\r\n c>", NULL },
	{ "<a(x)@b.example>", NULL },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pool *pool = pool_new(64 * 1024);
		struct authors all;
		enum authors_status status = authors_read(slice_of(rows[i].value), pool, &all);
		char got[300] = "";

		for (size_t k = 0; k < all.n; k++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s",
			    k > 0 ? " " : "", all.at[k]);
		if (status != (rows[i].authors != NULL ? AUTHORS_OK : AUTHORS_UNREADABLE))
			fail_msg("%s: %d", rows[i].value, (int)status);
		if (status == AUTHORS_OK && strcmp(got, rows[i].authors) != 0)
			fail_msg("%s: %s", rows[i].value, got);
		pool_free(&pool);
	}
}

static void
test_too_much(void **state)
{
	struct pool *pool = pool_new(64 * 1024);
	char many[14 * (AUTHORS_MAX + 1) + 1] = "", deep[200], *text = calloc(1, 100001);
	struct authors all;

	(void)state;
	for (int i = 0; i < AUTHORS_MAX; i++)
		strcat(many, i > 0 ? ",a@b.example" : "a@b.example");
	assert_int_equal(authors_read(slice_of(many), pool, &all), AUTHORS_OK);
	assert_int_equal(all.n, AUTHORS_MAX);
	strcat(many, ",a@b.example");
	assert_int_equal(authors_read(slice_of(many), pool, &all), AUTHORS_TOO_MANY);
	memset(deep, '(', sizeof(deep));
	assert_int_equal(
	    authors_read((struct slice){ deep, sizeof(deep) }, pool, &all), AUTHORS_UNREADABLE);
	memset(text, 'x', 100000);
	assert_int_equal(authors_read(slice_of(text), pool, &all), AUTHORS_UNREADABLE);
	free(text);
	pool_free(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows),
		cmocka_unit_test(test_too_much) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
