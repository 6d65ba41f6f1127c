/* spawn - a role's process from the supervisor's side
 *
 * Programs and folders are opened before any right is given up, so the role's account needs no way
 * to them: the child changes to its folder and its user and runs the open program. It inherits
 * stdin (/dev/null), stdout and stderr, and the link on descriptor 3; everything else is
 * close-on-exec. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/supervisor.h"
#include "base/log.h"
#include "base/role.h"

/* The folder that holds tegamid itself, when the roles' programs stand in it too (a build
 * directory); else ROLEDIR. */
static bool
build_dir(char *dir, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", dir, size - 1);
	char probe[PATH_MAX + 64];
	char *slash;

	if (n <= 0)
		return false;
	dir[n] = '\0';
	slash = strrchr(dir, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	snprintf(probe, sizeof probe, "%s/%s", dir, processes[ROLE_SMTPD].program);
	return access(probe, X_OK) == 0;
}

static char programs[PATH_MAX];	/* the folder; "" before it was looked for */
static bool in_place;

static int
program_open(enum role role, struct err *err)
{
	char path[PATH_MAX + 64];
	int fd;

	if (in_place)
		snprintf(path, sizeof path, "%s/%s", programs, processes[role].program);
	else
		snprintf(path, sizeof path, "%s/%s", ROLEDIR, processes[role].name);
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd >= 0 ? fd :
	    err_sys(err, "cannot find the program %s (is the installation whole?)", path);
}

int
spawn_open_programs(struct err *err)
{
	in_place = build_dir(programs, sizeof programs);
	for (unsigned i = ROLE_TEGAMID + 1; i < ROLE_COUNT; i++) {
		supervisor.programs[i] = program_open((enum role)i, err);
		if (supervisor.programs[i] < 0)
			return -1;
	}
	return 0;
}

int
spawn_new_program(enum role role)
{
	struct stat had, has;
	int fd = program_open(role, NULL);

	if (fd < 0)
		return -1;
	if (fstat(supervisor.programs[role], &had) == 0 && fstat(fd, &has) == 0 &&
	    (had.st_dev != has.st_dev || had.st_ino != has.st_ino ||
	    had.st_mtim.tv_sec != has.st_mtim.tv_sec || had.st_mtim.tv_nsec != has.st_mtim.tv_nsec))
		return fd;
	close(fd);
	return -1;
}

static int
folder_of(enum role role)
{
	switch (role) {
	case ROLE_MDA: return supervisor.mail_dir;
	case ROLE_SCAN: return supervisor.scan_dir;
	default: return supervisor.state_dir;
	}
}

/* The few variables that a role may see. */
static void
environment(char *env[static 16], char number[static 32], char table[static 32], unsigned n)
{
	static const char *const passed[] = { "LD_PRELOAD", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS",
		"LSAN_OPTIONS", "MALLOC_ARENA_MAX" };
	static char room[COUNT(passed)][1024];
	size_t k = 0;

	snprintf(number, 32, "TEGAMI_NUMBER=%u", n);
	snprintf(table, 32, "TEGAMI_TABLE=%x", (unsigned)msg_table_id());
	env[k++] = number;
	env[k++] = table;
	for (size_t i = 0; i < COUNT(passed); i++) {
		const char *value = getenv(passed[i]);

		if (value == NULL || strlen(value) > 900)
			continue;
		snprintf(room[i], sizeof room[i], "%s=%s", passed[i], value);
		env[k++] = room[i];
	}
	env[k] = NULL;
}

__attribute__((noreturn)) static void
child_run(enum role role, unsigned number, int sock)
{
	const struct prepare_owner *owner = &supervisor.owners[role];
	char *argv[2] = { (char *)(uintptr_t)processes[role].name, NULL };
	char text[32], table[32], *env[16];
	struct err err = { 0 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	log_name(processes[role].name);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	environment(env, text, table, number);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || fchdir(folder_of(role)) == -1) {
		log_error("cannot prepare its descriptors: %s", strerror(errno));
		_exit(1);
	}
	if (process_become(owner->uid, owner->gid, &err) == -1) {
		log_error("%s", err.text);
		_exit(1);
	}
	/* sock may be 3 already: then only the flag has to go */
	if (sock == FD_SUPERVISOR ? fcntl(sock, F_SETFD, 0) == -1 : dup2(sock, FD_SUPERVISOR) == -1)
		_exit(1);
	umask(077);
	execveat(supervisor.programs[role], "", argv, env, AT_EMPTY_PATH);
	log_error("cannot run its program: %s", strerror(errno));
	_exit(1);
}

int
spawn_role(enum role role, unsigned number, pid_t *pid, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return err_sys(err, "cannot make a link");
	/* the program's descriptor must not be the one that dup2 takes */
	*pid = fork();
	if (*pid == 0)
		child_run(role, number, pair[1]);
	close(pair[1]);
	if (*pid > 0)
		return pair[0];
	*pid = 0;
	close(pair[0]);
	return err_sys(err, "cannot start a process");
}
