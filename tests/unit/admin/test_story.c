/* story: events in plain words, and how a message stands at the end */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/story.h"

static void
add(struct rows *rows, const char *time, enum trace_event event, const char *from, const char *to,
    const char *text)
{
	admin_row(&rows->out, "time", time, "id", "X", "event", trace_event_name(event), "from",
	    from, "to", to, "ip", "", "user", "", "text", text, NULL);
}

static void
sentences(void **state)
{
	static const struct {
		enum trace_event event;
		const char *from, *to, *text, *out;
	} rows[] = {
		{ EVENT_ACCEPTED, "a@x.test", "b@y.test", "12 bytes for 1 recipient",
		    "Accepted from a@x.test for b@y.test: 12 bytes for 1 recipient" },
		{ EVENT_ACCEPTED, "", "b@y.test", "", "Accepted for b@y.test" },
		{ EVENT_DELIVERED, "", "b@y.test", "delivered to INBOX",
		    "b@y.test: delivered to INBOX" },
		{ EVENT_RELAYED, "", "b@y.test", "accepted by mx: 250 ok",
		    "b@y.test: handed on: accepted by mx: 250 ok" },
		{ EVENT_DEFERRED, "", "b@y.test", "451 [x] 100%t",
		    "b@y.test: not yet: 451 [x] 100%t" },
		{ EVENT_REFUSED, "a@x.test", "", "550 5.7.1 spam",
		    "Refused, from a@x.test: 550 5.7.1 spam" },
		{ EVENT_FILTERED, "", "", "accept", "Judged by the filters: accept" },
		{ EVENT_DELETED, "", "", "", "deleted" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rows r;
		struct buf b;

		rows_init(&r);
		buf_init(&b, 1000);
		add(&r, "0", rows[i].event, rows[i].from, rows[i].to, rows[i].text);
		story_sentence(&b, &r.at[0]);
		assert_string_equal(buf_cstr(&b), rows[i].out);
		buf_free(&b);
		rows_free(&r);
	}
}

struct happening {
	const char *time;
	enum trace_event event;
	const char *to, *text;
};

static void
ends(void **state)
{
	static const struct {
		struct happening h[5];
		enum story_end end;
		const char *out;
	} rows[] = {
		{ { { "1000000", EVENT_ACCEPTED, "b@y.test", "12 bytes for 1 recipient" },
		      { "1020000", EVENT_DELIVERED, "b@y.test", "delivered to INBOX" } },
		    STORY_ENDED, "Delivered to b's INBOX 0.02 s after it came in.\n" },
		{ { { "1000000", EVENT_ACCEPTED, "b@y.test", "12 bytes for 2 recipients" },
		      { "1020000", EVENT_DELIVERED, "b@y.test", "delivered to Junk" } },
		    STORY_WAITING, "Delivered to b's Junk 0.02 s after it came in.\n" },
		{ { { "1000000", EVENT_ACCEPTED, "b@y.test", "12 bytes for 1 recipient" },
		      { "1500000", EVENT_DEFERRED, "b@y.test", "451 later" } },
		    STORY_WAITING, "" },
		{ { { "1000000", EVENT_ACCEPTED, "b@y.test", "12 bytes for 1 recipient" },
		      { "1500000", EVENT_DEFERRED, "b@y.test", "451 later" },
		      { "61000000", EVENT_RELAYED, "b@y.test", "accepted by mx: 250 ok" } },
		    STORY_ENDED, "Handed on for b@y.test 1 min after it came in.\n" },
		{ { { "1000000", EVENT_ACCEPTED, "b@y.test", "12 bytes for 1 recipient" },
		      { "2000000", EVENT_BOUNCED, "b@y.test", "550 no" } },
		    STORY_ENDED, "Could not be delivered to b@y.test; given up after 1.0 s.\n" },
		{ { { "1000000", EVENT_REFUSED, "b@y.test", "550 5.7.1 spam" } }, STORY_ENDED,
		    "Not accepted; the sender's server was told why.\n" },
		{ { { "1000000", EVENT_DELIVERED, "b@y.test", "delivered to INBOX" } }, STORY_NONE,
		    "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rows r;
		struct buf b;

		rows_init(&r);
		buf_init(&b, 1000);
		for (size_t k = 0; k < COUNT(rows[i].h) && rows[i].h[k].time != NULL; k++)
			add(&r, rows[i].h[k].time, rows[i].h[k].event, "a@x.test", rows[i].h[k].to,
			    rows[i].h[k].text);
		assert_int_equal(story_end(&b, &r, "X"), rows[i].end);
		assert_string_equal(buf_cstr(&b), rows[i].out);
		buf_reset(&b);
		assert_int_equal(story_end(&b, &r, "other"), STORY_NONE);
		buf_free(&b);
		rows_free(&r);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(sentences),
		cmocka_unit_test(ends) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
