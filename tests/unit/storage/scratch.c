/* scratch - an empty working directory for a test, removed afterwards */
#define _XOPEN_SOURCE 700
#include "tests/unit/storage/scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];
static int before = -1;

int
scratch_enter(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/tegami-unit-XXXXXX");
	before = open(".", O_RDONLY | O_DIRECTORY);
	return before != -1 && mkdtemp(path) != NULL && chdir(path) == 0 ? 0 : -1;
}

static int
gone(const char *name, const struct stat *st, int flag, struct FTW *walk)
{
	(void)st;
	(void)flag;
	(void)walk;
	return remove(name);
}

int
scratch_leave(void **state)
{
	(void)state;
	if (fchdir(before) == -1)
		return -1;
	close(before);
	return nftw(path, gone, 16, FTW_DEPTH | FTW_PHYS);
}
