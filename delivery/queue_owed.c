/* queue_owed - reports on mail that another host has taken, while they cannot be made
 *
 * Such mail must not be sent again, and its sender must hear of it. So that it is taken is written
 * down first, with what the host said (QUEUE_OWED), before the directory is asked where the sender
 * is. While that one is away, nothing but the row remembers the report: after some seconds, or the
 * next start, it is begun anew from there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "delivery/queue_report_state.h"

#define AGAIN (2 * CLOCK_SECOND)
#define RCPTS_MAX 50    /* of one report */
#define REPORTS_MAX 500 /* in the making, before more are begun */

struct owed { /* rows on their way into a report */
	struct op op;
	struct item *item;
	size_t n;
	struct owed_rcpt {
		struct entry *e;
		char *said; /* NULL: the row is not there */
	} rcpts[RCPTS_MAX];
};

/* -- to disk */

static int
owe_run(struct op *op, struct queue_store *s, struct err *err)
{
	struct report *r = (struct report *)op;
	char said[1300];

	for (size_t i = 0; i < r->n; i++) {
		const struct told_rcpt *f = &r->rcpts[i];
		struct outcome o = { f->host, f->o.code, f->enhanced, f->text };
		struct queue_progress p = { .state = QUEUE_OWED,
			.attempts = f->e->attempts,
			.warned = f->e->warned,
			.reason = said };

		outcome_text(&o, said, sizeof(said));
		if (queue_store_progress(s, op->qid, f->e->n, &p, err) == -1)
			return -1;
	}
	return 0;
}

static void
owe_done(struct op *op, const struct err *err)
{
	struct report *r = (struct report *)op;

	if (err != NULL)
		log_error("it cannot be noted that a report is owed, it is made at once or not at all: %s",
		    err->text);
	r->owed = true;
	report_ask(r);
}

void
owed_note(struct report *r)
{
	r->op = (struct op){
		.kind = OP_WORK, .qid = r->item->qid, .run = owe_run, .done = owe_done
	};
	writer_submit(queue.writer, &r->op);
}

/* -- and back */

static void
later(struct entry *e)
{
	e->state = ENTRY_OWED;
	due_set(queue.index, e, clock_now() + AGAIN);
}

void
owed_wait(const struct report *r)
{
	for (size_t i = 0; i < r->n; i++)
		later(r->rcpts[i].e);
}

static bool
take_row(void *arg, const struct queue_row *row)
{
	struct owed *w = arg;

	for (size_t i = 0; i < w->n; i++)
		if (w->rcpts[i].e->n == row->n && row->p.state == QUEUE_OWED && w->rcpts[i].said == NULL)
			w->rcpts[i].said = strdup(row->p.reason);
	return true;
}

static int
read_run(struct op *op, struct queue_store *s, struct err *err)
{
	return queue_store_show(s, op->qid, take_row, op, err) == -1 ? -1 : 0;
}

static void
again(struct report **r, struct owed_rcpt *o, const struct err *err)
{
	struct reason why;

	if (err != NULL && err->kind != ERR_PERMANENT) {
		later(o->e);
	} else if (err != NULL || o->said == NULL) {
		flow_hold(o->e, "another server has taken it, but what is to be reported cannot be read");
	} else {
		reason_read(o->said, &why);
		report_succeeded(r, o->e, &why.o, true);
	}
	free(o->said);
}

static void
read_done(struct op *op, const struct err *err)
{
	struct owed *w = (struct owed *)op;
	struct report *r = NULL;

	for (size_t i = 0; i < w->n; i++)
		again(&r, &w->rcpts[i], err);
	if (r != NULL)
		r->owed = true;
	report_go(&r);
	free(w);
}

/* With the others of its message. */
void
owed_ready(struct entry *e)
{
	struct item *it = e->item;
	struct owed *w = NULL;

	if (role_link(ROLE_DIRECTORY) != NULL && report_in_flight() < REPORTS_MAX)
		w = calloc(1, sizeof(*w));
	if (w == NULL) {
		later(e);
		return;
	}
	w->item = it;
	w->op =
	    (struct op){ .kind = OP_READ, .qid = it->qid, .run = read_run, .done = read_done };
	for (uint32_t i = 0; i < it->n && w->n < RCPTS_MAX; i++) {
		if (it->entries[i].state != ENTRY_OWED)
			continue;
		due_clear(queue.index, &it->entries[i]);
		it->entries[i].state = ENTRY_FAILED;
		w->rcpts[w->n++].e = &it->entries[i];
	}
	writer_submit(queue.writer, &w->op);
}
