/* control_events - events of all roles, logged a line each and kept in history.db
 *
 * They gather for a second (or until half the room is used), then the keeper's thread writes them
 * in one transaction. While it writes, the next batch gathers; when that is full too, events are
 * dropped and counted. Old ones go in small portions, so that no transaction is long. */
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"

#define EVENTS_MAX 16384
#define TEXTS_MAX (8u << 20)
#define FORGET_EVERY (60 * CLOCK_SECOND)
#define FORGET_MOST 5000

struct batch {
	struct job job; /* first */
	struct pool *pool;
	struct history_event *at;
	size_t n;
	int64_t forget; /* events before this may go; 0: none now */
	int forgot;
	int rc;
	struct err err;
};

static struct batch batches[2], *filling = &batches[0];
static bool writing;
static uint64_t dropped, told;
static struct event *timer;
static int64_t next_forget;

/* -- in the keeper's thread */

static void
batch_run(struct job *job)
{
	struct batch *b = (struct batch *)job;

	b->err.kind = ERR_NONE;
	b->forgot = 0;
	b->rc = history_add(control.history, b->at, b->n, &b->err);
	if (b->rc == 0 && b->forget > 0) {
		b->forgot = history_forget(control.history, b->forget, FORGET_MOST, &b->err);
		b->rc = b->forgot == -1 ? -1 : 0;
	}
}

/* -- on the loop */

static void
batch_done(struct job *job)
{
	struct batch *b = (struct batch *)job;

	writing = false;
	if (b->rc == -1) {
		dropped += b->n;
		log_error(
		    "history.db could not be written, %zu events are lost: %s", b->n, b->err.text);
	} else if (b->forgot == FORGET_MOST) {
		next_forget = 0; /* there is more */
	}
	if (dropped > told && b->rc == 0)
		log_warning("%llu events were dropped: history.db could not be written fast enough",
		    (unsigned long long)(dropped - told));
	told = dropped;
	b->n = 0;
	pool_free(&b->pool);
	if (filling->n > EVENTS_MAX / 2)
		events_flush();
}

void
events_flush(void)
{
	struct batch *b = filling;
	int64_t now = clock_now(), mono = clock_mono();
	bool forget = role_conf()->history.keep > 0 && mono >= next_forget;

	if (writing || (b->n == 0 && !forget))
		return;
	b->forget = forget ? now - role_conf()->history.keep * 1000 : 0;
	if (forget)
		next_forget = mono + FORGET_EVERY;
	b->job = (struct job){ batch_run, batch_done, NULL };
	if (workers_submit(control.keeper, &b->job) == -1)
		return;
	writing = true;
	filling = b == &batches[0] ? &batches[1] : &batches[0];
}

static const char *
keep_text(struct batch *b, struct slice s)
{
	const char *text;

	if (s.len == 0)
		return "";
	text = pool_text(b->pool, slice_first(s, HISTORY_TEXT_MAX));
	return text != NULL ? text : "";
}

/* The next event of the frame; its texts go to the batch. */
static struct history_event
read_event(struct frame *f, struct batch *b)
{
	struct history_event e = { .role = link_peer(f->link) };

	e.time = wire_i64(&f->in);
	e.qid = wire_u64(&f->in);
	e.event = (enum trace_event)wire_u64(&f->in);
	e.text = keep_text(b, wire_bytes(&f->in));
	e.from = keep_text(b, wire_bytes(&f->in));
	e.to = keep_text(b, wire_bytes(&f->in));
	e.ip = keep_text(b, wire_bytes(&f->in));
	e.msgid = keep_text(b, wire_bytes(&f->in));
	e.user = keep_text(b, wire_bytes(&f->in));
	return e;
}

static bool
has_room(struct batch *b)
{
	if (b->pool == NULL)
		b->pool = pool_new(TEXTS_MAX);
	return b->pool != NULL && b->n < EVENTS_MAX &&
	       pool_used(b->pool) < TEXTS_MAX - 2 * FRAME_MAX;
}

void
events_take(struct frame *f)
{
	while (wire_more(&f->in) && !f->in.failed) {
		struct history_event e;

		if (!has_room(filling)) {
			events_flush();
			if (!has_room(filling)) {
				dropped++;
				return;
			}
		}
		e = read_event(f, filling);
		if ((unsigned)e.event >= EVENT_COUNT)
			continue;
		filling->at[filling->n++] = e;
		logger_event(&e, link_peer_number(f->link));
	}
	if (filling->n > EVENTS_MAX / 2)
		events_flush();
}

uint64_t
events_dropped(void)
{
	return dropped;
}

bool
events_pending(void)
{
	return writing || filling->n > 0;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	events_flush();
}

int
events_start(struct err *err)
{
	static const struct timeval often = { 1, 0 };

	batches[0].at = calloc(EVENTS_MAX, sizeof(*batches[0].at));
	batches[1].at = calloc(EVENTS_MAX, sizeof(*batches[1].at));
	timer = event_new(role_base(), -1, EV_PERSIST, on_timer, NULL);
	if (batches[0].at == NULL || batches[1].at == NULL || timer == NULL ||
	    event_add(timer, &often) == -1)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	return 0;
}
