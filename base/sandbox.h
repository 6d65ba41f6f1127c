/* sandbox - what the kernel refuses a role from now on: landlock for files, seccomp for system
 * calls
 *
 * Call it before the first thread exists, with every path that is still needed named. Newer
 * features are used where the running kernel has them; when landlock is missing the role goes on
 * with a warning. */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include "base/err.h"

#define SANDBOX_PATHS_MAX 32

enum sandbox_access {
	SANDBOX_READ = 1,
	SANDBOX_WRITE = 2 /* create, write, rename, remove below it */
};

/* Grant access to a file or a directory and all below it: by descriptor (any O_PATH or open one),
 * or by path relative to the working directory. Missing paths are skipped. Collected until
 * sandbox_enter(). */
void sandbox_grant_fd(int fd, unsigned access);
void sandbox_grant(const char *path, unsigned access);

/* Enter it: `may` is a set of enum confinement (process.h). -1 + err only when seccomp cannot be
 * had. */
int sandbox_enter(unsigned may, struct err *err);

#endif
