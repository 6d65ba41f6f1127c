/* barrier - makes one barrier in RATE fail with EIO, in the role ROLE, from its second second on; for LD_PRELOAD
 *
 * What a failed barrier means is left to chance, as on a real disk: half of the time it was carried out all the same. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char *program_invocation_short_name;
static time_t born;
static atomic_uint calls;

__attribute__((constructor)) static void
begin(void)
{
	if (strcmp(program_invocation_short_name, ROLE) == 0)
		born = time(NULL);
}

static int
barrier(int fd, const char *name)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	unsigned n;

	if (born == 0 || time(NULL) < born + 2)
		return real(fd);
	n = atomic_fetch_add(&calls, 1) * 2654435761u;
	if ((n >> 8) % RATE != 0)
		return real(fd);
	if (n & 1 << 7)
		real(fd);
	errno = EIO;
	return -1;
}

int
fsync(int fd)
{
	return barrier(fd, "fsync");
}

int
fdatasync(int fd)
{
	return barrier(fd, "fdatasync");
}

int
syncfs(int fd)
{
	return barrier(fd, "syncfs");
}
