#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/maildir.h"

static int root;

static int
setup(void **state)
{
	char *dir = strdup("/tmp/tegami-maildir-XXXXXX");

	*state = mkdtemp(dir);
	root = open(dir, O_RDONLY | O_DIRECTORY);
	return root == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	char command[100];

	close(root);
	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	free(*state);
	return system(command);
}

static const struct {
	const char *home;
	bool ok;
} homes[] = {
	{ "example.test/alice", true },
	{ "example.test/al.ice+x", true },
	{ "ex.test/\xc3\xa9", true },
	{ "", false },
	{ "/", false },
	{ "a", false },
	{ "a/", false },
	{ "/a", false },
	{ "a/b/c", false },
	{ "../b", false },
	{ "a/..", false },
	{ "a/.", false },
	{ "a/.b", false },
	{ ".a/b", false },
	{ "a/b\n", false },
	{ "a\x7f/b", false },
	{ "a//b", false },
	{ "a/b/", false },
};

static void
test_homes(void **state)
{
	char longest[600];

	(void)state;
	for (size_t i = 0; i < COUNT(homes); i++)
		assert_int_equal(maildir_home_ok(slice_of(homes[i].home)), homes[i].ok);
	memset(longest, 'a', sizeof(longest));
	longest[255] = '/';
	assert_true(maildir_home_ok((struct slice){ longest, 511 }));
	assert_false(maildir_home_ok((struct slice){ longest, 512 }));
}

static const struct {
	const char *name;
	bool ok;
} names[] = {
	{ "1700000000.M1Q0ABCR0.mx.example.test", true },
	{ "a", true },
	{ "a,S=12", true },
	{ "", false },
	{ ".a", false },
	{ "a/b", false },
	{ "a:2,S", false },
	{ "a b", false },
	{ "a\n", false },
	{ "..", false },
	{ "\xc3\xa9", false },
};

static void
test_names(void **state)
{
	char longest[201];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		assert_int_equal(maildir_name_ok(slice_of(names[i].name)), names[i].ok);
	memset(longest, 'a', sizeof(longest));
	assert_true(maildir_name_ok((struct slice){ longest, 200 }));
	assert_false(maildir_name_ok((struct slice){ longest, 201 }));
}

static const struct {
	const char *folder, *dir; /* NULL: refused */
} folders[] = {
	{ "", "" },
	{ "Junk", "/.Junk" },
	{ "A/B", "/.A.B" },
	{ "Junk E-Mail", "/.Junk E-Mail" },
	{ "M\xc3\xbcll", "/.M&APw-ll" },
	{ "R&D", "/.R&-D" },
	{ "\xe6\x97\xa5\xe6\x9c\xac", "/.&ZeVnLA-" },
	{ "\xf0\x9f\x93\xac", "/.&2D3c7A-" },
	{ "a\xc3\xbc", "/.a&APw-" },
	{ "..", NULL },
	{ ".", NULL },
	{ "a.b", NULL },
	{ "/a", NULL },
	{ "a/", NULL },
	{ "a//b", NULL },
	{ "~a", NULL },
	{ "a\n", NULL },
	{ "\xff", NULL },
	{ "\xc0\xaf", NULL },
	{ "\xed\xa0\x80", NULL },
	{ "\xc3", NULL },
};

static void
test_folders(void **state)
{
	char dir[MAILDIR_NAME];

	(void)state;
	for (size_t i = 0; i < COUNT(folders); i++) {
		int rc = maildir_folder_dir(slice_of(folders[i].folder), dir, sizeof(dir));

		assert_int_equal(rc, folders[i].dir == NULL ? -1 : 0);
		if (rc == 0)
			assert_string_equal(dir, folders[i].dir);
	}
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, 0) == 0 && S_ISDIR(st.st_mode) &&
	       (st.st_mode & 07777) == 0700;
}

static void
read_all(const char *path, char *out, size_t size)
{
	int fd = openat(root, path, O_RDONLY);
	ssize_t n = read(fd, out, size - 1);

	assert_true(fd != -1 && n >= 0);
	out[n] = 0;
	close(fd);
}

static void
test_make(void **state)
{
	struct err err = { 0 };
	struct stat st;
	char text[100];

	(void)state;
	umask(0022);
	assert_int_equal(maildir_make(root, "ex.test/al", "", &err), 0);
	assert_true(is_dir("ex.test") && is_dir("ex.test/al") && is_dir("ex.test/al/Maildir/new"));
	assert_true(is_dir("ex.test/al/Maildir/cur") && is_dir("ex.test/al/Maildir/tmp"));
	assert_int_equal(fstatat(root, "ex.test/al/Maildir/subscriptions", &st, 0), -1);
	/* again, with a folder; twice: one line only */
	for (int i = 0; i < 2; i++)
		assert_int_equal(maildir_make(root, "ex.test/al", "/.Junk", &err), 0);
	assert_true(is_dir("ex.test/al/Maildir/.Junk/new"));
	assert_int_equal(fstatat(root, "ex.test/al/Maildir/.Junk/maildirfolder", &st, 0), 0);
	assert_int_equal(maildir_make(root, "ex.test/al", "/.B", &err), 0);
	read_all("ex.test/al/Maildir/subscriptions", text, sizeof(text));
	assert_string_equal(text, "Junk\nB\n");
}

/* Links inside mail_dir are followed, links out of it are not. */
static void
test_links(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(mkdirat(root, "l.test", 0700) | mkdirat(root, "l.test/in", 0700) |
			     mkdirat(root, "l.test/out", 0700) | mkdirat(root, "l.test/box", 0700),
	    0);
	assert_int_equal(symlinkat("../box", root, "l.test/in/Maildir"), 0);
	assert_int_equal(symlinkat("/tmp", root, "l.test/out/Maildir"), 0);
	assert_int_equal(maildir_make(root, "l.test/in", "", &err), 0);
	assert_true(is_dir("l.test/box/new"));
	assert_int_equal(maildir_make(root, "l.test/out", "", &err), -1);
	assert_int_equal(maildir_open(root, "../", O_RDONLY), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(maildir_open(root, "l.test/out/Maildir/x", O_RDWR | O_CREAT), -1);
}

static void
put(const char *path, size_t len)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd != -1);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	close(fd);
}

static void
test_count(void **state)
{
	struct maildir_size size;
	struct err err = { 0 };
	int fd;

	(void)state;
	assert_int_equal(maildir_make(root, "c.test/al", "/.Junk", &err), 0);
	put("c.test/al/Maildir/new/1.a.h,S=100", 7); /* the name is believed */
	put("c.test/al/Maildir/cur/2.a.h,S=20:2,S", 0);
	put("c.test/al/Maildir/cur/3.a.h:2,", 3); /* no size in it: asked */
	put("c.test/al/Maildir/cur/4.a.h,S=x", 4);
	put("c.test/al/Maildir/.Junk/new/5.a.h,S=1000,W=1010", 0);
	put("c.test/al/Maildir/tmp/6.a.h,S=9999", 0); /* not mail */
	put("c.test/al/Maildir/new/.hidden", 50);
	fd = maildir_open(root, "c.test/al/Maildir", O_RDONLY | O_DIRECTORY);
	assert_int_equal(maildir_count(fd, &size, &err), 0);
	assert_int_equal(size.bytes, 100 + 20 + 3 + 4 + 1000);
	assert_int_equal(size.messages, 5);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_homes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_count),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
