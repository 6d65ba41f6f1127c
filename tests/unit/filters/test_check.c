/* test_check - rules on messages, and what is ruled and written */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/check.h"
#include "filters/verdict.h"
#include "tests/unit/filters/answers.h"

#define NOW (INT64_C(1795499548) * 1000000) /* Tue, 24 Nov 2026 05:52:28 +0000 */
#define GOOD                                                                                       \
	"Received: x\r\nFrom: A <a@b.example>\r\nTo: c@d.example\r\nSubject: hi\r\n"               \
	"Date: Tue, 24 Nov 2026 05:52:28 +0000\r\nMessage-ID: <1@b.example>\r\n"

static const struct dns_row zone[] = {
	{ "b.example", RR_TXT, DNS_OK, "v=spf1 ip4:192.0.2.1 -all" },
	{ "1.2.0.192.in-addr.arpa", RR_PTR, DNS_OK, "mail.b.example" },
	{ "mail.b.example", RR_A, DNS_OK, "192.0.2.1" },
	{ "2.2.0.192.in-addr.arpa", RR_PTR, DNS_OK, "mail.b.example" },
	{ "4.2.0.192.in-addr.arpa", RR_PTR, DNS_OK, "192-0-2-4.pool.example" },
	{ "192-0-2-4.pool.example", RR_A, DNS_OK, "192.0.2.4" },
	{ "5.2.0.192.in-addr.arpa", RR_PTR, DNS_TEMPORARY, NULL },
	{ "3.2.0.192.bl.example", RR_A, DNS_OK, "127.0.0.2" },
	{ "6.2.0.192.bl.example", RR_A, DNS_OK, "127.255.255.254" },
	{ 0 },
};

static struct conf *
configured(void)
{
	struct conf *c = conf_defaults();

	free(c->hostname);
	c->hostname = strdup("mx.our.example");
	c->antivirus.enabled = false;
	c->spam.dnsbl = calloc(1, sizeof(*c->spam.dnsbl));
	c->spam.n_dnsbl = 1;
	c->spam.dnsbl[0] = (struct conf_dnsbl){ strdup("bl.example"), 4000 };
	return c;
}

static struct judge *
judged(const struct conf *c, const char *ip, const char *helo, const char *message)
{
	struct facts facts = { .qid = 1,
		.kind = LISTEN_MX,
		.ip = ip,
		.helo = helo,
		.from = "a@b.example",
		.user = "",
		.rcpt = "c@d.example",
		.now = NOW,
		.message = slice_of(message) };
	struct judge *j = judge_new(&facts, c, NULL);

	answers_run(j, zone);
	return j;
}

