/* link_ask - requests over a link, and their answers
 *
 * Who waits stands in a ring by request id: ids are given in order, so the slot of the next one is
 * free unless a slow answer still holds it. The ring doubles up to ANSWERS_MAX; a link with so many
 * unanswered requests takes no more.
 *
 * A token names link and request, so that an asker that goes away can be forgotten even when the
 * link went first; a struct reply_to does the same for an answer that is given later. */
#include "base/link_state.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX 65536	/* requests that wait for an answer, a link */

struct answer {			/* a request that waits for its answer */
	answer_fn *fn;		/* NULL: free slot */
	void *arg;
	uint32_t id;
};

/* ---- the ring ---- */

static int
ring_grow(struct link *l)
{
	uint32_t n = l->n_slots > 0 ? l->n_slots * 2 : 16;
	struct answer *ring = n <= ANSWERS_MAX ? calloc(n, sizeof *ring) : NULL;

	if (ring == NULL)
		return -1;
	for (uint32_t i = 0; i < l->n_slots; i++)
		if (l->answers[i].fn != NULL)
			ring[l->answers[i].id & (n - 1)] = l->answers[i];
	free(l->answers);
	l->answers = ring;
	l->n_slots = n;
	return 0;
}

/* A free slot for the next id; a slow answer may still hold the one it falls on. */
static struct answer *
slot_take(struct link *l)
{
	for (int tries = 0; tries < 16; tries++) {
		uint32_t id = ++l->next_id;

		if (id == 0)
			id = ++l->next_id;
		if (l->pending * 2 >= l->n_slots && ring_grow(l) == -1 && l->pending >= l->n_slots)
			return NULL;
		if (l->answers[id & (l->n_slots - 1)].fn == NULL) {
			l->answers[id & (l->n_slots - 1)].id = id;
			return &l->answers[id & (l->n_slots - 1)];
		}
	}
	return ring_grow(l) == 0 ? slot_take(l) : NULL;
}

static void
slot_free(struct link *l, struct answer *a)
{
	a->fn = NULL;
	l->pending--;
}

static struct answer *
slot_find(struct link *l, uint32_t id)
{
	struct answer *a = l->n_slots > 0 ? &l->answers[id & (l->n_slots - 1)] : NULL;

	return a != NULL && a->fn != NULL && a->id == id ? a : NULL;
}

/* ---- asking ---- */

struct buf *
request_begin(enum msg type)
{
	return frame_begin(type, 0);
}

uint64_t
link_request(struct link *l, int fd, answer_fn *fn, void *arg)
{
	struct buf *begun = frame_begun();
	struct answer *a;
	uint32_t id;

	if (l == NULL || l->dead || begun->failed || (a = slot_take(l)) == NULL)
		return 0;
	id = htole32(a->id);
	memcpy(begun->at + 4, &id, 4);
	if (link_send(l, fd) == -1)
		return 0;
	a->fn = fn;
	a->arg = arg;
	l->pending++;
	return l->serial << 32 | a->id;
}

void
link_forget(uint64_t token)
{
	struct link *l = link_of_serial(token >> 32);
	struct answer *a = l != NULL ? slot_find(l, (uint32_t)token) : NULL;

	if (a != NULL)
		slot_free(l, a);
}

void
link_answer(struct link *l, struct frame *f, bool failed)
{
	struct answer *a = slot_find(l, f->id);
	answer_fn *fn;
	void *arg;

	if (a == NULL)		/* forgotten meanwhile */
		return;
	fn = a->fn;
	arg = a->arg;
	if (failed || !msg_is_partial(f->type))
		slot_free(l, a);
	fn(arg, failed ? NULL : f);
}

void
link_answer_none(struct link *l)
{
	for (uint32_t i = 0; i < l->n_slots; i++) {
		struct answer a = l->answers[i];

		if (a.fn == NULL)
			continue;
		slot_free(l, &l->answers[i]);
		a.fn(a.arg, NULL);
	}
}

/* ---- answering ---- */

struct reply_to
reply_later(const struct frame *f)
{
	return (struct reply_to){ f->link->serial, f->id };
}

struct buf *
reply_begin(struct reply_to to, enum msg type)
{
	return frame_begin(type, to.id);
}

int
reply_send(struct reply_to to, int fd)
{
	return link_send(link_by_serial(to.link_serial), fd);
}

void
frame_fail(const struct frame *f, const char *why)
{
	static struct buf own;

	frame_begin_in(&own, MSG_FAILED, f->id);
	wire_put_text(&own, why);
	link_send_buf(f->link, &own, -1);
}
