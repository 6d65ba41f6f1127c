/* sendmail_head: addresses of a header, and Bcc taken out */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/sendmail.h"

static void
joined(const struct recipients *r, char *out)
{
	*out = '\0';
	for (size_t i = 0; i < r->n; i++) {
		strcat(out, i > 0 ? " " : "");
		strcat(out, r->at[i]);
	}
}

static void
addresses(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} rows[] = {
		{ "a@b.test", "a@b.test" },
		{ " a@b.test , c@d.test ", "a@b.test c@d.test" },
		{ "Alice <a@b.test>, \"B, C\" <c@d.test>", "a@b.test c@d.test" },
		{ "a@b.test (Alice, the (first))", "a@b.test" },
		{ "(x) root", "root@host.test" },
		{ "friends: a@b.test, c@d.test;, e@f.test", "a@b.test c@d.test e@f.test" },
		{ "nobody:;", "" },
		{ "<@x.test,@y.test:a@b.test>", "a@b.test" },
		{ "A <a@b.test>,\n\tB <c@d.test>", "a@b.test c@d.test" },
		{ "\"a,b\"@c.test", "\"a,b\"@c.test" },
		{ "\"<x>\" <a@b.test>", "a@b.test" },
		{ "<>", "" },
		{ "", "" },
		{ "two words@b.test", NULL },
		{ "-oQ/tmp", NULL },
		{ "a@b.test\x01", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct recipients r = { NULL, 0 };
		struct err err = { .kind = ERR_NONE };
		int rc = head_addresses(slice_of(rows[i].in), &r, "host.test", &err);
		char all[500];

		joined(&r, all);
		if ((rc == 0) != (rows[i].out != NULL))
			fail_msg("%s: %d %s", rows[i].in, rc, all);
		if (rc == 0 && strcmp(all, rows[i].out) != 0)
			fail_msg("%s: %s", rows[i].in, all);
		recipients_free(&r);
	}
}

static void
header(void **state)
{
	static const char in[] = "From: x@y.test\nTo: a@b.test,\n c@d.test\nBCC: "
				 "secret@e.test,\n\tother@e.test\nSubject: Bcc: no\n"
				 "Cc: f@g.test\n";
	struct recipients r = { NULL, 0 };
	struct err err;
	struct buf out;
	char all[500];

	(void)state;
	buf_init(&out, 10000);
	assert_int_equal(head_take(slice_of(in), &r, "host.test", &out, &err), 0);
	joined(&r, all);
	assert_string_equal(all, "a@b.test c@d.test secret@e.test other@e.test f@g.test");
	assert_string_equal(buf_cstr(&out),
	    "From: x@y.test\nTo: a@b.test,\n c@d.test\nSubject: Bcc: no\nCc: f@g.test\n");
	recipients_free(&r);
	buf_free(&out);
}

static void
beginnings(void **state)
{
	static const struct {
		const char *in;
		bool is;
	} rows[] = { { "Subject: x", true }, { "X-A:", true }, { "Hello Bob,", false },
		{ "", false }, { ": x", false }, { "From me to you", false }, { "http", false } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(head_begins(slice_of(rows[i].in)), rows[i].is);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(addresses),
		cmocka_unit_test(header), cmocka_unit_test(beginnings) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
