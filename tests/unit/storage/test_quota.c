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
#include <time.h>
#include <unistd.h>

#include "storage/quota.h"

static int root, box;

static int
setup(void **state)
{
	char *dir = strdup("/tmp/tegami-quota-XXXXXX");
	struct err err;

	*state = mkdtemp(dir);
	root = open(dir, O_RDONLY | O_DIRECTORY);
	if (maildir_make(root, "d.test/u", "", &err) == -1)
		return -1;
	box = maildir_open(root, "d.test/u/Maildir", O_RDONLY | O_DIRECTORY);
	return box == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	char command[100];

	close(root);
	close(box);
	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	free(*state);
	return system(command);
}

static const struct {
	const char *text;
	bool ok;
	uint64_t limit, bytes, messages;
} files[] = {
	{ "1000S\n10 1\n", true, 1000, 10, 1 },
	{ "1000S,50C\n10 1\n20 1\n-5 -1\n", true, 1000, 25, 1 },
	{ "50C,1000S\n", true, 1000, 0, 0 },
	{ "50C\n7 1\n", true, 0, 7, 1 },
	{ "1000S\n      10    1\n  20  1 \n\n", true, 1000, 30, 2 },
	{ "1000S\n10 1\n-20 -3\n", true, 1000, 0, 0 },
	{ "1000S\n10 1", true, 1000, 10, 1 },
	{ "", false, 0, 0, 0 },
	{ "1000\n10 1\n", false, 0, 0, 0 },
	{ "1000X\n", false, 0, 0, 0 },
	{ "S\n", false, 0, 0, 0 },
	{ "1000S\n10\n", false, 0, 0, 0 },
	{ "1000S\nten 1\n", false, 0, 0, 0 },
	{ "1000S\n9223372036854775807 1\n1 1\n", false, 0, 0, 0 },
	{ "1000S\n99999999999999999999 1\n", false, 0, 0, 0 },
};

static void
test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(files); i++) {
		struct maildir_size size = { 0 };
		uint64_t limit = 0;

		assert_int_equal(quota_parse(slice_of(files[i].text), &limit, &size), files[i].ok);
		if (!files[i].ok)
			continue;
		assert_int_equal(limit, files[i].limit);
		assert_int_equal(size.bytes, files[i].bytes);
		assert_int_equal(size.messages, files[i].messages);
	}
}

static void
put(const char *name, const char *text, int age)
{
	int fd = openat(box, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct timespec t[2] = { { time(NULL) - age, 0 }, { time(NULL) - age, 0 } };

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(futimens(fd, t), 0);
	close(fd);
}

static const char *
get(void)
{
	static char text[8000];
	int fd = openat(box, QUOTA_FILE, O_RDONLY);
	ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n] = 0;
	if (fd != -1)
		close(fd);
	return text;
}

static void
usage(uint64_t limit, uint64_t bytes, uint64_t messages)
{
	struct maildir_size size = { 0 };
	struct err err = { 0 };

	assert_int_equal(quota_usage(box, limit, &size, &err), 0);
	assert_int_equal(size.bytes, bytes);
	assert_int_equal(size.messages, messages);
}

static void
test_usage(void **state)
{
	char wild[6000];

	(void)state;
	put("new/1.a,S=300", "", 0);
	/* without a quota there is no file, and none is made */
	usage(0, 300, 1);
	assert_string_equal(get(), "");
	assert_false(quota_add(root, "d.test/u/Maildir/" QUOTA_FILE, 1));
	/* made for a quota; then believed, with what was added */
	usage(1000, 300, 1);
	assert_string_equal(get(), "1000S\n300 1\n");
	assert_true(quota_add(root, "d.test/u/Maildir/" QUOTA_FILE, 50));
	assert_string_equal(get(), "1000S\n300 1\n50 1\n");
	usage(1000, 350, 2);
	/* another quota: counted anew */
	usage(2000, 300, 1);
	assert_string_equal(get(), "2000S\n300 1\n");
	/* over quota and fresh: believed; old: counted; not over and old: believed */
	put(QUOTA_FILE, "2000S\n2500 2\n", 60);
	usage(2000, 2500, 2);
	put(QUOTA_FILE, "2000S\n2500 2\n", 1000);
	usage(2000, 300, 1);
	put(QUOTA_FILE, "2000S\n1500 2\n", 1000);
	usage(2000, 1500, 2);
	/* damaged, or too long */
	put(QUOTA_FILE, "what\n", 0);
	usage(2000, 300, 1);
	memset(wild, '\n', sizeof(wild));
	memcpy(wild, "2000S\n1 1", 9);
	wild[sizeof(wild) - 1] = 0;
	put(QUOTA_FILE, wild, 0);
	usage(2000, 300, 1);
	assert_string_equal(get(), "2000S\n300 1\n");
}

/* Nobody counts: the file does not grow for ever. */
static void
test_wild(void **state)
{
	bool there = true;

	(void)state;
	put(QUOTA_FILE, "1S\n", 0);
	for (int i = 0; i < 20000 && there; i++)
		there = quota_add(root, "d.test/u/Maildir/" QUOTA_FILE, 123456);
	assert_false(there);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_wild),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
