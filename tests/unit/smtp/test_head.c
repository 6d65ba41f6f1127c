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
	{ "Message-ID:\r\n \r\n\t<a@b>", 0, true, false, true, "<a@b>" },
	{ "Message-ID: see <a@b> (x)\r\n\t<c@d>\r\n\r\n", 0, true, false, true, "<a@b>" },
	{ "Date               \t : x\r\nMessage-ID            :<a@b>\r\n\r\n", 0, true, true, true,
	    "<a@b>" },
	{ "Receivedddddddddddddd: x\r\nReceived        d: x\r\n\r\n", 0, true, false, false, "" },
	{ ": x\r\nReceived: x\r\n\r\n", 1, true, false, false, "" },
};

/* In pieces of `step` bytes. */
static void
head_read(struct head *h, struct slice message, size_t step, bool whole)
{
	memset(h, 0, sizeof(*h));
	for (size_t at = 0; at < message.len; at += step)
		head_feed(h, slice_first(slice_skip(message, at), step));
	if (whole)
		head_end(h);
}

static void
reads(void **state)
{
	struct head h;

	(void)state;
	for (size_t k = 0; k < 4 * COUNT(rows); k++) {
		size_t i = k / 4;

		head_read(&h, slice_of(rows[i].in), k % 4 == 3 ? 1000 : k % 4 + 1, true);
		if (h.received != rows[i].received || h.complete != rows[i].complete ||
		    h.has_date != rows[i].date || h.has_msgid != rows[i].has_msgid)
			fail_msg("row %zu", i);
		assert_string_equal(h.msgid, rows[i].msgid);
	}
	head_read(&h, SLICE("Subject: x\r\n"), 100, false);
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
	for (size_t k = 0; k < 4 * COUNT(fields); k++) {
		size_t i = k / 4;

		head_read(&h, slice_of(fields[i].in), k % 4 == 3 ? 1000 : k % 4 + 1, true);
		if (h.tls_optional != fields[i].optional)
			fail_msg("%s", fields[i].in);
	}
}

/* However far down the field is. */
static void
reads_long_headers(void **state)
{
	static const char many[] = "Received: x\r\n",
			  last[] = "TLS-Required: No\r\nDate: x\r\n\r\n";
	char line[5000];
	struct head h = { 0 };

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "X-Long:", 7);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	for (int i = 0; i < 400; i++) {
		head_feed(&h, (struct slice){ line, sizeof(line) });
		head_feed(&h, slice_of(many));
	}
	assert_false(h.complete || h.has_date || h.tls_optional);
	head_feed(&h, slice_of(last));
	assert_true(h.complete && h.has_date && h.tls_optional);
	assert_int_equal(h.received, 400);
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
	head_read(&h, slice_of(in), 100, true);
	assert_true(h.has_msgid);
	assert_string_equal(h.msgid, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads),
		cmocka_unit_test(finds_tls_required), cmocka_unit_test(reads_long_headers),
		cmocka_unit_test(long_ids_are_dropped) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
