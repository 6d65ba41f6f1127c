/* test_clients - counts of connections, alone and in memory shared by several */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "smtp/clients.h"

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
	assert_int_equal(clients_slot("2001:db8::1"), clients_slot("2001:db8::ffff:1"));
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

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(counts), cmocka_unit_test(shares) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
