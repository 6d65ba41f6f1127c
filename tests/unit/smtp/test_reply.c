/* test_reply - replies of servers, whole and in pieces, good and bad */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/proto/reply.h"

static const struct {
	const char *in;
	enum reply_status status;
	int code;
	const char *enhanced, *text, *rest;
} rows[] = {
	{ "220 mx.example ready\r\n", REPLY_DONE, 220, "", "mx.example ready", "" },
	{ "250 2.1.0 ok\r\n", REPLY_DONE, 250, "2.1.0", "ok", "" },
	{ "250\r\n", REPLY_DONE, 250, "", "", "" },
	{ "250 \r\n", REPLY_DONE, 250, "", "", "" },
	{ "250 ok\n", REPLY_DONE, 250, "", "ok", "" },
	{ "250-mx.example\r\n250-SIZE 100\r\n250 HELP\r\n", REPLY_DONE, 250, "",
	    "mx.example\nSIZE 100\nHELP", "" },
	{ "550-5.1.1 no such\r\n550 5.1.1 user\r\n", REPLY_DONE, 550, "5.1.1", "no such\nuser",
	    "" },
	{ "250 ok\r\n354 go on\r\n", REPLY_DONE, 250, "", "ok", "354 go on\r\n" },
	{ "450 5.1.1 wrong class\r\n", REPLY_DONE, 450, "", "5.1.1 wrong class", "" },
	{ "250 2.1.0\r\n", REPLY_DONE, 250, "2.1.0", "", "" },
	{ "250 2.1 x\r\n", REPLY_DONE, 250, "", "2.1 x", "" },
	{ "250 2.1.0.1 x\r\n", REPLY_DONE, 250, "", "2.1.0.1 x", "" },
	{ "250 a\tb\033c\r\n", REPLY_DONE, 250, "", "a?b?c", "" },
	{ "250-a\r\n", REPLY_MORE, 250, "", "a", "" },
	{ "250 a", REPLY_MORE, 0, "", "", "" },
	{ "", REPLY_MORE, 0, "", "", "" },
	{ "hello\r\n", REPLY_BAD, 0, "", "", NULL },
	{ "25\r\n", REPLY_BAD, 0, "", "", NULL },
	{ "2500 x\r\n", REPLY_BAD, 0, "", "", NULL },
	{ "250x\r\n", REPLY_BAD, 0, "", "", NULL },
	{ "150 x\r\n", REPLY_BAD, 0, "", "", NULL },
	{ "650 x\r\n", REPLY_BAD, 0, "", "", NULL },
	{ "250-a\r\n251 b\r\n", REPLY_BAD, 0, "", "", NULL },
	{ "\r\n", REPLY_BAD, 0, "", "", NULL },
};

static void
reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = strlen(rows[i].in);

		for (size_t cut = 0; cut <= len; cut++) {
			struct reply r;
			size_t used, at;
			enum reply_status status;

			reply_init(&r);
			status = reply_feed(&r, (struct slice){ rows[i].in, cut }, &used);
			at = used;
			if (status == REPLY_MORE) {
				status = reply_feed(
				    &r, (struct slice){ rows[i].in + at, len - at }, &used);
				at += used;
			}
			if (status != rows[i].status)
				fail_msg("row %zu cut at %zu: status %d", i, cut, status);
			if (status == REPLY_BAD)
				assert_non_null(r.fault);
			if (status != REPLY_BAD) {
				assert_int_equal(r.code, rows[i].code);
				assert_string_equal(r.enhanced, rows[i].enhanced);
				assert_true(slice_eq(buf_all(&r.text), slice_of(rows[i].text)));
				assert_string_equal(rows[i].in + at, rows[i].rest);
			}
			reply_free(&r);
		}
	}
}

static void
keeps_limits(void **state)
{
	static char long_line[REPLY_LINE_MAX + 10];
	struct reply r;
	size_t used;
	enum reply_status status = REPLY_MORE;

	(void)state;
	reply_init(&r);
	memset(long_line, 'x', sizeof(long_line));
	memcpy(long_line, "250 ", 4);
	assert_int_equal(
	    reply_feed(&r, (struct slice){ long_line, sizeof(long_line) }, &used), REPLY_BAD);
	reply_reset(&r);
	for (int i = 0; i < REPLY_LINES_MAX + 1 && status == REPLY_MORE; i++)
		status = reply_feed(&r, SLICE("250-x\r\n"), &used);
	assert_int_equal(status, REPLY_BAD);
	/* much text: dropped past the limit, the reply stays good */
	reply_reset(&r);
	memset(long_line, 'x', 1000);
	memcpy(long_line, "250-", 4);
	memcpy(long_line + 998, "\r\n", 2);
	for (int i = 0; i < 20; i++)
		assert_int_equal(
		    reply_feed(&r, (struct slice){ long_line, 1000 }, &used), REPLY_MORE);
	assert_int_equal(reply_feed(&r, SLICE("250 end\r\n"), &used), REPLY_DONE);
	assert_true(r.text.len <= REPLY_TEXT_MAX);
	reply_free(&r);
}

static void
finds_keywords(void **state)
{
	struct reply r;
	struct slice args;
	char sentence[40];
	size_t used;

	(void)state;
	reply_init(&r);
	assert_int_equal(reply_feed(&r,
			     SLICE("250-STARTTLS.example hello\r\n250-size 1000\r\n250-AUTH=LOGIN "
				   "PLAIN\r\n250 8BITMIME\r\n"),
			     &used),
	    REPLY_DONE);
	assert_true(reply_keyword(&r, SLICE("SIZE"), &args));
	assert_true(slice_eq(args, SLICE("1000")));
	assert_true(reply_keyword(&r, SLICE("AUTH"), &args));
	assert_true(slice_eq(args, SLICE("LOGIN PLAIN")));
	assert_true(reply_keyword(&r, SLICE("8bitmime"), NULL));
	assert_false(reply_keyword(&r, SLICE("STARTTLS"), NULL));
	assert_false(reply_keyword(&r, SLICE("STARTTLS.example"), NULL));
	reply_sentence(&r, sentence, sizeof(sentence));
	assert_string_equal(sentence, "250 STARTTLS.example hello size 1000 AU");
	reply_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(keeps_limits),
		cmocka_unit_test(finds_keywords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
