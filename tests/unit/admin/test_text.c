/* text: spans, sizes, times, what a terminal may be shown */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "admin/text.h"
#include "base/clock.h"

static void
spans(void **state)
{
	static const struct {
		const char *in;
		int64_t seconds; /* -1: refused */
	} rows[] = { { "90s", 90 }, { "5m", 300 }, { "2h", 7200 }, { "7d", 604800 },
		{ "1w", 604800 }, { "1h30m", 5400 }, { "45", 45 }, { "0", 0 }, { "", -1 },
		{ "h", -1 }, { "5x", -1 }, { "5m3", -1 }, { "-5m", -1 }, { "5 m", -1 },
		{ "99999999999999999999d", -1 }, { "40000d", -1 }, { "1.5h", -1 } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err err = { .kind = ERR_NONE };
		int64_t got = -1;
		int rc = text_span(rows[i].in, &got, &err);

		if (rc == -1)
			assert_int_equal(err.kind, ERR_USAGE);
		if ((rc == 0 ? got : -1) != rows[i].seconds)
			fail_msg("%s: %lld", rows[i].in, (long long)got);
	}
}

static void
sizes(void **state)
{
	static const struct {
		const char *in;
		int64_t bytes;
	} rows[] = { { "500K", 512000 }, { "25M", 26214400 }, { "2G", INT64_C(2147483648) },
		{ "1.5G", 1610612736 }, { "1t", INT64_C(1099511627776) }, { "10MiB", 10485760 },
		{ "10MB", 10485760 }, { "100", 100 }, { "100B", 100 }, { "0", 0 },
		{ "unlimited", 0 }, { "", -1 }, { "M", -1 }, { "5Q", -1 }, { "-5M", -1 },
		{ "0x10", -1 }, { "1e9", -1 }, { "5 M", -1 }, { "999999999T", -1 }, { "lots", -1 },
		{ "infM", -1 } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err err = { .kind = ERR_NONE };
		uint64_t got = 0;
		int rc = text_size(rows[i].in, &got, &err);

		if ((rc == 0 ? (int64_t)got : -1) != rows[i].bytes)
			fail_msg("%s: %lld", rows[i].in, rc == 0 ? (long long)got : -1);
	}
}

static void
times(void **state)
{
	static const struct {
		const char *in;
		int64_t seconds;
	} rows[] = { { "2026-11-24T05:52:28Z", 1795499548 }, { "1795499548", 1795499548 },
		{ "2026-11-24 05:52:28Z", 1795499548 }, { "2026-11-24", 1795478400 },
		{ "2026-11-24T05:52", 1795499520 }, { "yesterday", -1 }, { "2026-13-01", -1 },
		{ "2026-11-24T05:52:28+01:00", -1 }, { "", -1 } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err err = { .kind = ERR_NONE };
		int64_t got = 0;
		int rc = text_time(rows[i].in, &got, &err);

		if ((rc == 0 ? got / CLOCK_SECOND : -1) != rows[i].seconds)
			fail_msg("%s: %lld", rows[i].in, (long long)(got / CLOCK_SECOND));
	}
}

#define S CLOCK_SECOND

static void
shown(void **state)
{
	static const struct {
		void (*show)(int64_t, char *);
		int64_t in;
		const char *out;
	} rows[] = { { text_show_span, 20000, "0.02 s" }, { text_show_span, 4000, "0.004 s" },
		{ text_show_span, 1500000, "1.5 s" }, { text_show_span, 45 * S, "45 s" },
		{ text_show_span, 185 * S, "3 min 5 s" }, { text_show_span, 180 * S, "3 min" },
		{ text_show_span, 1800 * S, "30 min" }, { text_show_span, 3600 * S, "1 h" },
		{ text_show_span, 12000 * S, "3 h 20 min" },
		{ text_show_span, 187200 * S, "2 d 4 h" }, { text_show_span, -5, "0.000 s" } };
	static const struct {
		uint64_t in;
		const char *out;
	} sizes_shown[] = { { 0, "0 B" }, { 512, "512 B" }, { 1023, "1023 B" }, { 1024, "1.0 KiB" },
		{ 4300, "4.2 KiB" }, { 26214400, "25.0 MiB" }, { 1048575, "1.0 MiB" },
		{ 943718400, "900 MiB" } };
	static const struct {
		int64_t off;
		const char *out;
	} whens[] = { { 0, "now" }, { -30, "30 s ago" }, { -180, "3 min ago" }, { 300, "in 5 min" },
		{ -7200, "2 h ago" }, { -3 * 86400, "3 d ago" } };
	char out[TEXT_SHOWN];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		rows[i].show(rows[i].in, out);
		assert_string_equal(out, rows[i].out);
	}
	for (size_t i = 0; i < COUNT(sizes_shown); i++) {
		text_show_size(sizes_shown[i].in, out);
		assert_string_equal(out, sizes_shown[i].out);
	}
	for (size_t i = 0; i < COUNT(whens); i++) {
		text_show_when((1000000 + whens[i].off) * S, 1000000 * S, out);
		assert_string_equal(out, whens[i].out);
	}
}

static void
clock_times(void **state)
{
	char out[TEXT_SHOWN];
	int64_t now = 1795499548 * S;

	(void)state;
	text_show_time(now - 60 * S, now, out);
	assert_string_equal(out, "05:51:28");
	text_show_time(now - 86400 * S, now, out);
	assert_string_equal(out, "23 Nov 05:52:28");
	text_show_time(now - 400 * 86400 * S, now, out);
	assert_string_equal(out, "2025-10-20 05:52:28");
}

static void
terminal(void **state)
{
	static const struct {
		const char *in, *out;
		size_t columns;
	} rows[] = { { "plain", "plain", 5 }, { "a\x1b[31mb", "a\\x1b[31mb", 10 },
		{ "tab\there", "tab\\x09here", 11 },
		{ "\xe6\x89\x8b\xe7\xb4\x99", "\xe6\x89\x8b\xe7\xb4\x99", 4 },
		{ "\xc3\xa9", "\xc3\xa9", 1 }, { "\xff", "\\xff", 4 },
		{ "\xc0\xaf", "\\xc0\\xaf", 8 }, { "\xed\xa0\x80", "\\xed\\xa0\\x80", 12 },
		{ "\xc2\x9b", "\\xc2\\x9b", 8 }, { "\xe2\x80\xae", "\\xe2\\x80\\xae", 12 },
		{ "", "", 0 } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf b;
		size_t columns;

		buf_init(&b, 1000);
		columns = text_show(&b, slice_of(rows[i].in));
		assert_string_equal(buf_cstr(&b), rows[i].out);
		assert_int_equal(columns, rows[i].columns);
		buf_free(&b);
	}
}

static void
distances(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned d;
	} rows[] = { { "user", "user", 0 }, { "usr", "user", 1 }, { "uesr", "user", 1 },
		{ "users", "user", 1 }, { "domain", "queue", 6 }, { "", "abc", 3 } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(text_distance(rows[i].a, rows[i].b), rows[i].d);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(spans), cmocka_unit_test(sizes),
		cmocka_unit_test(times), cmocka_unit_test(shown), cmocka_unit_test(clock_times),
		cmocka_unit_test(terminal), cmocka_unit_test(distances) };

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
