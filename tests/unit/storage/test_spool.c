/* spool: whole files or none, sizes, sweeping */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/spool.h"
#include "tests/unit/storage/scratch.h"

static struct err err;

static void
test_write_and_read(void **state)
{
	char got[16];
	int dir, fd;

	(void)state;
	mkdir("spool", 0700);
	dir = spool_open_dir(-1, &err);
	assert_true(dir >= 0);
	assert_int_equal(spool_write(dir, 77, 0, SLICE("hello "), &err), 0);
	assert_int_equal(spool_write(dir, 77, 6, SLICE("world"), &err), 0);
	assert_int_equal(spool_write(dir, 77, 0, SLICE("again"), &err), -1);
	assert_int_equal(spool_sync(dir, 77, 12, &err), -1);
	assert_int_equal(spool_sync(dir, 77, 11, &err), 0);
	fd = spool_read(dir, 77, 11, &err);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got)), 11);
	assert_memory_equal(got, "hello world", 11);
	assert_int_equal(write(fd, "x", 1), -1);
	close(fd);
	assert_int_equal(spool_read(dir, 77, 12, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	spool_remove(dir, 77);
	spool_remove(dir, 77);
	assert_int_equal(spool_read(dir, 77, 11, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	close(dir);
}

static bool
want_two(void *arg, uint64_t qid)
{
	(void)arg;
	return qid == 2;
}

static void
test_sweep(void **state)
{
	int dir;

	(void)state;
	mkdir("spool", 0700);
	dir = spool_open_dir(-1, &err);
	for (uint64_t qid = 1; qid <= 3; qid++)
		assert_int_equal(spool_write(dir, qid, 0, SLICE("x"), &err), 0);
	close(openat(dir, "not-an-id", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(spool_sweep(dir, want_two, NULL, &err), 3);
	assert_int_equal(spool_sweep(dir, want_two, NULL, &err), 0);
	assert_int_equal(spool_sync(dir, 2, 1, &err), 0);
	spool_remove(dir, 2);
	close(dir);
	rmdir("spool");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_write_and_read, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_sweep, scratch_enter, scratch_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
