/* queue_report_commit - a report becomes a message of the queue, by the commit that ends the recipients it speaks of
 *
 * Whatever is missing for that (memory, room) makes it wait; nothing of it has happened yet then. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/qid.h"
#include "delivery/queue_report_state.h"
#include "storage/spool.h"

static int
report_run(struct op *op, struct queue_store *s, struct err *err)
{
	struct report *r = (struct report *)op;

	for (size_t i = 0; i < r->n; i++) {
		const struct told_rcpt *f = &r->rcpts[i];

		if (f->e != NULL &&
		    queue_store_done(s, f->e->item->qid, f->e->n, f->last, err) == -1)
			return -1;
	}
	if (r->kind == BOUNCE_DELAYED && queue_store_warned(s, op->qid, err) == -1)
		return -1;
	return queue_store_put(s, &r->content->c.e, clock_now(), err);
}

static void
report_event(const struct report *r, const struct told_rcpt *f)
{
	struct outcome o = { f->host, f->o.code, f->enhanced, f->text };
	char said[1300], text[1800], report_id[QID_TEXT];

	qid_text(r->id, report_id);
	outcome_text(&o, said, sizeof(said));
	snprintf(text, sizeof(text), "%s (report to %s: %s)", said, r->sender, report_id);
	role_event(&(struct event_note){ .qid = r->item->qid,
	    .event = report_events[r->kind],
	    .text = text,
	    .from = r->sender,
	    .to = f->to });
	queue.bounced += r->kind == BOUNCE_FAILED;
	queue.delivered += r->kind == BOUNCE_DELIVERED;
	queue.relayed += r->kind == BOUNCE_RELAYED;
}

static void
accepted_event(const struct report *r)
{
	const struct envelope *e = &r->content->c.e;
	char text[120];

	snprintf(text, sizeof(text), "%llu bytes, a report on %s mail", (unsigned long long)e->size,
	    r->kind == BOUNCE_DELIVERED || r->kind == BOUNCE_RELAYED ? "delivered" : "undelivered");
	role_event(&(struct event_note){ .qid = e->qid,
	    .event = EVENT_ACCEPTED,
	    .text = text,
	    .to = e->n_rcpts > 0 ? e->rcpts[0].address : "",
	    .msgid = e->msgid });
}

static void
report_done(struct op *op, const struct err *err)
{
	struct report *r = (struct report *)op;
	struct item *it = r->item;

	if (err != NULL) {
		log_error("a report cannot be written, its mail is set aside: %s", err->text);
		for (size_t i = 0; i < r->n; i++) {
			if (r->rcpts[i].e != NULL) {
				r->rcpts[i].e->state = ENTRY_HELD;
				it->left++;
				queue.held++;
			}
		}
		it->warning = false;
		index_remove(queue.index, r->message);
		content_free(&r->content);
		content_release(it);
		report_over(r);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		report_event(r, &r->rcpts[i]);
	accepted_event(r);
	content_keep(r->message, r->content);
	flow_begin(r->message);
	content_release(it);
	for (size_t i = 0; i < r->n; i++)
		if (r->rcpts[i].e != NULL)
			flow_ended(r->rcpts[i].e);
	report_over(r);
}

static int
make_message(struct report *r, struct pool *pool, struct rcpt *rcpts, size_t n)
{
	struct queue_content qc = { .pool = pool };
	struct envelope *e = &qc.e;
	char id[QID_TEXT];

	if (r->file_size == 0)
		r->id = qid_new();
	qid_text(r->id, id);
	e->qid = r->id;
	e->from = e->ip = e->envid = "";
	e->msgid = pool_printf(pool, "<%s@%s>", id, role_conf()->hostname);
	e->rcpts = rcpts;
	e->n_rcpts = n;
	if (r->file_size == 0)
		e->body = report_body(r, pool);
	else
		e->body = SLICE("");
	e->size = r->file_size > 0 ? r->file_size : e->body.len;
	e->flags = r->flags | (r->file_size > 0 ? ENVELOPE_SPOOLED : 0);
	if (e->body.at == NULL || e->msgid == NULL) {
		pool_free(&qc.pool);
		return -1;
	}
	r->content = content_new(&qc, r->file_size > 0 ? r->file : -1);
	r->file = -1;
	if (r->content == NULL)
		return -1;
	r->message = index_add(queue.index, e->qid, (uint16_t)e->flags, e->size, (uint32_t)n);
	if (r->message == NULL) {
		content_free(&r->content);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (rcpts[i].kind != RCPT_REMOTE ||
		    index_set_dest(
			queue.index, &r->message->entries[i], slice_of(rcpts[i].address)) == 0)
			continue;
		index_remove(queue.index, r->message);
		content_free(&r->content);
		return -1;
	}
	return 0;
}

/* Once it is in the message, or for nothing. */
static void
file_over(struct report *r, bool remove)
{
	if (r->file_size == 0)
		return;
	if (r->file != -1)
		close(r->file);
	if (remove)
		spool_remove(queue.spool_dir, r->id);
	r->file_size = 0;
	r->full_tried = false;
}

void
report_write(struct report *r, struct pool *pool, struct rcpt *rcpts, size_t n)
{
	if (!r->full_tried) {
		r->full_tried = true;
		if (report_needs_file(r) && report_full_begin(r, pool, rcpts, n))
			return;
	}
	if (make_message(r, pool, rcpts, n) == -1) {
		file_over(r, true);
		report_wait(r);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		if (r->rcpts[i].e != NULL)
			r->rcpts[i].last = --r->item->left == 0;
	for (uint32_t i = 0; r->kind == BOUNCE_DELAYED && i < r->item->n; i++)
		r->item->entries[i].warned = true; /* what is written after this says so too */
	r->op.kind = OP_WORK;
	r->op.qid = r->item->qid;
	file_over(r, false);
	r->op.bytes = r->content->c.e.body.len;
	r->op.run = report_run;
	r->op.done = report_done;
	r->op.unlink = (r->item->flags & ENVELOPE_SPOOLED) != 0 && r->item->left == 0 &&
		       r->kind != BOUNCE_DELAYED;
	writer_submit(queue.writer, &r->op);
}
