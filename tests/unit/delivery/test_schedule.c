/* schedule: when the next attempt is, and when it is over */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "delivery/schedule.h"

#define S INT64_C(1000000)

static const int64_t steps[] = { 60000, 300000, 3600000 };
static const struct schedule sched = { steps, 3, 86400000, 0 };
static const struct schedule none = { NULL, 0, 86400000, 0 };

static const struct {
	const struct schedule *s;
	int64_t now; /* seconds after acceptance */
	unsigned attempts;
	int64_t low, high; /* seconds after now */
} rows[] = {
	{ &sched, 10, 1, 54, 66 },
	{ &sched, 100, 2, 270, 330 },
	{ &sched, 400, 3, 3240, 3960 },
	{ &sched, 4000, 4, 3240, 3960 },
	{ &sched, 4000, 65535, 3240, 3960 },
	{ &sched, 10, 0, 54, 66 },
	{ &sched, 86000, 9, 400, 400 },   /* the last attempt: the end of its life */
	{ &sched, 90000, 9, 3240, 3960 }, /* past it (the caller gives up) */
	{ &none, 10, 5, 270, 330 },
};

static void
test_next(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (uint32_t dice = 0; dice < 5000; dice += 7) {
			int64_t next =
			    schedule_next(rows[i].s, 0, rows[i].attempts, rows[i].now * S, dice);

			assert_in_range(next, (rows[i].now + rows[i].low) * S,
			    (rows[i].now + rows[i].high) * S);
		}
	}
}

static void
test_over(void **state)
{
	(void)state;
	assert_false(schedule_over(&sched, 5 * S, 86404 * S));
	assert_true(schedule_over(&sched, 5 * S, 86405 * S));
}

static const struct {
	int64_t ms;
	const char *text;
} spans[] = {
	{ 432000000, "5 days" },
	{ 86400000, "1 day" },
	{ 90000000, "25 hours" },
	{ 3600000, "1 hour" },
	{ 90000, "90 seconds" },
	{ 60000, "1 minute" },
	{ 1000, "1 second" },
	{ 0, "0 seconds" },
	{ 300000, "5 minutes" },
};

static void
test_span(void **state)
{
	char out[40];

	(void)state;
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		schedule_span(spans[i].ms, out);
		assert_string_equal(out, spans[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_over),
		cmocka_unit_test(test_span),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
