/* control_reports - reports of other servers (DMARC, TLS) that `filter` has read, kept in history.db
 *
 * Each part of a report is a job of the keeper's thread and is answered when it is kept: filter sends
 * the next one only then, so that no report fills the keeper's queue. */
#include <stdlib.h>

#include "admin/control.h"
#include "base/clock.h"
#include "storage/history_received.h"

struct take {
	struct job job; /* first */
	struct pool *pool;
	struct report report;
	struct report_part part;
	struct received_bad bad;
	struct reply_to to;
	int rc;
	struct err err;
};

static void
answer(struct reply_to to, const char *why_not)
{
	struct buf *b = reply_begin(to, MSG_REPORT_IS);

	wire_put_u64(b, why_not == NULL);
	wire_put_text(b, why_not == NULL ? "" : why_not);
	reply_send(to, -1);
}

static void
take_done(struct job *job)
{
	struct take *t = (struct take *)job;

	answer(t->to, t->rc == 0 ? NULL : t->err.text);
	pool_free(&t->pool);
	free(t);
}

static struct take *
take_new(struct frame *f)
{
	struct take *t = calloc(1, sizeof(*t));

	if (t != NULL && (t->pool = pool_new(8 * FRAME_MAX)) != NULL) {
		t->to = reply_later(f);
		return t;
	}
	free(t);
	answer(reply_later(f), "out of memory");
	return NULL;
}

static void
take_start(struct take *t, void (*run)(struct job *), bool good)
{
	t->job = (struct job){ run, take_done, NULL };
	if (good && workers_submit(control.keeper, &t->job) == 0)
		return;
	t->rc = err_set(&t->err, ERR_TEMPORARY,
	    good ? "history.db has too much to do" : "it does not hold together");
	take_done(&t->job);
}

static void
add_run(struct job *job)
{
	struct take *t = (struct take *)job;

	t->rc = received_add(control.history, &t->report, &t->part, clock_now(), &t->err);
}

void
reports_take(struct frame *f)
{
	struct take *t = take_new(f);

	if (t != NULL)
		take_start(t, add_run, report_get(&f->in, t->pool, &t->report, &t->part) == 0);
}

static void
add_bad_run(struct job *job)
{
	struct take *t = (struct take *)job;

	t->rc = received_add_bad(control.history, &t->bad, clock_now(), &t->err);
}

void
reports_take_bad(struct frame *f)
{
	struct take *t = take_new(f);

	if (t == NULL)
		return;
	t->bad.kind = (enum report_kind)wire_u64(&f->in);
	t->bad.qid = wire_u64(&f->in);
	t->bad.sender = wire_text(&f->in, t->pool);
	t->bad.domain = wire_text(&f->in, t->pool);
	t->bad.file = wire_text(&f->in, t->pool);
	t->bad.why = wire_text(&f->in, t->pool);
	take_start(t, add_bad_run, wire_end(&f->in) == 0 && t->bad.kind < REPORT_KINDS);
}