static void
test_rules(void **state)
{
	static const struct {
		const char *ip, *helo, *message, *check,
		    *result; /* result NULL: it must not be there */
	} rows[] = {
		{ "192.0.2.1", "mail.b.example", GOOD "\r\nx\r\n", "spf", "pass" },
		{ "192.0.2.2", "mail.b.example", GOOD "\r\nx\r\n", "spf", "fail" },
		{ "192.0.2.1", "mail.b.example", GOOD "\r\nx\r\n", "rdns", "pass" },
		{ "192.0.2.2", "mail.b.example", GOOD "\r\nx\r\n", "rdns", "fail" },
		{ "192.0.2.3", "mail.b.example", GOOD "\r\nx\r\n", "rdns", "none" },
		{ "192.0.2.4", "mail.b.example", GOOD "\r\nx\r\n", "rdns", "generic" },
		{ "192.0.2.5", "mail.b.example", GOOD "\r\nx\r\n", "rdns", "temperror" },
		{ "10.0.0.1", "mail.b.example", GOOD "\r\nx\r\n", "rdns", NULL },
		{ "192.0.2.3", "mail.b.example", GOOD "\r\nx\r\n", "dnsbl", "listed" },
		{ "192.0.2.1", "mail.b.example", GOOD "\r\nx\r\n", "dnsbl", "clean" },
		{ "192.0.2.6", "mail.b.example", GOOD "\r\nx\r\n", "dnsbl", "clean" },
		{ "192.0.2.1", "mail.b.example", GOOD "\r\nx\r\n", "HELO_UNKNOWN", NULL },
		{ "192.0.2.1", "no.b.example", GOOD "\r\nx\r\n", "HELO_UNKNOWN", "hit" },
		{ "192.0.2.1", "pc", GOOD "\r\nx\r\n", "HELO_NO_DOT", "hit" },
		{ "192.0.2.1", "192.0.2.1", GOOD "\r\nx\r\n", "HELO_BARE_ADDRESS", "hit" },
		{ "192.0.2.1", "[192.0.2.1]", GOOD "\r\nx\r\n", "HELO_OTHER_ADDRESS", NULL },
		{ "192.0.2.1", "[192.0.2.9]", GOOD "\r\nx\r\n", "HELO_OTHER_ADDRESS", "hit" },
		{ "2001:db8::1", "[IPv6:2001:db8:0::1]", GOOD "\r\nx\r\n", "HELO_OTHER_ADDRESS",
		    NULL },
		{ "192.0.2.1", "MX.our.example", GOOD "\r\nx\r\n", "HELO_OURS", "hit" },
		{ "192.0.2.1", "d.example", GOOD "\r\nx\r\n", "HELO_RECIPIENT", "hit" },
		{ "192.0.2.1", "localhost", GOOD "\r\nx\r\n", "HELO_LOCALHOST", "hit" },
		{ "192.0.2.1", "a_b@c.example", GOOD "\r\nx\r\n", "HELO_BAD_CHARS", "hit" },
		{ "127.0.0.1", "localhost", GOOD "\r\nx\r\n", "HELO_LOCALHOST", NULL },
		{ "192.0.2.1", "x.example", "\r\n\r\n", "DATE_MISSING", "hit" },
		{ "192.0.2.1", "x.example", "Date: yesterday\r\n\r\n", "DATE_MALFORMED", "hit" },
		{ "192.0.2.1", "x.example", "Date: Wed, 25 Nov 2026 20:00:00 +0000\r\n\r\n",
		    "DATE_FUTURE", "hit" },
		{ "192.0.2.1", "x.example", "Date: Tue, 24 Nov 2026 15:00:00 +0900\r\n\r\n",
		    "DATE_FUTURE", NULL },
		{ "192.0.2.1", "x.example", "Date: Sun, 1 Nov 2026 15:00:00 +0900\r\n\r\n",
		    "DATE_OLD", "hit" },
		{ "192.0.2.1", "x.example", "Message-ID: nothing\r\n\r\n", "MSGID_MALFORMED",
		    "hit" },
		{ "192.0.2.1", "x.example", GOOD "\r\n\r\n", "BODY_EMPTY", "hit" },
		{ "192.0.2.1", "x.example", GOOD "\r\nx\r\n", "BODY_EMPTY", NULL },
		{ "192.0.2.1", "x.example", GOOD "To: x\r\n\r\nx\r\n", "HEADER_REPEATED", "hit" },
		{ "192.0.2.1", "x.example",
		    GOOD "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n",
		    "MIME_OPEN", "hit" },
		{ "192.0.2.1", "x.example",
		    GOOD
		    "Content-Transfer-Encoding: base64\r\n\r\naHR0cDovLzE5Mi4wLjIu\r\nMS8g\r\n",
		    "LINK_TO_ADDRESS", "hit" },
	};
	struct conf *c = configured();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct judge *j = judged(c, rows[i].ip, rows[i].helo, rows[i].message);
		const struct hit *h = answers_hit(j, rows[i].check);

		if (rows[i].result == NULL ? h != NULL
					   : h == NULL || strcmp(h->result, rows[i].result) != 0)
			fail_msg("row %zu: %s is %s", i, rows[i].check,
			    h == NULL ? "not there" : h->result);
		judge_free(&j);
	}
	conf_free(&c);
}

