/* queue_flow - from a committed message to what became of each of its recipients
 *
 * Every change of state that must survive goes to the writer first and is shown (event, next step)
 * when it is committed; an outcome whose commit failed is written again by the writer until it
 * stands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/qid.h"
#include "delivery/queue_clock.h"
#include "delivery/queue_dest.h"
#include "delivery/queue_report.h"

#define WAKE_AT_ONCE 5000 /* entries woken in one go: the loop must turn */
#define REASON_MAX 1000

struct step { /* one change of a recipient, on its way to disk */
	struct op op;
	struct entry *e;
	enum { STEP_END, STEP_WAIT, STEP_HOLD } what;
	bool last;  /* the message ends with it */
	bool holds; /* a use of the content, for the event's sake */
	struct queue_progress p;
	enum trace_event event;
	char to[ADDRESS_MAX + 1];
	char text[];
};

/* -- texts */

void
outcome_text(const struct outcome *o, char *out, size_t size)
{
	char code[16] = "";

	if (o->code != 0)
		snprintf(code, sizeof(code), "%u ", o->code);
	snprintf(out, size, "%s%s%s%s%s%s", o->host,
	    o->host[0] == '\0' ? ""
	    : o->code != 0     ? " said: "
			       : ": ",
	    code, o->enhanced, o->enhanced[0] != '\0' ? " " : "", o->text);
}

/* "5.1.1 text": the code goes to `enhanced`. */
static const char *
take_enhanced(const char *at, char enhanced[static 12])
{
	size_t len = strspn(at, "0123456789.");

	if (len < 5 || len > 11 || at[1] != '.' || at[len] != ' ')
		return at;
	memcpy(enhanced, at, len);
	enhanced[len] = '\0';
	return at + len + 1;
}

void
reason_read(const char *line, struct reason *out)
{
	const char *said = strstr(line, " said: "), *colon = strstr(line, ": ");
	size_t host = 0;

	memset(out, 0, sizeof(*out));
	if (said != NULL && said < colon) {
		host = (size_t)(said - line);
		out->o.code = (unsigned)strtoul(said + 7, NULL, 10);
		said += 7 + strspn(said + 7, "0123456789");
		said += *said == ' ';
	} else if (colon != NULL && memchr(line, ' ', (size_t)(colon - line)) == NULL) {
		host = (size_t)(colon - line);
		said = colon + 2;
	} else {
		said = line;
	}
	snprintf(out->host, sizeof(out->host), "%.*s", (int)host, line);
	said = take_enhanced(said, out->enhanced);
	snprintf(out->text, sizeof(out->text), "%s", said);
	out->o.host = out->host;
	out->o.enhanced = out->enhanced;
	out->o.text = out->text;
}

static void
entry_note(const struct entry *e, enum trace_event event, const char *to, const char *text)
{
	const struct envelope *env = e->item->content != NULL ? &e->item->content->c.e : NULL;
	struct event_note note = { .qid = e->item->qid, .event = event, .text = text, .to = to };

	if (env != NULL) {
		note.from = env->from;
		note.msgid = env->msgid;
	}
	role_event(&note);
}

/* -- the end of a recipient, and of its message */

void
flow_ended(struct entry *e)
{
	struct item *it = e->item;

	free(e->file);
	e->file = NULL;
	due_clear(queue.index, e);
	index_done(queue.index, e);
	flow_over(it);
}

void
flow_over(struct item *it)
{
	if (it->alive > 0 || it->users > 0 || it->load != NULL)
		return;
	local_forget(it);
	content_drop(it);
	index_remove(queue.index, it);
}

/* Its row cannot be written: keep it out of harm's way; after a restart it is tried again. */
static void
step_damaged(struct step *s, const struct err *err)
{
	char id[QID_TEXT];

	qid_text(s->e->item->qid, id);
	log_error(
	    "%s: its record in queue.db cannot be changed, it is set aside: %s", id, err->text);
	if (s->what == STEP_END)
		s->e->item->left++;
	s->e->state = ENTRY_HELD;
	s->e->why = WHY_ROW_DAMAGED;
	queue.held++;
}

