/* queue_warn - the one report that tells a sender that his mail is late
 *
 * The first recipient that is late speaks for all of the message that still wait: why each does stands in its row, so the
 * rows are read first. That he was told is committed together with the report (queue_report.c), for all recipients at once:
 * a message is late once, whatever number of recipients, attempts and restarts follow. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/qid.h"
#include "delivery/queue_report.h"

#define ROWS_MAX 500

struct late {
	struct op op; /* op.qid: the message's */
	struct {
		unsigned n;
		char *reason;
	} rows[ROWS_MAX];
	size_t n;
};

static bool
keep_row(void *arg, const struct queue_row *row)
{
	struct late *l = arg;
	char *reason = row->p.state == QUEUE_WAITING ? strdup(row->p.reason) : NULL;

	if (reason != NULL) {
		l->rows[l->n].n = row->n;
		l->rows[l->n++].reason = reason;
	}
	return l->n < ROWS_MAX;
}

static int
late_run(struct op *op, struct queue_store *s, struct err *err)
{
	return queue_store_show(s, op->qid, keep_row, (struct late *)op, err) == -1 ? -1 : 0;
}

static bool
still_waits(const struct entry *e)
{
	return e->state == ENTRY_WAITING || e->state == ENTRY_READY || e->state == ENTRY_SENDING;
}

static void
add_row(struct report **r, struct item *it, unsigned n, const char *reason)
{
	struct schedule s;
	struct reason why;

	for (uint32_t i = 0; i < it->n; i++) {
		struct entry *e = &it->entries[i];

		if (e->n != n || !still_waits(e))
			continue;
		s = queue_schedule(e->dest);
		if (reason[0] == '\0' && e->dest != NULL && e->dest->said != NULL)
			reason = e->dest->said;
		reason_read(reason[0] != '\0' ? reason : "it waits for its turn", &why);
		report_delayed(r, e, &why.o, qid_time(it->qid) + s.lifetime * 1000);
	}
}

static void
late_done(struct op *op, const struct err *err)
{
	struct late *l = (struct late *)op;
	struct item *it = index_find(queue.index, op->qid);
	struct report *r = NULL;

	for (size_t i = 0; i < l->n; i++) {
		if (it != NULL && err == NULL)
			add_row(&r, it, l->rows[i].n, l->rows[i].reason);
		free(l->rows[i].reason);
	}
	if (it != NULL && r == NULL)
		it->warning = false; /* nobody waits any more, or another time */
	report_go(&r);
	free(l);
}

void
flow_warn(struct item *it)
{
	struct late *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return;
	it->warning = true;
	l->op = (struct op){ .kind = OP_READ, .qid = it->qid, .run = late_run, .done = late_done };
	writer_submit(queue.writer, &l->op);
}