static void
test_name_address(void **state)
{
	static const struct {
		const char *from;
		bool hit;
	} rows[] = {
		{ "boss@bank.example <x@evil.example>", true },
		{ "\"boss@bank.example\" <x@evil.example>", true },
		{ "\"boss\\@bank.example\" <x@evil.example>", true },
		{ "=?utf-8?Q?boss=40bank=2Eexample?= <x@evil.example>", true },
		{ "=?utf-8?b?Ym9zc0BiYW5rLmV4YW1wbGU=?= <x@evil.example>", true },
		{ "\"=?utf-8?q?boss=40bank.example?=\" <x@evil.example>", true },
		{ "=?utf-8?q?boss?= =?utf-8?q?=40?=\r\n =?utf-8?q?bank.example?= <x@evil.example>",
		    true },
		{ "x@evil.example (=?utf-8?q?boss=40bank.example?=)", true },
		{ "<x@evil.example> (boss@bank.example)", true },
		/* the domain that is shown begins with that of the sender, or the other way round */
		{ "boss@bank.example <x@bank.ex>", true },
		{ "boss@bank.example <x@bank>", true },
		{ "boss@bank.example <x@bank.example.evil.example>", true },
		{ "boss@bank.example <x@[192.0.2.1]>", true },
		{ "x@evil.example, boss@bank.example <x@evil.example>", true },
		{ "Boss <x@bank.example>", false },
		{ "x@bank.example", false },
		{ "boss@Bank.example <x@bank.example>", false },
		{ "boss@bank.example. <x@bank.EXAMPLE>", false },
		{ "=?utf-8?q?boss=40bank=2Eexample?= <x@bank.example>", false },
		{ "boss@m\xc3\xbcnchen.example <x@xn--mnchen-3ya.example>", false },
		{ "Boss @ Bank <x@evil.example>", false },
		{ "=?utf-8?q?B=C3=B6ss?= <x@evil.example>", false },
		{ "", false },
	};
	struct conf *c = configured();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char message[1000];
		struct judge *j;

		snprintf(message, sizeof(message), "From: %s\r\n\r\nx\r\n", rows[i].from);
		j = judged(c, "192.0.2.1", "x.example", message);
		if ((answers_hit(j, "FROM_NAME_ADDRESS") != NULL) != rows[i].hit)
			fail_msg("%s", rows[i].from);
		judge_free(&j);
	}
	conf_free(&c);
}

static void
test_score_text(void **state)
{
	static const struct {
		int64_t score;
		const char *text;
	} rows[] = { { 0, "0" }, { 4500, "4.5" }, { -200, "-0.2" }, { 15000, "15" }, { 1, "0.001" },
		{ 100000, "100" } };
	char text[SCORE_TEXT];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		score_text(rows[i].score, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void
test_verdicts(void **state)
{
	static const struct {
		const char *ip, *helo, *body;
		enum verdict verdict;
		const char *reply, *prefix; /* begin with, hold */
	} rows[] = {
		{ "192.0.2.1", "mail.b.example", "x\r\n", VERDICT_ACCEPT, "",
		    "X-Spam-Status: No, score=-0.1 required=5 tests=SPF_PASS(-0.1)\r\n" },
		{ "192.0.2.3", "mail.b.example", "x\r\n", VERDICT_JUNK, "",
		    "X-Spam-Flag: YES\r\n" },
		{ "192.0.2.3", "mx.our.example",
		    "XJS*C4JDBQADN1.NSBN3*2IDNEN*"
		    "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n",
		    VERDICT_REFUSE, "550 5.7.1 Refused as spam, score ", "tests=" },
	};
	struct conf *c = configured();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char message[1000];
		struct judge *j;
		struct ruling r;

		snprintf(message, sizeof(message), GOOD "\r\n%s", rows[i].body);
		j = judged(c, rows[i].ip, rows[i].helo, message);
		ruling_make(j, &r);
		assert_int_equal(r.verdict, rows[i].verdict);
		assert_memory_equal(
		    r.reply, rows[i].reply, strlen(rows[i].reply) + (rows[i].reply[0] == '\0'));
		assert_true(strlen(r.reply) < 500);
		assert_non_null(strstr(buf_cstr(&r.prefix), rows[i].prefix));
		ruling_free(&r);
		judge_free(&j);
	}
	conf_free(&c);
}

/* Whatever antivirus did not call clean is not accepted. */
static void
test_antivirus(void **state)
{
	static const struct {
		int status; /* -1: never answered */
		enum verdict verdict;
		const char *reply;
	} rows[] = { { SCAN_CLEAN, VERDICT_ACCEPT, "" },
		{ SCAN_INFECTED, VERDICT_REFUSE, "550 5.7.1 The message holds the virus X" },
		{ SCAN_FAILED, VERDICT_DEFER, "451 4.7.1 The message could not be scanned: X" },
		{ 99, VERDICT_DEFER, "451 4.7.1 The message could not be scanned: X" },
		{ -1, VERDICT_DEFER, "451 4.7.1 The message could not be scanned" } };
	struct conf *c = configured();

	(void)state;
	c->antivirus.enabled = true;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct facts facts = { .kind = LISTEN_SUBMISSION,
			.ip = "192.0.2.1",
			.helo = "x",
			.from = "a@b.example",
			.user = "u",
			.rcpt = "",
			.message = SLICE("X: y\r\n\r\n") };
		struct judge *j = judge_new(&facts, c, NULL);
		struct ruling r;

		assert_int_equal(checks_run(j), CHECK_WAIT);
		assert_int_equal(j->scan, SCAN_WANTED);
		if (rows[i].status != -1) {
			j->scan = SCAN_ANSWERED;
			j->scan_status = (enum scan_status)rows[i].status;
			j->scan_text = "X";
			assert_int_equal(checks_run(j), CHECK_DONE);
		}
		assert_int_equal(j->n_questions, 0);
		ruling_make(j, &r);
		assert_int_equal(r.verdict, rows[i].verdict);
		assert_string_equal(r.reply, rows[i].reply);
		ruling_free(&r);
		judge_free(&j);
	}
	conf_free(&c);
}

