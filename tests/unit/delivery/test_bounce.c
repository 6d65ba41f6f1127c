/* bounce: what the report says, and that nothing from outside gets out of its place */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "delivery/bounce.h"

static const struct bounce_rcpt rcpts[] = {
	{ "x@far.example", "x@far.example", "", "mx.far.example", 550, "5.1.1", "No such user" },
	{ "y@far.example", "alias@example.test", "", "", 0, "5.4.7",
	    "given up after 5 days; the last attempt said: timed out" },
};

static struct bounce
usual(void)
{
	return (struct bounce){ .hostname = "mx.example.test",
		.to = "alice@example.test",
		.id = "0000000000001",
		.report_id = "0000000000002",
		.now = 1764000000000000,
		.arrived = 1763900000000000,
		.until = 1764400000000000,
		.rcpts = rcpts,
		.n_rcpts = 2,
		.headers = SLICE("Received: by us\r\nSubject: secret plan\r\n\r\nthe body\r\n") };
}

static char *
write_it(const struct bounce *b)
{
	struct buf out;
	size_t len;

	buf_init(&out, 100000);
	bounce_write(&out, b);
	assert_false(out.failed);
	return buf_take(&out, &len);
}

static const char *const said[] = {
	"To: <alice@example.test>\r\n",
	"Auto-Submitted: auto-replied\r\n",
	"From: Mail Delivery System <MAILER-DAEMON@mx.example.test>\r\n",
	"Content-Type: multipart/report; "
	"report-type=delivery-status;\r\n\tboundary=\"0000000000002/mx.example.test\"\r\n",
	"\r\n--0000000000002/mx.example.test\r\nContent-Type: text/plain; charset=utf-8\r\n",
	"  <alias@example.test> (sent on to <y@far.example>)\r\n",
	"\r\n--0000000000002/mx.example.test\r\nContent-Type: "
	"message/delivery-status\r\n\r\nReporting-MTA: dns;mx.example.test\r\n",
	"\r\n\r\nOriginal-Recipient: rfc822;x@far.example\r\nFinal-Recipient: "
	"rfc822;x@far.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
	"Remote-MTA: dns;mx.far.example\r\nDiagnostic-Code: smtp;550 No such user\r\n",
	"Status: 5.4.7\r\nDiagnostic-Code: x-tegami;given up after 5 days",
	"Content-Type: text/rfc822-headers\r\n\r\nReceived: by us\r\nSubject: secret "
	"plan\r\n\r\n--0000000000002/mx.example.test--\r\n",
};

static void
test_failed(void **state)
{
	struct bounce b = usual();
	char *text = write_it(&b);

	(void)state;
	for (size_t i = 0; i < COUNT(said); i++) {
		if (strstr(text, said[i]) == NULL)
			fail_msg("not there: %s\nin: %s", said[i], text);
	}
	assert_null(strstr(text, "the body"));
	free(text);
}

static void
test_delayed(void **state)
{
	struct bounce b = usual();
	char *text;

	(void)state;
	b.kind = BOUNCE_DELAYED;
	text = write_it(&b);
	assert_non_null(strstr(text, "Action: delayed\r\n"));
	assert_non_null(strstr(text, "Will-Retry-Until: "));
	assert_null(strstr(text, "Action: failed"));
	free(text);
}

/* Every line ends in CRLF, is of bearable length and holds no control character. */
static void
assert_clean(const char *text, bool ascii)
{
	size_t len = 0;

	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\r' && p[1] == '\n') {
			len = 0;
			p++;
			continue;
		}
		assert_true(++len <= 998);
		assert_true(*p == '\t' || (unsigned char)*p >= 0x20);
		assert_true((unsigned char)*p != 0x7f);
		assert_true(!ascii || (unsigned char)*p < 0x80);
	}
}

