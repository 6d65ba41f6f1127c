/* spool - a long body on its way to queue, which writes the file
 *
 * 256 KiB may be on the way at first; SPOOL_CREDIT gives more. When the link itself is crowded
 * (many long bodies at once), everyone stops until a timer finds it emptier: a slow queue slows its
 * clients, never fills our memory. */
#include "smtp/spool.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/envelope.h"
#include "base/role.h"

#define FIRST_CREDIT (256 * 1024)
#define CREDIT_MAX (64 * 1024 * 1024)
#define CROWDED (LINK_QUEUE_MAX / 2)
#define BUCKETS 256
#define HELD_MAX 8 /* bytes that dot.c may have kept back and hand out with the next ones */
#define PATIENCE_MS 20

struct spool {
	struct spool *next; /* in its bucket */
	uint64_t qid;
	uint64_t link; /* serial: a new queue process knows nothing of this body */
	int64_t credit;
	void (*wake)(void *arg);
	void *arg;
	int fd;
	bool stored, stalled;
	char failed[200];
};

static struct spool *buckets[BUCKETS];
static struct event *patience;

static struct spool **
bucket_of(uint64_t qid)
{
	return &buckets[(qid ^ qid >> 14 ^ qid >> 24) % BUCKETS];
}

static struct spool *
find(uint64_t qid)
{
	struct spool *sp = *bucket_of(qid);

	while (sp != NULL && sp->qid != qid)
		sp = sp->next;
	return sp;
}

/* Whoever waits for a crowded link tries again. */
static void
on_patience(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct spool *sp = buckets[i], *next; sp != NULL; sp = next) {
			next = sp->next;
			if (sp->stalled) {
				sp->stalled = false;
				sp->wake(sp->arg); /* may end this one only */
			}
		}
	}
}

static void
stall(struct spool *sp)
{
	static const struct timeval soon = { 0, PATIENCE_MS * 1000 };

	if (patience == NULL)
		patience = evtimer_new(role_base(), on_patience, NULL);
	sp->stalled = true;
	if (patience != NULL && !evtimer_pending(patience, NULL))
		evtimer_add(patience, &soon);
}

static int
fail(struct spool *sp, const char *why)
{
	if (sp->failed[0] == '\0')
		slice_copy(slice_of(why[0] != '\0' ? why : "the message cannot be stored"),
		    sp->failed, sizeof(sp->failed));
	return -1;
}

struct spool *
spool_new(uint64_t qid, void (*wake)(void *arg), void *arg)
{
	struct link *l = role_link(ROLE_QUEUE);
	struct spool *sp = l != NULL ? calloc(1, sizeof(*sp)) : NULL;

	if (sp == NULL)
		return NULL;
	sp->qid = qid;
	sp->link = link_serial(l);
	sp->credit = FIRST_CREDIT;
	sp->wake = wake;
	sp->arg = arg;
	sp->fd = -1;
	sp->next = *bucket_of(qid);
	*bucket_of(qid) = sp;
	return sp;
}

size_t
spool_room(struct spool *sp)
{
	struct link *l = link_by_serial(sp->link);

	if (l == NULL) {
		fail(sp, "the queue went away");
		return SIZE_MAX; /* read on: it only has to be swallowed */
	}
	if (sp->failed[0] != '\0')
		return SIZE_MAX;
	if (link_backlog(l) > CROWDED) {
		stall(sp);
		return 0;
	}
	return sp->credit > HELD_MAX ? (size_t)(sp->credit - HELD_MAX) : 0;
}

int
spool_write(struct spool *sp, struct slice bytes)
{
	struct link *l = link_by_serial(sp->link);

	while (bytes.len > 0 && sp->failed[0] == '\0') {
		struct slice part = slice_first(bytes, BODY_IN_FRAME_MAX);
		struct buf *b = frame_begin(MSG_SPOOL_DATA, 0);

		wire_put_u64(b, sp->qid);
		wire_put_bytes(b, part);
		if (link_send(l, -1) == -1)
			return fail(sp, "the queue does not keep up");
		sp->credit -= (int64_t)part.len;
		bytes = slice_skip(bytes, part.len);
	}
	return sp->failed[0] == '\0' ? 0 : -1;
}

const char *
spool_failed(const struct spool *sp)
{
	return sp->failed[0] != '\0' ? sp->failed : NULL;
}

uint64_t
spool_end(struct spool *sp, uint64_t size, answer_fn *fn, void *arg)
{
	struct buf *b = request_begin(MSG_SPOOL_END);

	wire_put_u64(b, sp->qid);
	wire_put_u64(b, size);
	return link_request(link_by_serial(sp->link), -1, fn, arg);
}

void
spool_set_fd(struct spool *sp, int fd)
{
	if (sp->fd >= 0)
		close(sp->fd);
	sp->fd = fd;
}

int
spool_fd(const struct spool *sp)
{
	return sp->fd;
}

void
spool_stored(struct spool *sp)
{
	sp->stored = true;
}

void
spool_free(struct spool **spp)
{
	struct spool *sp = *spp;

	*spp = NULL;
	if (sp == NULL)
		return;
	if (!sp->stored) {
		wire_put_u64(frame_begin(MSG_SPOOL_DROP, 0), sp->qid);
		link_send(link_by_serial(sp->link), -1);
	}
	for (struct spool **at = bucket_of(sp->qid); *at != NULL; at = &(*at)->next) {
		if (*at == sp) {
			*at = sp->next;
			break;
		}
	}
	if (sp->fd >= 0)
		close(sp->fd);
	free(sp);
}

void
spool_on_credit(struct frame *f)
{
	struct spool *sp = find(wire_u64(&f->in));
	uint64_t more = wire_u64(&f->in);

	if (sp == NULL || sp->link != link_serial(f->link))
		return;
	if (more == 0)
		wire_text_to(&f->in, sp->failed, sizeof(sp->failed));
	if (more == 0)
		fail(sp, "");
	if (more <= CREDIT_MAX && sp->credit <= CREDIT_MAX)
		sp->credit += (int64_t)more;
	sp->wake(sp->arg);
}