static void
test_cuts(void **state)
{
	static const struct {
		const char *field;
		bool cut;
	} rows[] = { { "Authentication-Results: mx.our.example; spf=pass\r\n", true },
		{ "authentication-results:\r\n\tMX.our.example 1; spf=pass\r\n", true },
		{ "Authentication-Results: (a (b) c) \"mx.our.example\"; spf=pass\r\n", true },
		{ "Authentication-Results : mx.our.example.; none\r\n", true },
		{ "Authentication-Results:mx.our.example;spf=pass\r\n", true },
		{ "Authentication-Results: \t mx.our.example\t; spf=pass\r\n", true },
		{ "Authentication-Results \t: mx.our.example; spf=pass\r\n", true },
		{ "Authentication-Results\r\n\t: mx.our.example; spf=pass\r\n", true },
		{ "Authentication-Results:\r\n \r\n\tmx.our.example\r\n ; spf=pass\r\n", true },
		{ "AUTHENTICATION-RESULTS: Mx.OUR.eXample; spf=pass\r\n", true },
		{ "Authentication-Results: mx.our.example(x); spf=pass\r\n", true },
		{ "Authentication-Results: mx.our.example (x\\)) 1; spf=pass\r\n", true },
		{ "Authentication-Results: \"mx.our.example\"; spf=pass\r\n", true },
		{ "Authentication-Results: \" mx.our\\.example\" 1; spf=pass\r\n", true },
		{ "Authentication-Results: mx.(x)our.example; spf=pass\r\n", true },
		{ "Authentication-Results: mx.our.example. ; spf=pass\r\n", true },
		{ "Authentication-Results: mx.our.example/1; spf=pass\r\n", true },
		{ "Authentication-Results: mx.our.example 1; spf=pass\r\n", true },
		{ "Authentication-Results: mx.our.example spf=pass\r\n", true },
		{ "Authentication-Results: mx.our.example\r\n", true },
		{ "Authentication-Results: (x mx.our.example; spf=pass\r\n", true },
		{ "Authentication-Results: ; spf=pass\r\n", true },
		{ "Authentication-Results:\r\n", true }, { "\t; dkim=pass\r\n", true },
		{ "Authentication-Results: mx.our.example.org; spf=pass\r\n", false },
		{ "Authentication-Results: \"mx.our.example.org\"; spf=pass\r\n", false },
		{ "Authentication-Results: mx.our.examples; spf=pass\r\n", false },
		{ "Authentication-Results: mx.our.example-2; spf=pass\r\n", false },
		{ "Authentication-Results: mx.our; spf=pass\r\n", false },
		{ "Authentication-Results: (mx.our.example) b.example; spf=pass\r\n", false },
		{ "ARC-Authentication-Results: i=1; mx.our.example; spf=pass\r\n", false },
		{ "Authentication-Results: other.example; spf=pass\r\n", false },
		{ "X-Spam-Level: *\r\n", true }, { "X-Spammer: *\r\n", false },
		{ "Received: x\r\n", false } };
	struct conf *c = configured();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char message[1000];
		struct judge *j;
		struct ruling r;

		snprintf(message, sizeof(message), "%s" GOOD "\r\nx\r\n", rows[i].field);
		j = judged(c, "192.0.2.1", "mail.b.example", message);
		ruling_make(j, &r);
		if (r.n_cuts != (size_t)rows[i].cut ||
		    (rows[i].cut && (r.cuts[0].at != 0 || r.cuts[0].len != strlen(rows[i].field))))
			fail_msg("%s: %zu cuts", rows[i].field, r.n_cuts);
		ruling_free(&r);
		judge_free(&j);
	}
	conf_free(&c);
}

