/* test_tickets - keys come in the order of their age, go after two turns, and nobody but their maker can write them */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "base/tickets.h"

static void
test_rotation(void **state)
{
	struct ticket_key first, second, key;
	struct err err = { 0 };
	int fd;

	(void)state;
	assert_false(tickets_get(0, &key));
	fd = tickets_make(&err);
	assert_true(fd >= 0);
	assert_int_equal(tickets_open(fd, &err), 0);
	assert_true(tickets_get(0, &first));
	assert_false(tickets_get(1, &key));
	tickets_rotate();
	assert_true(tickets_get(0, &second));
	assert_memory_not_equal(&first, &second, sizeof(first));
	assert_true(tickets_get(1, &key));
	assert_memory_equal(&key, &first, sizeof(key));
	tickets_rotate();
	assert_true(tickets_get(1, &key));
	assert_memory_equal(&key, &second, sizeof(key));
	assert_false(tickets_get(2, &key));
	/* what smtpd has is for reading */
	assert_ptr_equal(mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(write(fd, "x", 1), -1);
	close(fd);
}

static void
test_wrong_memory(void **state)
{
	struct err err = { 0 };
	int fd = memfd_create("x", 0);

	(void)state;
	assert_int_equal(tickets_open(fd, &err), -1);
	assert_int_equal(err.kind, ERR_PERMANENT);
	assert_int_equal(tickets_open(-1, &err), -1);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_wrong_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
