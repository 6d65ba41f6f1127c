/* prepare: a state directory from nothing, twice, and from a spoilt one */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "storage/prepare.h"
#include "tests/unit/storage/scratch.h"

static struct conf conf;
static struct prepare_owner owners[ROLE_COUNT];
static char state_dir[300], mail_dir[320];
static int home = -1;

static int
enter(void **state)
{
	char here[256];
	int i;

	if (scratch_enter(state) == -1 || getcwd(here, sizeof(here)) == NULL)
		return -1;
	snprintf(state_dir, sizeof(state_dir), "%s/a/b/state", here);
	snprintf(mail_dir, sizeof(mail_dir), "%s/mail", state_dir);
	conf.state_dir = state_dir;
	conf.mail_dir = mail_dir;
	for (i = 0; i < ROLE_COUNT; i++)
		owners[i] = (struct prepare_owner){ geteuid() == 0 ? (uid_t)(5000 + i) : geteuid(),
			geteuid() == 0 ? (gid_t)(6000 + i) : getegid() };
	owners[ROLE_TEGAMID] = (struct prepare_owner){ geteuid(), getegid() };
	home = open(".", O_RDONLY | O_DIRECTORY);
	return home == -1 ? -1 : 0;
}

static int
leave(void **state)
{
	if (fchdir(home) == -1)
		return -1;
	close(home);
	return scratch_leave(state);
}

static const struct {
	const char *name;
	enum role owner, group;
	mode_t mode;
} entries[] = {
	{ ".", ROLE_TEGAMID, ROLE_TEGAMID, 0711 },
	{ "spool", ROLE_QUEUE, ROLE_QUEUE, 0700 },
	{ "keys", ROLE_TEGAMID, ROLE_TEGAMID, 0700 },
	{ "tmp/scan", ROLE_SCAN, ROLE_SCAN, 0700 },
	{ "mail", ROLE_MDA, ROLE_MDA, 0711 },
	{ "mail/.stage", ROLE_MDA, ROLE_MDA, 0700 },
	{ "directory.db", ROLE_DIRECTORY, ROLE_DIRECTORY, 0640 },
	{ "directory.db-wal", ROLE_DIRECTORY, ROLE_DIRECTORY, 0640 },
	{ "directory.db-shm", ROLE_DIRECTORY, ROLE_DIRECTORY, 0640 },
	{ "credentials.db", ROLE_AUTH, ROLE_AUTH, 0600 },
	{ "credentials.db-wal", ROLE_AUTH, ROLE_AUTH, 0600 },
	{ "credentials.db-shm", ROLE_AUTH, ROLE_AUTH, 0600 },
	{ "queue.db", ROLE_QUEUE, ROLE_QUEUE, 0600 },
	{ "history.db", ROLE_CONTROL, ROLE_CONTROL, 0600 },
	{ "score.db", ROLE_CONTROL, ROLE_FILTER, 0640 },
	{ "score.db-shm", ROLE_CONTROL, ROLE_FILTER, 0640 },
};

static void
look_at_all(void)
{
	struct stat st;
	size_t i;

	for (i = 0; i < COUNT(entries); i++) {
		if (lstat(entries[i].name, &st) == -1)
			fail_msg("%s is missing", entries[i].name);
		if ((st.st_mode & 07777) != entries[i].mode ||
		    st.st_uid != owners[entries[i].owner].uid ||
		    st.st_gid != owners[entries[i].group].gid)
			fail_msg("%s: mode %o owner %u group %u", entries[i].name,
			    st.st_mode & 07777, st.st_uid, st.st_gid);
	}
}

static void
test_twice(void **state)
{
	struct err err;

	(void)state;
	if (state_prepare(&conf, owners, &err) == -1)
		fail_msg("%s", err.text);
	look_at_all();
	assert_int_equal(chmod("credentials.db", 0666), 0);
	assert_int_equal(chmod("spool", 0777), 0);
	assert_int_equal(chmod("mail", 0750), 0);
	assert_int_equal(unlink("queue.db-wal"), 0);
	if (state_prepare(&conf, owners, &err) == -1)
		fail_msg("%s", err.text);
	assert_int_equal(chmod("mail", 0711),
	    0); /* the mode of a mail_dir that was there is the administrator's */
	look_at_all();
}

static void
test_links_are_not_followed(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(state_prepare(&conf, owners, &err), 0);
	assert_int_equal(rmdir("spool"), 0);
	assert_int_equal(symlink("/tmp", "spool"), 0);
	assert_int_equal(state_prepare(&conf, owners, &err), -1);
	assert_non_null(strstr(err.text, "spool"));
}

static void
test_no_folder(void **state)
{
	struct err err;
	int fd;

	(void)state;
	fd = open("a", O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_int_equal(state_prepare(&conf, owners, &err), -1);
	assert_non_null(strstr(err.text, "a"));
}

/* Every account that the process table names is made by conf/accounts. */
static void
test_accounts(void **state)
{
	FILE *f = fopen(TOP_SRCDIR "/conf/tegami.sysusers", "r");
	char text[4096], want[64];
	size_t n, i;

	(void)state;
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	for (i = 0; i < ROLE_COUNT; i++) {
		snprintf(want, sizeof(want), "\nu     %s ", processes[i].user);
		if (strcmp(processes[i].user, "root") != 0 && strstr(text, want) == NULL)
			fail_msg("%s is not in tegami.sysusers", processes[i].user);
	}
	assert_non_null(strstr(text, "\ng     tegami-admin"));
}

#define ROW(t) cmocka_unit_test_setup_teardown(t, enter, leave)

int
main(void)
{
	const struct CMUnitTest tests[] = { ROW(test_twice), ROW(test_links_are_not_followed),
		ROW(test_no_folder), cmocka_unit_test(test_accounts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