static void
test_quoting(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = { { "a@b.example", "a@b.example" }, { "a b@c", "\"a b@c\"" },
		{ "x;y", "\"x;y\"" }, { "q\"\\", "\"q\\\"\\\\\"" }, { "n\r\nX: y", "\"n??X: y\"" },
		{ "", "\"\"" }, { "a@b@c", "\"a@b@c\"" } };
	struct conf *c = configured();
	struct judge *j = judged(c, "192.0.2.1", "x.example", "\r\n");

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(judge_quote(j, rows[i].in), rows[i].out);
	assert_string_equal(judge_reason(j, ""), "");
	assert_string_equal(judge_reason(j, "a \"b\"; c\r\n"), " reason=\"a \\\"b\\\"; c??\"");
	judge_free(&j);
	conf_free(&c);
}

/* A zone of the sender's that is full of text must not use up what the policies of others need. */
static void
test_large_answers(void **state)
{
	static char strings[JUDGE_ANSWER_MAX + 256];
	struct conf *c = configured();
	struct facts facts = { .ip = "192.0.2.7", .helo = "", .from = "", .user = "", .rcpt = "", .message = SLICE("X: y\r\n\r\nz\r\n") };
	struct judge *j = judge_new(&facts, c, NULL);
	const struct answer *a;
	struct slice record = { "\002ab\000\003cde", 8 };

	(void)state;
	assert_non_null(j);
	for (size_t i = 0; i < JUDGE_QUESTIONS_MAX; i++) {
		char name[40];
		struct slice most[2] = { { strings, JUDGE_ANSWER_MAX / 2 }, { strings, JUDGE_ANSWER_MAX / 2 + (i == 0) } };

		snprintf(name, sizeof(name), "n%zu.test", i);
		assert_null(judge_dns(j, name, RR_TXT));
		judge_answer(j, i, DNS_OK, i == JUDGE_QUESTIONS_MAX - 1 ? &record : most, i == JUDGE_QUESTIONS_MAX - 1 ? 1 : 2);
		a = judge_dns(j, name, RR_TXT);
		assert_int_equal(a->status, i == 0 ? DNS_TEMPORARY : DNS_OK);
	}
	/* the strings of the last are joined, in the memory that is left */
	assert_int_equal(a->n, 1);
	assert_true(slice_eq(a->rdata[0], SLICE("abcde")));
	judge_free(&j);
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rules),
		cmocka_unit_test(test_name_address), cmocka_unit_test(test_score_text),
		cmocka_unit_test(test_verdicts), cmocka_unit_test(test_antivirus),
		cmocka_unit_test(test_cuts), cmocka_unit_test(test_quoting), cmocka_unit_test(test_large_answers) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
