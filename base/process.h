/* process - the table of all processes: who runs, as whom, how many, with whom it talks, and what
 * it may do
 *
 * The supervisor walks it; roles look up their own row to confine themselves; `tegami status` and
 * the README's picture are its columns. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <sys/types.h>

#include "base/err.h"
#include "base/msg.h"

/* beyond the common calls: memory, time, signals, its own descriptors */
enum confinement {
	MAY_ACCEPT = 1,		/* accept on listeners handed over */
	MAY_CONNECT = 2,	/* make INET sockets, connect, UDP */
	MAY_READ_FILES = 4,	/* open for reading below what landlock grants */
	MAY_WRITE_FILES = 8,	/* create, write, rename, unlink there */
	MAY_THREADS = 16,
	MAY_ACCEPT_UNIX = 32,	/* accept on a unix socket, ask peer credentials */
	MAY_FORK = 64		/* fork workers (scan) */
};

struct process_row {
	const char *name;	/* of the role and its program */
	const char *program;	/* below the build directory */
	const char *user;
	unsigned at_most;	/* 0: one per core (no more than 20), else this many */
	unsigned peers;		/* role set it has links to (both sides name each other) */
	unsigned may;		/* enum confinement */
};
extern const struct process_row processes[ROLE_COUNT];

/* The cores that this process may use: those of the machine, or fewer by taskset, cpuset or
 * CPUAffinity. At least 1. */
unsigned process_cores(void);
/* How many of this role run on this machine (`cores` >= 1); config may lower or raise it for
 * scan. */
unsigned process_count(enum role role, unsigned cores);

/* Become the user for good: groups, gid, uid, no new privileges, undumpable. No-op on ids when not
 * root. */
int process_become(uid_t uid, gid_t gid, struct err *err);

#endif
