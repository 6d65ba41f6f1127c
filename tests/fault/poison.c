/* poison - a message that kills mda: whoever writes POISON into a file dies of it; for LD_PRELOAD */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define POISON "X-Poison: yes"

extern char *program_invocation_short_name;

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	ssize_t (*real)(int, const struct iovec *, int) = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");

	for (int i = 0; i < n && strcmp(program_invocation_short_name, "mda") == 0; i++)
		if (memmem(v[i].iov_base, v[i].iov_len, POISON, strlen(POISON)) != NULL)
			abort();
	return real(fd, v, n);
}