static void
test_hostile(void **state)
{
	struct bounce_rcpt bad = { "x@a\r\nBcc: y", "o\n\n--b", "", "h\r\nX: y", 550,
		"5.1.1\r\nX: y", NULL };
	char *longest = malloc(20001), *text;
	struct bounce b = usual();

	(void)state;
	memset(longest, 'x', 20000);
	longest[20000] = '\0';
	memcpy(longest, "evil\r\nAction: delivered\r\n\x01\xc3\xa9", 29);
	bad.text = longest;
	b.rcpts = &bad;
	b.n_rcpts = 1;
	b.to = "a\r\nBcc: victim@x";
	b.headers = (struct slice){ longest, 20000 };
	text = write_it(&b);
	assert_clean(text, true);
	assert_null(strstr(text, "\nBcc:"));
	assert_null(strstr(text, "\nX: y"));
	assert_non_null(strstr(text, "Status: 5.0.0"));
	free(text);
	free(longest);
}

static void
test_many(void **state)
{
	struct bounce_rcpt many[200];
	struct bounce b = usual();
	char *text;

	(void)state;
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = rcpts[0];
	b.rcpts = many;
	b.n_rcpts = COUNT(many);
	text = write_it(&b);
	assert_non_null(strstr(text, "  and 150 more\r\n"));
	assert_true(strlen(text) < 32768);
	free(text);
}

static void
test_utf8(void **state)
{
	struct bounce_rcpt r = { "j\xc3\xb6rg@far.example", "", "", "", 0, "", "no" };
	struct bounce b = usual();
	char *text;

	(void)state;
	b.rcpts = &r;
	b.n_rcpts = 1;
	b.utf8 = true;
	text = write_it(&b);
	assert_non_null(strstr(text, "Final-Recipient: utf-8;j\xc3\xb6rg@far.example"));
	assert_non_null(strstr(text, "message/global-headers"));
	free(text);
}

/* -- what RFC 3461 adds */

static char *
write_one(enum bounce_kind kind, struct bounce_rcpt r, const char *envid, const char *full)
{
	struct bounce b = usual();

	b.kind = kind;
	b.rcpts = &r;
	b.n_rcpts = 1;
	b.envid = envid;
	b.full = slice_of(full);
	return write_it(&b);
}

static void
test_success(void **state)
{
	const struct bounce_rcpt r = { "x@far.example", "x@far.example", "", "", 0, "",
		"delivered" };
	const struct bounce_rcpt on = { "x@far.example", "x@far.example",
		"rfc822;X+2B1@far.example", "mx.far.example", 250, "2.1.5", "Ok" };
	char *text = write_one(BOUNCE_DELIVERED, r, "", "");

	(void)state;
	assert_non_null(strstr(text, "\r\nSubject: Your mail was delivered\r\n"));
	assert_non_null(strstr(text, "\r\nAction: delivered\r\nStatus: 2.0.0\r\n"));
	assert_null(strstr(text, "Diagnostic-Code"));
	assert_null(strstr(text, "Original-Envelope-Id"));
	free(text);
	text = write_one(BOUNCE_RELAYED, on, "Q+0D+0AX:+20y", "");
	assert_non_null(strstr(text, "\r\nOriginal-Envelope-Id: Q  X: y\r\n"));
	assert_non_null(strstr(text, "\r\nOriginal-Recipient: rfc822;X+1@far.example\r\n"));
	assert_non_null(
	    strstr(text, "\r\nAction: relayed\r\nStatus: 2.1.5\r\n"
			 "Remote-MTA: dns;mx.far.example\r\nDiagnostic-Code: smtp;250 Ok\r\n"));
	assert_clean(text, true);
	free(text);
}

static void
test_full(void **state)
{
	char *text = write_one(BOUNCE_FAILED, rcpts[0], "", "Subject: x\r\n\r\nthe body\r\n");

	(void)state;
	assert_non_null(
	    strstr(text, "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nthe body\r\n"
			 "\r\n--0000000000002/mx.example.test--\r\n"));
	assert_null(strstr(text, "secret plan"));
	assert_null(strstr(text, "8bit"));
	free(text);
	text = write_one(BOUNCE_FAILED, rcpts[0], "", "Subject: x\r\n\r\n\xc3\x9f\r\n");
	assert_non_null(
	    strstr(text, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_delayed),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
