/* process - the table of all processes, and how one becomes its user */
#include "base/process.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

/* there are 64 numbers for smtpd, and a reload may need twice and three times as many as run */
#define PER_CORE_MAX 20
#define FILES (MAY_READ_FILES | MAY_WRITE_FILES)

/* Who talks to whom is symmetric; the supervisor talks to all. A unit test checks both against
 * msg.c's table. */
const struct process_row processes[ROLE_COUNT] = {
	[ROLE_TEGAMID] = { "tegamid", "tegamid", "root", 1, R_ROLES, 0 },
	[ROLE_CONTROL] = { "control", "admin/control", "tegami-ctl", 1, R_ALL & ~R(CONTROL),
	    FILES | MAY_THREADS | MAY_ACCEPT_UNIX },
	[ROLE_RESOLVER] = { "resolver", "base/dns/resolver", "tegami-dns", 1,
	    R(TEGAMID) | R(CONTROL) | R(FILTER) | R(RELAY) | R(SMTPD),
	    MAY_CONNECT | MAY_READ_FILES },
	[ROLE_DIRECTORY] = { "directory", "storage/directory", "tegami-dir", 1,
	    R(TEGAMID) | R(CONTROL) | R(SMTPD) | R(MDA) | R(QUEUE) | R(SIGNER), FILES },
	[ROLE_AUTH] = { "auth", "storage/auth", "tegami-auth", 1,
	    R(TEGAMID) | R(CONTROL) | R(SMTPD) | R(QUEUE) | R(SIGNER), FILES | MAY_THREADS },
	[ROLE_MDA] = { "mda", "delivery/mda", "vmail", 1,
	    R(TEGAMID) | R(CONTROL) | R(QUEUE) | R(DIRECTORY), FILES | MAY_THREADS },
	[ROLE_RELAY] = { "relay", "delivery/relay", "tegami-relay", 1,
	    R(TEGAMID) | R(CONTROL) | R(QUEUE) | R(RESOLVER),
	    MAY_CONNECT | MAY_READ_FILES | MAY_THREADS },
	[ROLE_SCAN] = { "scan", "filters/scan", "tegami-scan", 2,
	    R(TEGAMID) | R(CONTROL) | R(FILTER), FILES | MAY_THREADS },
	[ROLE_SIGNER] = { "signer", "filters/signer", "tegami-sign", 1,
	    R(TEGAMID) | R(CONTROL) | R(SMTPD) | R(AUTH) | R(DIRECTORY), 0 },
	[ROLE_FILTER] = { "filter", "filters/filter", "tegami-filter", 2,
	    R(TEGAMID) | R(CONTROL) | R(SMTPD) | R(SCAN) | R(RESOLVER), MAY_READ_FILES },
	[ROLE_QUEUE] = { "queue", "delivery/queue", "tegami-queue", 1,
	    R(TEGAMID) | R(CONTROL) | R(SMTPD) | R(MDA) | R(RELAY) | R(AUTH) | R(DIRECTORY),
	    FILES | MAY_THREADS },
	[ROLE_SMTPD] = { "smtpd", "smtp/smtpd", "tegami-smtp", 0,
	    R(TEGAMID) | R(CONTROL) | R(DIRECTORY) | R(AUTH) | R(SIGNER) | R(FILTER) | R(QUEUE) |
	    R(RESOLVER),
	    MAY_ACCEPT | MAY_ACCEPT_UNIX },
};

unsigned
process_cores(void)
{
	cpu_set_t ours;
	long all = sysconf(_SC_NPROCESSORS_ONLN);

	if (sched_getaffinity(0, sizeof(ours), &ours) == 0 && CPU_COUNT(&ours) > 0)
		return (unsigned)CPU_COUNT(&ours);
	return all > 0 ? (unsigned)all : 1; /* more than fit into a set */
}

unsigned
process_count(enum role role, unsigned cores)
{
	unsigned n = processes[role].at_most;

	if (n == 0)
		n = cores > 0 ? cores : 1;
	return n < PER_CORE_MAX ? n : PER_CORE_MAX;
}

int
process_become(uid_t uid, gid_t gid, struct err *err)
{
	if (geteuid() == 0 && uid != 0) {
		if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 ||
		    setresuid(uid, uid, uid) == -1)
			return err_sys(err, "cannot become uid %u", (unsigned)uid);
		if (setresuid(0, 0, 0) == 0)
			return err_set(err, ERR_BUG, "uid 0 came back");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_sys(err, "cannot set no_new_privs");
	return 0;
}
