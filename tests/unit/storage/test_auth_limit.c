/* auth_limit: networks, accounts, draining, known accounts, a full table */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "storage/auth_limit.h"

#define MINUTE (60 * CLOCK_SECOND)

static struct auth_limit *l;
static unsigned wait_s;

static int
enter(void **state)
{
	struct err err;

	(void)state;
	l = auth_limit_new(5, &err);
	return l != NULL ? 0 : -1;
}

static int
leave(void **state)
{
	(void)state;
	auth_limit_free(&l);
	return 0;
}

/* How many of `n` guesses are checked. */
static int
guess(const char *ip, const char *user, int64_t now, int n)
{
	int checked = 0;

	while (n-- > 0)
		checked += auth_limit_admit(l, ip, user, now, &wait_s);
	return checked;
}

static void
test_networks(void **state)
{
	static const struct {
		const char *ip, *network;
	} rows[] = {
		{ "192.0.2.7", "192.0.2.7" },
		{ "::ffff:192.0.2.7", "192.0.2.7" },
		{ "2001:db8:1:2345:6:7:8:9", "2001:db8:1:2300::/56" },
		{ "2001:db8:1:23ff::1", "2001:db8:1:2300::/56" },
		{ "::1", "::/56" },
		{ "", "local" },
		{ "not an address", "local" },
	};
	char out[64];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		auth_limit_network(rows[i].ip, out);
		assert_string_equal(out, rows[i].network);
	}
}

static void
test_limit(void **state)
{
	int64_t now = 1000 * MINUTE;

	(void)state;
	assert_int_equal(guess("192.0.2.7", "a", now, 20), 5);
	assert_true(wait_s > 0 && wait_s <= 130);
	assert_int_equal(guess("192.0.2.7", "b", now, 1), 0); /* same network */
	assert_int_equal(guess("192.0.2.8", "a", now, 1), 1); /* another */
	assert_int_equal(guess("192.0.2.10", "", now, 9), 5); /* a name that is nobody's */
	assert_int_equal(guess("192.0.2.7", "a", now + MINUTE, 3), 0);
	assert_int_equal(guess("192.0.2.7", "a", now + 3 * MINUTE, 3), 1);
	assert_int_equal(guess("192.0.2.7", "a", now + 30 * MINUTE, 20), 5);
	assert_int_equal(guess("2001:db8::1", "a", now, 3), 3);
	assert_int_equal(guess("2001:db8::ff:1", "a", now, 3), 2);
}

static void
test_right_ones(void **state)
{
	int64_t now = 1000 * MINUTE;
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		assert_int_equal(guess("192.0.2.7", "a", now, 1), 1);
		auth_limit_forgive(l, "192.0.2.7", "a", now, true);
	}
	assert_int_equal(guess("192.0.2.7", "b", now, 20), 5);
	/* a colleague with a wrong password does not lock out who is known here ... */
	assert_int_equal(guess("192.0.2.7", "c", now, 1), 0);
	assert_int_equal(guess("192.0.2.7", "a", now, 1), 1);
	/* ... who has a limit of their own */
	assert_int_equal(guess("192.0.2.7", "a", now, 20), 4);
	/* one that could not be checked does not count */
	assert_int_equal(guess("192.0.2.9", "d", now, 4), 4);
	auth_limit_forgive(l, "192.0.2.9", "d", now, false);
	assert_int_equal(guess("192.0.2.9", "d", now, 9), 2);
}

/* Many networks, one account: each has a guess, none of them more; the owner comes in from everywhere. */
static void
test_spread(void **state)
{
	int64_t now = 1000 * MINUTE;
	char ip[40];
	int i, checked = 0;

	(void)state;
	assert_int_equal(guess("192.0.2.1", "a", now, 1), 1);
	auth_limit_forgive(l, "192.0.2.1", "a", now, true);
	for (i = 0; i < 200; i++) {
		snprintf(ip, sizeof(ip), "2001:db8:%x:100::1", i);
		checked += guess(ip, "a", now, 5);
	}
	assert_in_range(checked, 40 + 190, 50 + 191); /* 5 from the first ten or so, then 1 */
	assert_int_equal(guess("192.0.2.1", "a", now, 9), 5);    /* known here */
	assert_int_equal(guess("198.51.100.1", "a", now, 9), 1); /* and on a journey */
	auth_limit_forgive(l, "198.51.100.1", "a", now, true);
	assert_int_equal(guess("198.51.100.1", "a", now, 9), 5);
	assert_int_equal(guess("198.51.100.2", "b", now, 9), 5); /* nobody guesses at b */
	/* one that could not be checked costs nothing, here too */
	assert_int_equal(guess("198.51.100.3", "a", now, 1), 1);
	auth_limit_forgive(l, "198.51.100.3", "a", now, false);
	assert_int_equal(guess("198.51.100.3", "a", now, 1), 1);
	/* and it passes */
	assert_int_equal(guess("198.51.100.4", "a", now + 11 * MINUTE, 9), 5);
}

static void
test_settings(void **state)
{
	int64_t now = 1000 * MINUTE;

	(void)state;
	auth_limit_set(l, 0);
	assert_int_equal(guess("192.0.2.7", "a", now, 1000), 1000);
	auth_limit_set(l, 1);
	assert_int_equal(guess("192.0.2.7", "a", now, 10), 1);
}

/* More networks than the table holds: it goes on, and whoever guesses now is still held. */
static void
test_many(void **state)
{
	int64_t now = 1000 * MINUTE;
	char ip[40];
	int i;

	(void)state;
	assert_int_equal(guess("192.0.2.7", "a", now, 5), 5);
	for (i = 0; i < 200000; i++) {
		snprintf(ip, sizeof(ip), "10.%d.%d.%d", i >> 16 & 255, i >> 8 & 255, i & 255);
		assert_int_equal(guess(ip, "a", now, 1), 1);
	}
	assert_int_equal(guess("192.0.2.7", "a", now, 1), 0);
}

static void
test_long_name(void **state)
{
	char name[2000];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(guess("192.0.2.7", name, 1, 10), 5);
}

#define ROW(t) cmocka_unit_test_setup_teardown(t, enter, leave)

int
main(void)
{
	const struct CMUnitTest tests[] = { ROW(test_networks), ROW(test_limit),
		ROW(test_right_ones), ROW(test_spread), ROW(test_settings), ROW(test_many),
		ROW(test_long_name) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
