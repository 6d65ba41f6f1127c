/* history_received: a report is kept once, in parts or whole, and asked for by its domain */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/link.h"
#include "storage/history_received.h"

#define NOW (INT64_C(1795000000) * CLOCK_SECOND)

static struct history *h;

static int
set_up(void **state)
{
	static char folder[] = "/tmp/test-received-XXXXXX";
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	h = history_open(DB_CREATE, &err);
	assert_non_null(h);
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const files[] = { "history.db", "history.db-wal", "history.db-shm" };
	char folder[100];

	(void)state;
	history_close(&h);
	for (size_t i = 0; i < COUNT(files); i++)
		unlink(files[i]);
	if (getcwd(folder, sizeof(folder)) != NULL)
		rmdir(folder);
	return 0;
}

static struct report_row rows[3] = {
	{ 5, { "192.0.2.1", "none", "pass", "pass", "", "a.test", "a.test", "a.test=pass", "a.test=pass" } },
	{ 2, { "192.0.2.2", "reject", "fail", "fail", "", "a.test", "b.test", "", "b.test=pass" } },
	{ 1, { "192.0.2.2", "reject", "fail", "fail", "", "a.test", "b.test", "", "b.test=pass" } },
};

static struct report
report(uint64_t qid, const char *id)
{
	return (struct report){ .kind = REPORT_DMARC, .qid = qid, .sender = "r.test", .proven = true,
		.org = "Reporter", .contact = "x@r.test", .id = id, .domain = "a.test",
		.begins = 1794900000, .ends = 1794986399, .policy = "p=none", .note = "",
		.rows = rows, .n = COUNT(rows) };
}

static void
add(struct report r, size_t first, bool last)
{
	struct report_part part = { first, last };
	struct err err;

	assert_int_equal(received_add(h, &r, &part, NOW, &err), 0);
}

struct said {
	struct admin_out out;
	unsigned reports, sources, bad;
	int64_t messages;
};

static void
on_row(struct admin_out *out, const struct admin_word *words, size_t n)
{
	struct said *s = (struct said *)out;
	const char *what = words[0].value;

	s->reports += strcmp(what, "report") == 0;
	s->sources += strcmp(what, "source") == 0 || strcmp(what, "result") == 0;
	s->bad += strcmp(what, "bad") == 0;
	for (size_t i = 0; i < n; i++)
		if (strcmp(what, "source") == 0 && strcmp(words[i].key, "messages") == 0)
			s->messages += atoll(words[i].value);
}

static struct said
ask(const char *verb, const char *domain, const char *since)
{
	struct admin_request rq = { .verb = verb, .words = { { "domain", domain }, { "since", since } },
		.n_words = 2, .fd = -1 };
	struct said s = { .out = { on_row } };
	struct err err;

	assert_int_equal(received_show(h, &rq, &s.out, &err), 0);
	return s;
}

static void
test_once(void **state)
{
	struct report other = report(9, "1");
	struct said s;

	(void)state;
	add(report(1, "1"), 0, true);
	add(report(2, "1"), 0, true); /* the same, in another message */
	s = ask("dmarc.show", "A.TEST", "0");
	assert_int_equal(s.reports, 1);
	assert_int_equal(s.sources, 2); /* equal rows add up */
	assert_int_equal(s.messages, 8);
	other.sender = "forger.test"; /* takes nobody's place */
	add(other, 0, true);
	assert_int_equal(ask("dmarc.show", "a.test", "0").reports, 2);
	assert_int_equal(ask("dmarc.show", "a.test", "1794986400000000").reports, 0);
	assert_int_equal(ask("dmarc.show", "b.test", "0").reports, 0);
	assert_int_equal(ask("tlsrpt.show", "a.test", "0").reports, 0);
}

