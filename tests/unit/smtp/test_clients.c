/* test_clients - counts of connections, alone and in memory shared by several */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "smtp/clients.h"

/* Have they slots of their own? With other seeds again, since two may share one by chance. */
static bool
differ(const char *a, const char *b)
{
	struct err err;

	for (int i = 0; i < 5; i++) {
		if (clients_slot(a) != clients_slot(b))
			return true;
		assert_int_equal(clients_open(-1, 0, &err), 0);
	}
	return false;
}

static void
networks(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(clients_open(-1, 0, &err), 0);
	assert_int_equal(clients_slot("2001:db8::1"), clients_slot("2001:db8::ffff:1"));
	assert_int_equal(clients_slot("2001:db8:0:1::1"), clients_slot("2001:db8:0:ff::1"));
	assert_true(differ("2001:db8:0:1::1", "2001:db8:0:100::1"));
	clients_networks(24, 64);
	assert_int_equal(clients_slot("192.0.2.1"), clients_slot("192.0.2.77"));
	assert_true(differ("192.0.2.1", "192.0.3.1"));
	assert_true(differ("2001:db8:0:1::1", "2001:db8:0:ff::1"));
	clients_networks(12, 56);
	assert_int_equal(clients_slot("10.16.0.1"), clients_slot("10.31.9.9"));
	assert_true(differ("10.16.0.1", "10.32.0.1"));
	clients_networks(32, 56);
	assert_int_equal(clients_slot_uid(1000), clients_slot_uid(1000));
}

static void
counts(void **state)
{
	struct err err;
	uint32_t a, b;

	(void)state;
	assert_int_equal(clients_open(-1, 0, &err), 0);
	a = clients_slot("192.0.2.1");
	b = clients_slot("192.0.2.77");
	assert_int_equal(clients_slot("192.0.2.1"), a);
	assert_int_equal(clients_enter(a, 3, 2), CLIENTS_FINE);
	assert_int_equal(clients_enter(a, 3, 2), CLIENTS_FINE);
	assert_int_equal(clients_enter(a, 3, 2), CLIENTS_TOO_MANY_FROM_ONE);
	if (a != b)
		assert_int_equal(clients_enter(b, 3, 2), CLIENTS_FINE);
	assert_int_equal(clients_enter(b, a != b ? 3 : 2, 9), CLIENTS_TOO_MANY);
	clients_leave(a);
	assert_int_equal(clients_enter(a, 3, 2), CLIENTS_FINE);
}

static void
shares(void **state)
{
	int fd = memfd_create("clients", 0);
	struct err err;
	uint32_t slot;

	(void)state;
	assert_int_equal(ftruncate(fd, CLIENTS_BYTES), 0);
	assert_int_equal(clients_open(fd, 1, &err), 0);
	slot = clients_slot("192.0.2.1");
	assert_int_equal(clients_enter(slot, 10, 2), CLIENTS_FINE);
	/* another process of smtpd */
	assert_int_equal(clients_open(fd, 2, &err), 0);
	assert_int_equal(clients_slot("192.0.2.1"), slot);
	assert_int_equal(clients_enter(slot, 10, 2), CLIENTS_FINE);
	assert_int_equal(clients_enter(slot, 10, 2), CLIENTS_TOO_MANY_FROM_ONE);
	/* the first one died and comes again: what it counted is gone */
	assert_int_equal(clients_open(fd, 1, &err), 0);
	assert_int_equal(clients_enter(slot, 10, 2), CLIENTS_FINE);
	close(fd);
}

static void
meters(void **state)
{
	const int64_t minute = 60 * CLOCK_SECOND;
	int fd = memfd_create("clients", 0);
	struct err err;
	uint32_t slot;

	(void)state;
	assert_int_equal(ftruncate(fd, CLIENTS_BYTES), 0);
	assert_int_equal(clients_open(fd, 1, &err), 0);
	slot = clients_slot("192.0.2.1");
	assert_int_equal(clients_count(slot, METER_ERRORS, 5 * minute), 1);
	/* all processes count together */
	assert_int_equal(clients_open(fd, 2, &err), 0);
	assert_int_equal(clients_count(slot, METER_ERRORS, 5 * minute + 1), 2);
	assert_int_equal(clients_counted(slot, METER_ERRORS, 6 * minute - 1), 2);
	assert_int_equal(clients_counted(slot, METER_UNKNOWN, 6 * minute - 1), 0);
	/* until the minute is over */
	assert_int_equal(clients_counted(slot, METER_ERRORS, 6 * minute), 0);
	assert_int_equal(clients_count(slot, METER_UNKNOWN, 6 * minute), 1);
	assert_int_equal(clients_counted(slot, METER_ERRORS, 6 * minute), 0);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(networks), cmocka_unit_test(counts), cmocka_unit_test(shares),
		cmocka_unit_test(meters) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
