/* test_head - hops, and what a header lacks */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/head.h"

static const struct {
	const char *in;
	unsigned received;
	bool complete, date, has_msgid;
	const char *msgid;
} rows[] = {
	{ "", 0, true, false, false, "" },
	{ "\r\nDate: x\r\n", 0, true, false, false, "" },
	{ "Date: x\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n", 0, true, true, true, "<a@b>" },
	{ "Received: a\r\n\tReceived: b\r\nreceived : c\r\n\r\nReceived: d\r\n", 2, true, false,
	    false, "" },
	{ "MESSAGE-id:\r\n <a@b>\r\nX: y\r\n\r\n", 0, true, false, true, "<a@b>" },
	{ "Message-ID: nonsense\r\n\r\n", 0, true, false, true, "" },
	{ "Message-ID: <a b>\r\n\r\n", 0, true, false, true, "" },
	{ "Message-ID: <a@b>\r\nMessage-ID: <c@d>\r\n\r\n", 0, true, false, true, "<a@b>" },
	{ "Dates: x\r\nXDate: y\r\n\r\n", 0, true, false, false, "" },
	{ "no header at all\r\nDate: x\r\n\r\n", 0, true, false, false, "" },
	{ "Message-ID:", 0, true, false, true, "" },
};

static void
reads(void **state)
{
	struct head h;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		head_read(&h, slice_of(rows[i].in), true);
		if (h.received != rows[i].received || h.complete != rows[i].complete ||
		    h.has_date != rows[i].date || h.has_msgid != rows[i].has_msgid)
			fail_msg("row %zu", i);
		assert_string_equal(h.msgid, rows[i].msgid);
	}
	head_read(&h, SLICE("Subject: x\r\n"), false);
	assert_false(h.complete);
}

static void
finds_tls_required(void **state)
{
	static const struct {
		const char *in;
		bool optional;
	} fields[] = {
		{ "TLS-Required: No\r\n\r\n", true },
		{ "tls-required:no\r\n\r\n", true },
		{ "Subject: x\r\nTLS-Required:\r\n No\r\nDate: x\r\n\r\n", true },
		{ "TLS-Required: Yes\r\n\r\n", false },
		{ "TLS-Required: None\r\n\r\n", false },
		{ "TLS-Required:\r\n\r\nNo\r\n", false },
		{ "X-TLS-Required: No\r\n\r\n", false },
		{ "Subject: x\r\n TLS-Required: No\r\n\r\n", false },
		{ "Subject: x\r\n\r\nTLS-Required: No\r\n", false },
	};
	struct head h;

	(void)state;
	for (size_t i = 0; i < COUNT(fields); i++) {
		head_read(&h, slice_of(fields[i].in), true);
		if (h.tls_optional != fields[i].optional)
			fail_msg("%s", fields[i].in);
	}
}

static void
long_ids_are_dropped(void **state)
{
	char in[700];
	struct head h;

	(void)state;
	memset(in, 'x', sizeof(in));
	memcpy(in, "Message-ID: <", 13);
	memcpy(in + 650, ">\r\n\r\n", 6);
	head_read(&h, slice_of(in), true);
	assert_true(h.has_msgid);
	assert_string_equal(h.msgid, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads),
		cmocka_unit_test(finds_tls_required),
		cmocka_unit_test(long_ids_are_dropped) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
