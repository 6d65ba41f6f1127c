/* mda_usage - see mda_usage.h
 *
 * Counting the files of a large mailbox takes long: a thread of its own does it, for all that were asked about
 * by then. */
#include "delivery/mda_usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delivery/mda_batch.h"
#include "storage/quota.h"

#define WAIT_USAGE 4096

struct usage {
	struct usage *next;
	struct reply_to to;
	uint64_t limit;
	struct maildir_size size;
	bool known;
	char home[512];
};

static struct {
	struct job job; /* first */
	struct usage *head, **tail, *taken;
	unsigned n; /* that wait */
	bool running;
	int root;
	void (*wake)(void);
} usage;

static void
usage_one(struct usage *u)
{
	char path[MAILDIR_PATH];
	int fd;

	strcpy(path, u->home);
	strcat(path, "/Maildir");
	fd = maildir_open(usage.root, path, O_RDONLY | O_DIRECTORY);
	if (fd == -1) {
		u->known = errno == ENOENT;
		return;
	}
	u->known = quota_usage(fd, u->limit, &u->size, NULL) == 0;
	if (u->limit > 0)
		batch_quota_made();
	close(fd);
}

static void
usage_run(struct job *job)
{
	(void)job;
	for (struct usage *u = usage.taken; u != NULL; u = u->next)
		usage_one(u);
}

static void
usage_answer(struct reply_to to, bool known, const struct maildir_size *size)
{
	struct buf *out = reply_begin(to, MSG_MDA_USAGE_IS);

	if (out == NULL)
		return;
	wire_put_u64(out, known);
	wire_put_u64(out, size->bytes);
	wire_put_u64(out, size->messages);
	reply_send(to, -1);
}

static void
usage_done(struct job *job)
{
	struct usage *next;

	(void)job;
	for (struct usage *u = usage.taken; u != NULL; u = next) {
		next = u->next;
		usage_answer(u->to, u->known, &u->size);
		free(u);
	}
	usage.taken = NULL;
	usage.running = false;
	usage.wake();
}

void
usage_open(int root, void (*wake)(void))
{
	usage.root = root;
	usage.wake = wake;
	usage.tail = &usage.head;
	usage.job = (struct job){ .run = usage_run, .done = usage_done };
}

void
usage_start(struct workers *workers)
{
	if (usage.running || usage.head == NULL)
		return;
	usage.taken = usage.head;
	usage.head = NULL;
	usage.tail = &usage.head;
	usage.n = 0;
	usage.running = workers_submit(workers, &usage.job) == 0;
}

void
usage_ask(struct frame *f)
{
	struct usage *u = usage.n < WAIT_USAGE ? calloc(1, sizeof(*u)) : NULL;
	static const struct maildir_size none;
	struct slice home = wire_bytes(&f->in);

	if (u == NULL || !maildir_home_ok(home) || !slice_copy(home, u->home, sizeof(u->home))) {
		usage_answer(reply_later(f), false, &none);
		free(u);
		return;
	}
	u->limit = wire_u64(&f->in);
	u->to = reply_later(f);
	*usage.tail = u;
	usage.tail = &u->next;
	usage.n++;
}
