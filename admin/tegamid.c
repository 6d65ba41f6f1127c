/* tegamid - the supervisor's beginning and end
 *
 * In order: read the configuration, take the lock of the state directory, prepare folders and
 * databases, open programs, listeners and folders, give up root's other rights, start the roles,
 * serve. Every failure before that is one line with what to do, and exit 1. When this process dies,
 * by whatever signal, every role dies with it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/supervisor.h"
#include "base/log.h"
#include "base/tickets.h"

static const char usage[] =
    "usage: tegamid [-c FILE] [-t]\n"
    "  -c FILE  the configuration (default: $TEGAMI_CONFIG, else %s)\n"
    "  -t       check the configuration, say what is wrong, and exit\n"
    "Runs in the foreground; SIGHUP reloads, SIGTERM stops.\n";

/* One server per state directory. */
static int
lock_state(const char *dir, struct err *err)
{
	int fd;

	if (mkdir(dir, 0711) == -1 && errno != EEXIST)
		return err_sys(err, "cannot make state_dir %s", dir);
	if (chdir(dir) == -1)
		return err_sys(err, "cannot enter state_dir %s", dir);
	fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, "cannot make %s/lock", dir);
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(err, ERR_EXISTS,
		    "a tegamid runs on %s already; stop it first (`tegami status` shows it)", dir);
	return 0;	/* held until this process ends */
}

static int
folder_open(const char *path, int *fd, struct err *err)
{
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? err_sys(err, "cannot open the folder %s", path) : 0;
}

static int
clients_make(struct err *err)
{
	supervisor.clients = memfd_create("tegami-clients", MFD_CLOEXEC);
	if (supervisor.clients < 0 || ftruncate(supervisor.clients, (off_t)CLIENTS_BYTES) == -1)
		return err_sys(err, "cannot make the shared counts of clients");
	return 0;
}

/* Roles inherit this: 10,000 connections and more want descriptors. */
static void
descriptors_raise(void)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) == -1)
		return;
	if (geteuid() == 0 && most.rlim_max < 65536)
		most.rlim_max = 65536;
	most.rlim_cur = most.rlim_max > 1048576 ? 1048576 : most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
}

static int
acquire(struct err *err)
{
	const struct conf *conf = supervisor.conf;

	if (lock_state(conf->state_dir, err) == -1 || state_owners(supervisor.owners, err) == -1 ||
	    setup_check_files(conf, err) == -1 || state_prepare(conf, supervisor.owners, err) == -1)
		return -1;
	if (spawn_open_programs(err) == -1 || folder_open(".", &supervisor.state_dir, err) == -1 ||
	    folder_open(conf->mail_dir, &supervisor.mail_dir, err) == -1 ||
	    folder_open("tmp/scan", &supervisor.scan_dir, err) == -1 || clients_make(err) == -1)
		return -1;
	descriptors_raise();
	supervisor.tickets = tickets_make(err);
	if (supervisor.tickets < 0)
		return -1;
	supervisor.smtpds = process_count(ROLE_SMTPD, process_cores());
	return listen_open(conf, supervisor.smtpds, err);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct err err = { 0 };

	(void)what;
	(void)arg;
	if (sig != SIGHUP)
		stop_begin();
	else if (reload_under_way() || !supervisor.announced)
		reload_again();
	else
		reload_begin(&err);
}

static int
serve(struct err *err)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	supervisor.base = event_base_new();
	if (supervisor.base == NULL)
		return err_set(err, ERR_TEMPORARY, "no event loop");
	for (size_t i = 0; i < COUNT(signals); i++) {
		struct event *e = evsignal_new(supervisor.base, signals[i], on_signal, NULL);

		if (e == NULL || event_add(e, NULL) == -1)
			return err_set(err, ERR_TEMPORARY, "no memory for signals");
	}
	signal(SIGPIPE, SIG_IGN);
	if (supervisor_start(err) == -1)
		return -1;
	event_base_dispatch(supervisor.base);
	return supervisor.stopping ? 0 :
	    err_set(err, ERR_TEMPORARY, "a role did not start; the lines above say why");
}

static int
fail(const struct err *err)
{
	fprintf(stderr, "tegamid: %s\n", err->text);
	return 1;
}

/* Relative paths are meant from where tegamid was started; it works in the state directory
 * later. */
static const char *
whole_path(const char *file)
{
	char *whole = realpath(file, NULL);

	return whole != NULL ? whole : file;
}

int
main(int argc, char **argv)
{
	struct err err = { 0 };
	bool only_check = false;
	int c;

	supervisor.conf_file = conf_default_file();
	while ((c = getopt(argc, argv, "c:t")) != -1) {
		switch (c) {
		case 'c': supervisor.conf_file = optarg; break;
		case 't': only_check = true; break;
		default: fprintf(stderr, usage, conf_default_file()); return 2;
		}
	}
	if (optind != argc) {
		fprintf(stderr, usage, conf_default_file());
		return 2;
	}
	log_name("tegamid");
	supervisor.conf_file = whole_path(supervisor.conf_file);
	supervisor.conf = conf_read(supervisor.conf_file, &err);
	if (supervisor.conf == NULL) {
		fprintf(stderr, "%s\n", err.text);
		if (access(supervisor.conf_file, F_OK) == -1)
			fprintf(stderr,
			    "make one with `tegami init HOSTNAME`, or name yours with -c FILE\n");
		return 1;
	}
	if (only_check) {
		if (setup_check_files(supervisor.conf, &err) == -1)
			return fail(&err);
		printf("%s is right.\n", supervisor.conf_file);
		return 0;
	}
	log_set_level((enum log_level)supervisor.conf->log.level);
	prctl(PR_SET_DUMPABLE, 0);
	if (acquire(&err) == -1 || privilege_drop(&err) == -1 || serve(&err) == -1)
		return fail(&err);
	return 0;
}
