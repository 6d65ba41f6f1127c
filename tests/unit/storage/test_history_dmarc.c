/* test_history_dmarc - equal rows add up, ceilings hold, what was told goes */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "storage/history_dmarc.h"

#define DAY INT64_C(86400)
#define NOON (20000 * DAY + DAY / 2)

static struct history *h;

static int
set_up(void **state)
{
	static char folder[] = "/tmp/test-dmarc-XXXXXX";
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	h = history_open(DB_CREATE, &err);
	assert_non_null(h);
	assert_int_equal(db_exec(history_db(h), "PRAGMA synchronous=OFF", &err), 0);
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

static struct dmarc_seen
seen(const char *domain, const char *ip, int64_t time)
{
	return (struct dmarc_seen){ .time = time * 1000000,
		.domain = domain,
		.organization = domain,
		.policy = "none none none r r n",
		.rua = "mailto:a@b.test",
		.ip = ip,
		.disposition = "none",
		.dkim = "pass",
		.spf = "fail",
		.reasons = "",
		.header_from = domain,
		.envelope_from = domain,
		.results = "spf\ta.test\tmfrom\tfail\t\n" };
}

static uint64_t
add(const struct dmarc_seen *m, size_t n)
{
	uint64_t dropped = 0;
	struct err err = { 0 };

	if (history_dmarc_add(h, m, n, DAY, &dropped, &err) == -1)
		fail_msg("%s", err.text);
	return dropped;
}

static int
due(int64_t now, struct pool **pool, struct dmarc_report *r)
{
	struct err err = { 0 };

	pool_free(pool);
	*pool = pool_new(16 << 20);
	return history_dmarc_due(h, now, *pool, r, &err);
}

static void
test_life(void **state)
{
	struct dmarc_seen m[] = { seen("a.test", "192.0.2.1", NOON), seen("a.test", "192.0.2.1", NOON),
		seen("a.test", "192.0.2.2", NOON), seen("b.test", "192.0.2.1", NOON),
		seen("a.test", "192.0.2.1", NOON + DAY) };
	struct pool *pool = NULL;
	struct dmarc_report r;
	struct err err;

	(void)state;
	m[2].policy = "reject reject none s r n"; /* the last one seen is told */
	assert_int_equal(add(m, COUNT(m)), 0);
	assert_int_equal(due(NOON, &pool, &r), 0);
	assert_int_equal(due(20001 * DAY, &pool, &r), 0); /* the last messages may still come */
	assert_int_equal(due(20001 * DAY + DAY / 4, &pool, &r), 1);
	while (strcmp(r.domain, "a.test") != 0) {
		assert_int_equal(history_dmarc_later(h, r.id, 20010 * DAY, "it is away", &err), 0);
		assert_int_equal(due(20001 * DAY + DAY / 4, &pool, &r), 1);
	}
	assert_int_equal(r.start, 20000 * DAY);
	assert_int_equal(r.until, 20001 * DAY);
	assert_string_equal(r.policy, m[2].policy);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.rows[0].messages, 2);
	assert_string_equal(r.rows[0].results, m[0].results);
	assert_int_equal(r.rows[1].messages, 1);
	/* one row told: the other one is still owed */
	assert_int_equal(history_dmarc_told(h, r.id, r.rows[0].id, &err), 0);
	assert_int_equal(due(20001 * DAY + DAY / 4, &pool, &r), 1);
	assert_int_equal(r.n, 1);
	assert_string_equal(r.rows[0].ip, "192.0.2.2");
	assert_int_equal(history_dmarc_told(h, r.id, r.rows[0].id, &err), 0);
	assert_true(due(20001 * DAY + DAY / 4, &pool, &r) == 0 || strcmp(r.domain, "b.test") == 0);
	/* all others are due in the end */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(due(20020 * DAY, &pool, &r), 1);
		assert_int_equal(r.n, 1);
		assert_int_equal(history_dmarc_told(h, r.id, r.rows[0].id, &err), 0);
	}
	assert_int_equal(due(20020 * DAY, &pool, &r), 0);
	pool_free(&pool);
}

static void
test_ceilings(void **state)
{
	struct dmarc_seen *many = calloc(DMARC_DOMAINS_MAX + 10, sizeof(*many));
	char(*text)[24] = calloc(DMARC_DOMAINS_MAX + 10, sizeof(*text));
	struct pool *pool = NULL;
	struct dmarc_report r;
	struct err err;
	int64_t told = 0, messages = 0;

	(void)state;
	for (size_t i = 0; i < DMARC_DOMAIN_ROWS_MAX + 7; i++) {
		snprintf(text[i], sizeof(text[i]), "10.0.%zu.%zu", i / 250, i % 250);
		many[i] = seen("a.test", text[i], NOON);
	}
	assert_int_equal(add(many, DMARC_DOMAIN_ROWS_MAX + 7), 0);
	assert_int_equal(add(many, 1), 0); /* a row that is there takes more */
	while (due(20020 * DAY, &pool, &r) == 1) {
		assert_true(r.n <= DMARC_REPORT_ROWS_MAX);
		assert_int_equal(r.dropped, told == 0 ? 7 : 0); /* said once */
		told += (int64_t)r.n;
		for (size_t i = 0; i < r.n; i++)
			messages += r.rows[i].messages;
		assert_int_equal(history_dmarc_told(h, r.id, r.rows[r.n - 1].id, &err), 0);
	}
	assert_int_equal(told, DMARC_DOMAIN_ROWS_MAX);
	assert_int_equal(messages, DMARC_DOMAIN_ROWS_MAX + 1);
	for (size_t i = 0; i < DMARC_DOMAINS_MAX + 10; i++) {
		snprintf(text[i], sizeof(text[i]), "d%zu.test", i);
		many[i] = seen(text[i], "192.0.2.1", NOON);
	}
	assert_int_equal(add(many, DMARC_DOMAINS_MAX + 10), 10);
	assert_int_equal(add(many, 5), 0);
	assert_int_equal(db_exec(history_db(h), "DELETE FROM dmarc_seen; DELETE FROM dmarc_seen_row", &err), 0);
	pool_free(&pool);
	free(many);
	free(text);
}

static void
test_sent(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(history_report_was_sent(h, "1", "a@b.test", &err), 0);
	assert_int_equal(history_report_sent(h, "1", "a@b.test", NOON, &err), 0);
	assert_int_equal(history_report_sent(h, "1", "a@b.test", NOON, &err), 0);
	assert_int_equal(history_report_was_sent(h, "1", "a@b.test", &err), 1);
	assert_int_equal(history_report_was_sent(h, "1", "c@b.test", &err), 0);
	assert_int_equal(history_report_sent(h, "2", "a@b.test", NOON + 40 * DAY, &err), 0);
	assert_int_equal(history_report_was_sent(h, "1", "a@b.test", &err), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_ceilings),
		cmocka_unit_test(test_sent),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