static void
step_release(struct step *s)
{
	if (s->holds)
		content_release(s->e->item);
	s->holds = false;
}

static void
step_count(const struct step *s)
{
	switch (s->event) {
	case EVENT_DELIVERED:
		queue.delivered++;
		break;
	case EVENT_RELAYED:
		queue.relayed++;
		break;
	case EVENT_BOUNCED:
		queue.bounced++;
		break;
	case EVENT_DEFERRED:
		queue.deferred++;
		break;
	default:
		break;
	}
}

static void
step_done(struct op *op, const struct err *err)
{
	struct step *s = (struct step *)op;
	struct entry *e = s->e;

	if (err != NULL) {
		step_release(s);
		step_damaged(s, err);
		free(s);
		return;
	}
	step_count(s);
	entry_note(e, s->event, s->to, s->text);
	step_release(s);
	switch (s->what) {
	case STEP_END:
		flow_ended(e);
		break;
	case STEP_WAIT:
		e->state = e->file != NULL ? ENTRY_STAGED : ENTRY_WAITING;
		due_set(queue.index, e, s->p.next);
		break;
	case STEP_HOLD:
		e->state = ENTRY_HELD;
		queue.held++;
		break;
	}
	free(s);
}

static int
step_run(struct op *op, struct queue_store *store, struct err *err)
{
	struct step *s = (struct step *)op;

	if (s->what == STEP_END)
		return queue_store_done(store, op->qid, s->e->n, s->last, err);
	return queue_store_progress(store, op->qid, s->e->n, &s->p, err);
}

/* NULL when memory is gone: then the entry stays as it was, and a restart finds it so. */
static struct step *
step_new(struct entry *e, int what, enum trace_event event, const char *text)
{
	size_t len = strnlen(text, REASON_MAX);
	struct step *s = calloc(1, sizeof(*s) + len + 1);
	const struct rcpt *r = content_rcpt(e->item, e->n);

	if (s == NULL) {
		log_error("out of memory: a recipient rests until the next start");
		e->state = ENTRY_HELD;
		e->why = WHY_NO_MEMORY;
		queue.held++;
		return NULL;
	}
	s->op =
	    (struct op){ .kind = OP_WORK, .qid = e->item->qid, .run = step_run, .done = step_done };
	s->e = e;
	s->what = what;
	s->event = event;
	memcpy(s->text, text, len);
	if (r != NULL)
		snprintf(s->to, sizeof(s->to), "%s", r->address);
	if (e->item->content != NULL) {
		s->holds = true;
		e->item->users++;
	}
	s->p = (struct queue_progress){ .state = e->file != NULL ? QUEUE_STAGED : QUEUE_WAITING,
		.attempts = e->attempts,
		.warned = e->warned,
		.next = e->due,
		.reason = s->text };
	return s;
}

void
flow_done(struct entry *e, enum trace_event event, const char *text)
{
	struct step *s = step_new(e, STEP_END, event, text);

	if (s == NULL)
		return;
	e->state = ENTRY_SETTLING;
	s->last = --e->item->left == 0;
	s->op.unlink = s->last && (e->item->flags & ENVELOPE_SPOOLED) != 0;
	writer_submit(queue.writer, &s->op);
}

void
flow_hold(struct entry *e, const char *reason)
{
	struct step *s = step_new(e, STEP_HOLD, EVENT_HELD, reason);

	if (s == NULL)
		return;
	e->state = ENTRY_SETTLING;
	s->p.state = QUEUE_HELD;
	writer_submit(queue.writer, &s->op);
}

/* -- failures */

void
flow_fail(struct entry *e, const struct outcome *o, struct report **failed)
{
	report_failed(failed, e, o);
}