static void
test_parts(void **state)
{
	struct report r = report(3, "parts");
	struct report_part part = { 3, true };
	struct err err;

	(void)state;
	add(r, 0, false);
	assert_int_equal(ask("dmarc.show", "a.test", "0").reports, 2); /* not whole yet */
	r.qid = 4; /* another message may not go on with it */
	assert_int_equal(received_add(h, &r, &part, NOW, &err), -1);
	add(r, 0, false); /* but begin anew */
	add(r, 3, true);
	assert_int_equal(ask("dmarc.show", "a.test", "0").reports, 3);
	assert_int_equal(ask("dmarc.show", "a.test", "0").messages, 8 + 8 + 16);
}

static void
test_tls(void **state)
{
	struct report r = report(5, "tls");
	struct report_row tls = { 7, { "sts", "sub.a.test", "mx.a.test", "", "", "", "", "", "" } };

	(void)state;
	r.kind = REPORT_TLS;
	r.rows = &tls;
	r.n = 1;
	add(r, 0, true);
	assert_int_equal(ask("tlsrpt.show", "sub.a.test", "0").sources, 1);
	assert_int_equal(ask("tlsrpt.show", "sub.a.test", "0").reports, 1);
	assert_int_equal(ask("tlsrpt.show", "a.test", "0").sources, 0);
}

static void
test_bad(void **state)
{
	struct received_bad bad = { REPORT_DMARC, 6, "r.test", "", "x.zip", "no report in it" };
	struct err err;

	(void)state;
	assert_int_equal(received_add_bad(h, &bad, NOW, &err), 0);
	assert_int_equal(received_add_bad(h, &bad, NOW, &err), 0);
	assert_int_equal(ask("dmarc.show", "a.test", "0").bad, 1);
	assert_int_equal(ask("tlsrpt.show", "a.test", "0").bad, 0);
	for (unsigned i = 0; i < RECEIVED_BAD_MAX + 20; i++) {
		char file[20];

		snprintf(file, sizeof(file), "%u", i);
		bad.file = file;
		assert_int_equal(received_add_bad(h, &bad, NOW + 1 + i, &err), 0);
	}
	assert_int_equal(ask("dmarc.show", "a.test", "0").bad, RECEIVED_BAD_MAX);
}

static void
test_age(void **state)
{
	struct report r = report(7, "later");
	struct report_part part = { 0, true };
	struct err err;
	sqlite3_stmt *s;

	(void)state;
	assert_int_equal(received_add(h, &r, &part,
	    NOW + (RECEIVED_DAYS + 1) * 86400 * CLOCK_SECOND, &err), 0);
	assert_int_equal(ask("dmarc.show", "a.test", "0").reports, 1);
	assert_int_equal(ask("tlsrpt.show", "sub.a.test", "0").reports, 0);
	s = db_prepare(history_db(h), "SELECT count(*) FROM received_dmarc", &err);
	assert_int_equal(db_step(history_db(h), s, &err), 1);
	assert_int_equal(db_i64(s, 0), COUNT(rows)); /* no rows without a report */
	db_done(&s);
}

/* Many rows take several frames, and arrive as they were. */
static void
test_frames(void **state)
{
	static struct report_row many[500];
	struct report r = report(8, "many"), back;
	struct report_part part = { 0 }, got;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = rows[i % COUNT(rows)];
	r.rows = many;
	r.n = COUNT(many);
	do {
		struct pool *pool = pool_new(8 * FRAME_MAX);
		struct buf b;
		struct wire in;

		buf_init(&b, FRAME_MAX);
		part.first = n;
		n += report_put(&b, &r, &part);
		assert_false(b.failed);
		wire_init(&in, buf_all(&b));
		assert_int_equal(report_get(&in, pool, &back, &got), 0);
		assert_int_equal(got.first, part.first);
		assert_int_equal(got.last, n == r.n);
		assert_int_equal(back.n, n - part.first);
		for (size_t i = 0; i < back.n; i++)
			assert_string_equal(back.rows[i].text[DMARC_IP], many[got.first + i].text[DMARC_IP]);
		assert_string_equal(back.id, "many");
		buf_free(&b);
		pool_free(&pool);
	} while (!part.last);
	assert_int_equal(n, r.n);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_once),
		cmocka_unit_test(test_parts), cmocka_unit_test(test_tls), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_age), cmocka_unit_test(test_frames) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
