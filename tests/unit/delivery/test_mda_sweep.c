#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delivery/mda_sweep.h"

static int root;
static struct stage stage;

static int
setup(void **state)
{
	char *dir = strdup("/tmp/tegami-sweep-XXXXXX");
	struct err err = { 0 };

	*state = mkdtemp(dir);
	root = open(dir, O_RDONLY | O_DIRECTORY);
	return stage_open(&stage, root, STAGE_DIR, true, &err);
}

static int
teardown(void **state)
{
	char command[100];

	stage_close(&stage);
	close(root);
	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	free(*state);
	return system(command);
}

static void
put(const char *name)
{
	int fd = openat(stage.fd, name, O_WRONLY | O_CREAT, 0600);

	assert_true(fd != -1);
	close(fd);
}

static bool
there(const char *name)
{
	return faccessat(stage.fd, name, F_OK, 0) == 0;
}

static void
keep(struct keep *k, const char *id, const char *name)
{
	char text[100];
	int len = snprintf(text, sizeof(text), "%s/%s", id, name);

	keep_add(k, (struct slice){ text, (size_t)len });
}

static void
test_sweep(void **state)
{
	struct keep k = { 0 };
	struct err err = { 0 };
	uint64_t removed;

	(void)state;
	put("z,S=1");
	put("a,S=1");
	put("m,S=1");
	put("other,S=1");
	keep(&k, stage.id, "z,S=1");
	keep(&k, stage.id, "a,S=1");
	keep(&k, stage.id, "gone,S=1");
	keep(&k, "zzzzzzzz", "other,S=1"); /* of another stage folder */
	assert_int_equal(sweep(root, &stage, &k, &removed, &err), 0);
	assert_int_equal(removed, 2);
	assert_true(there("z,S=1") && there("a,S=1") && there(".id"));
	assert_false(there("m,S=1") || there("other,S=1"));
	keep_free(&k);
	assert_int_equal(sweep(root, &stage, &k, &removed, &err), 0);
	assert_int_equal(removed, 2);
}

static void
test_many(void **state)
{
	struct keep k = { 0 };
	struct err err = { 0 };
	uint64_t removed;
	char name[32];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "m%d", i * 7919 % 1000);
		put(name);
		if (i % 2 == 0)
			keep(&k, stage.id, name);
	}
	assert_int_equal(sweep(root, &stage, &k, &removed, &err), 0);
	assert_int_equal(removed, 500);
	keep_free(&k);
}

/* A list that is not whole removes nothing. */
static void
test_overflow(void **state)
{
	struct keep k = { .overflow = true };
	struct err err = { 0 };
	uint64_t removed;

	(void)state;
	put("x");
	assert_int_equal(sweep(root, &stage, &k, &removed, &err), -1);
	assert_int_equal(removed, 0);
	assert_true(there("x"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
