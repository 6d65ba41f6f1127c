/* tickets - the keys that seal TLS session tickets, shared by all processes of smtpd
 *
 * A counter guards the copy: it is odd while the supervisor writes, and a reader that saw it change
 * reads again. */
#include "base/tickets.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 1000

struct shared {
	_Atomic uint32_t turn;
	uint32_t n;
	struct ticket_key key[TICKETS_KEYS];	/* the newest first */
};

static struct shared *written;		/* the supervisor's mapping */
static const struct shared *seen;	/* smtpd's */

int
tickets_make(struct err *err)
{
	int fd = memfd_create("tegami-tickets", MFD_CLOEXEC), shown = -1;
	char path[40];

	if (fd < 0 || ftruncate(fd, sizeof(struct shared)) == -1)
		err_sys(err, "cannot make the keys of session tickets");
	else if ((written = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0)) == MAP_FAILED)
		err_sys(err, "cannot map the keys of session tickets");
	else {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		shown = open(path, O_RDONLY | O_CLOEXEC);
		if (shown < 0)
			err_sys(err, "cannot open the keys of session tickets");
		tickets_rotate();
	}
	if (fd >= 0)
		close(fd);
	return shown;
}

void
tickets_rotate(void)
{
	struct ticket_key fresh;

	if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
		return;
	atomic_fetch_add(&written->turn, 1);
	memmove(&written->key[1], &written->key[0], sizeof(fresh) * (TICKETS_KEYS - 1));
	written->key[0] = fresh;
	if (written->n < TICKETS_KEYS)
		written->n++;
	atomic_fetch_add(&written->turn, 1);
	explicit_bzero(&fresh, sizeof(fresh));
}

int
tickets_open(int fd, struct err *err)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st) == -1 || (size_t)st.st_size < sizeof(struct shared))
		return err_set(err, ERR_PERMANENT,
		    "the keys of session tickets are not what they should be");
	map = mmap(NULL, sizeof(struct shared), PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, "cannot map the keys of session tickets");
	seen = map;
	return 0;
}

bool
tickets_get(unsigned i, struct ticket_key *out)
{
	for (int tries = 0; seen != NULL && tries < TRIES; tries++) {
		uint32_t turn = seen->turn;
		bool there = i < seen->n && i < TICKETS_KEYS;

		if (turn % 2 != 0)
			continue;
		if (there)
			memcpy(out, &seen->key[i], sizeof(*out));
		atomic_thread_fence(memory_order_acquire);
		if (seen->turn == turn)
			return there;
	}
	return false;
}
