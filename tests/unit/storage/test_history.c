/* history: events found again by everything an administrator may know */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/qid.h"
#include "storage/history.h"

#define Q1 UINT64_C(0x123456789abcd)
#define Q2 UINT64_C(0x123456789abce)

static const struct history_event events[] = {
	{ 0, 100, 0, EVENT_CONNECT, ROLE_SMTPD, "hello", "", "", "192.0.2.1", "", "" },
	{ 0, 200, Q1, EVENT_ACCEPTED, ROLE_QUEUE, "12 bytes", "a@x.test", "b@y.test", "192.0.2.1",
	    "<m1@x.test>", "" },
	{ 0, 300, Q1, EVENT_DELIVERED, ROLE_QUEUE, "delivered to INBOX", "", "b@y.test", "", "",
	    "" },
	{ 0, 400, Q2, EVENT_ACCEPTED, ROLE_QUEUE, "13 bytes", "a@x.test", "c@y.test", "2001:db8::1",
	    "m2@x.test", "" },
	{ 0, 500, Q2, EVENT_RELAYED, ROLE_QUEUE, "on", "", "c@y.test", "", "", "" },
	{ 0, 600, 0, EVENT_AUTH_FAILED, ROLE_AUTH, "wrong password", "", "", "192.0.2.9", "",
	    "b@y.test" },
};

static struct history *h;

static int
set_up(void **state)
{
	static char folder[] = "/tmp/test-history-XXXXXX";
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	h = history_open(DB_CREATE, &err);
	assert_non_null(h);
	assert_int_equal(history_add(h, events, COUNT(events), &err), 0);
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const files[] = { "history.db", "history.db-wal", "history.db-shm" };
	char folder[100];

	(void)state;
	history_close(&h);
	assert_null(h);
	for (size_t i = 0; i < COUNT(files); i++)
		unlink(files[i]);
	if (getcwd(folder, sizeof(folder)) != NULL)
		rmdir(folder);
	return 0;
}

struct found {
	char times[200];
	int64_t last;
};

static void
take(void *arg, const struct history_event *e)
{
	struct found *f = arg;
	char one[24];

	snprintf(one, sizeof(one), "%s%lld", f->times[0] ? " " : "", (long long)e->time);
	strcat(f->times, one);
	f->last = e->seq;
	assert_string_equal(e->text, events[e->time / 100 - 1].text);
	assert_int_equal(e->role, events[e->time / 100 - 1].role);
}

static void
finds(void **state)
{
	char q1[QID_TEXT];
	const struct {
		const char *what;
		int64_t since;
		const char *times;
	} rows[] = {
		{ q1, 0, "200 300" },
		{ "m1@x.test", 0, "200 300" },
		{ "<m1@x.test>", 0, "200 300" },
		{ "<m2@x.test>", 0, "400 500" },
		{ "a@x.test", 0, "200 300 400 500" },
		{ "A@X.TEST", 0, "200 300 400 500" },
		{ "b@y.test", 0, "200 300 600" },
		{ "192.0.2.1", 0, "100 200 300" },
		{ "2001:db8::1", 0, "400 500" },
		{ "a@x.test", 350, "400 500" },
		{ "b@y.test", 1000, "" },
		{ "nobody@x.test", 0, "" },
		{ "192.0.2.7", 0, "" },
	};

	(void)state;
	qid_text(Q1, q1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct found f = { "", 0 };
		struct history_query q;
		struct err err;

		assert_int_equal(history_query_of(rows[i].what, &q, &err), 0);
		q.since = rows[i].since;
		assert_int_not_equal(history_find(h, &q, take, &f, &err), -1);
		if (strcmp(f.times, rows[i].times) != 0)
			fail_msg("%s: %s", rows[i].what, f.times);
	}
}

static void
goes_on(void **state)
{
	struct found f = { "", 0 }, g = { "", 0 };
	struct history_query q;
	struct err err;

	(void)state;
	assert_int_equal(history_query_of("m1@x.test", &q, &err), 0);
	history_find(h, &q, take, &f, &err);
	q.after = f.last - 1;
	history_find(h, &q, take, &g, &err);
	assert_string_equal(g.times, "300");
}

static void
no_such_thing(void **state)
{
	static const char *const bad[] = { "", " ", "hello", "<>", "192.0.2.256",
		"0123456789ABCDEF" };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct history_query q;
		struct err err = { .kind = ERR_NONE };

		assert_int_equal(history_query_of(bad[i], &q, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
	}
}

static void
forgets(void **state)
{
	struct found f = { "", 0 };
	struct history_query q;
	struct err err;

	(void)state;
	assert_int_equal(history_forget(h, 350, 2, &err), 2);
	assert_int_equal(history_forget(h, 350, 100, &err), 1);
	assert_int_equal(history_forget(h, 350, 100, &err), 0);
	assert_int_equal(history_query_of("a@x.test", &q, &err), 0);
	history_find(h, &q, take, &f, &err);
	assert_string_equal(f.times, "400 500");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(finds),
		cmocka_unit_test(goes_on), cmocka_unit_test(no_such_thing),
		cmocka_unit_test(forgets) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