bool
flow_is_late(const struct entry *e, int64_t now)
{
	int64_t after = queue_schedule(e->dest).warn_after;

	return !e->warned && !e->item->warning && after > 0 &&
	       (e->item->flags & ENVELOPE_SUBMITTED) != 0 &&
	       now >= queue_clock_created(e->item->qid) + after * 1000;
}

void
flow_defer(struct entry *e, const struct outcome *o, struct report **failed)
{
	struct schedule sched = queue_schedule(e->dest);
	int64_t now = clock_now(), created = queue_clock_created(e->item->qid);
	char said[REASON_MAX], text[REASON_MAX + 200], span[40];
	struct step *s;

	outcome_text(o, said, sizeof(said));
	if (e->file == NULL && schedule_over(&sched, created, now)) {
		schedule_span(sched.lifetime, span);
		snprintf(text, sizeof(text), "given up after %s; the last attempt said: %s", span,
		    o->text);
		flow_fail(e, &(struct outcome){ o->host, o->code, "5.4.7", text }, failed);
		return;
	}
	if (e->attempts < UINT16_MAX)
		e->attempts++;
	e->restage = true;
	e->due = schedule_next(&sched, created, e->attempts, now, queue_dice());
	s = step_new(e, STEP_WAIT, EVENT_DEFERRED, said);
	if (s == NULL)
		return;
	e->state = ENTRY_SETTLING;
	writer_submit(queue.writer, &s->op);
	if (flow_is_late(e, now)) /* behind that step: it reads what the step writes */
		flow_warn(e->item);
}

/* -- going on */

void
flow_ready(struct entry *e)
{
	if (e->state == ENTRY_STAGED) {
		local_publish(e);
		return;
	}
	if (e->state == ENTRY_OWED) {
		owed_ready(e);
		return;
	}
	e->state = ENTRY_READY;
	if (e->dest != NULL)
		dest_ready(e);
	else
		local_ready(e->item);
}

void
flow_begin(struct item *it)
{
	int64_t now = clock_now();

	for (uint32_t i = 0; i < it->n; i++) {
		struct entry *e = &it->entries[i];

		if (e->state == ENTRY_HELD || e->state == ENTRY_DONE)
			continue;
		if (e->state == ENTRY_NEW)
			e->state = e->file != NULL ? ENTRY_STAGED : ENTRY_WAITING;
		if (e->due > now || e->state == ENTRY_OWED) /* those go together, when all are here */
			due_set(queue.index, e, e->due);
		else
			flow_ready(e);
	}
}

void
flow_wake(int64_t now)
{
	struct entry *e;

	for (int i = 0; i < WAKE_AT_ONCE; i++) {
		e = due_first(queue.index);
		if (e == NULL || e->due > now)
			return;
		due_clear(queue.index, e);
		flow_ready(e);
	}
}

void
flow_pump(void)
{
	if (queue.stopping)
		return;
	local_pump();
	remote_pump();
}

/* -- the administrator's hand */

bool
flow_pull(struct entry *e)
{
	switch (e->state) {
	case ENTRY_WAITING:
		due_clear(queue.index, e);
		return true;
	case ENTRY_READY:
		if (e->dest != NULL)
			dest_pull(e);
		return true;
	case ENTRY_HELD:
		queue.held--;
		e->why = WHY_IN_ROW;
		return true;
	default:
		return false;
	}
}

void
flow_go_on(struct entry *e, bool now)
{
	struct step *s =
	    step_new(e, STEP_WAIT, EVENT_DEFERRED, "tried again at the administrator's wish");

	if (s == NULL)
		return;
	e->state = ENTRY_SETTLING;
	local_set_crashes(e->item, 0);
	if (now)
		s->p.next = e->due = clock_now();
	s->p.state = e->file != NULL ? QUEUE_STAGED : QUEUE_WAITING;
	writer_submit(queue.writer, &s->op);
}
