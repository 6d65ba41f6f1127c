/* queue_report - tell a sender what became of his mail, as far as he wants to know (RFC 3461 5)
 *
 * collecting -> reading the mail -> asking the directory where the sender is -> writing ->
 * committed
 *
 * Nobody is answered who did not ask to be: not <>, not junk. A report of ours that nobody takes, or
 * whose addressee is gone, goes to the postmaster; one to the postmaster ends there. When the
 * directory is away the report waits, and its recipients with it; after a restart the failed ones
 * are simply tried once more, and delivered ones are found delivered. What another host has taken
 * must not be sent again: that the report is owed is on disk first (queue_owed.c). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/queue_report_state.h"

#define RCPTS_MAX 2000

static struct report *waiting;
static unsigned under_way; /* that do not wait */

/* -- collecting */

static struct told_rcpt *
report_add(struct report **rp, struct entry *e, enum bounce_kind kind, const struct outcome *o)
{
	struct report *r = *rp;
	struct told_rcpt *f;

	if (r != NULL && r->n == RCPTS_MAX) {
		report_go(rp); /* another one speaks of the rest */
		r = NULL;
	}
	if (r == NULL) {
		r = calloc(1, sizeof(*r));
		if (r == NULL)
			return NULL;
		r->item = e->item;
		r->kind = kind;
		*rp = r;
	}
	if (r->n == r->size) {
		size_t size = r->size > 0 ? r->size * 2 : 1;

		f = realloc(r->rcpts, size * sizeof(*f));
		if (f == NULL)
			return NULL;
		r->rcpts = f;
		r->size = size;
	}
	f = &r->rcpts[r->n++];
	memset(f, 0, sizeof(*f));
	f->n = e->n;
	snprintf(f->host, sizeof(f->host), "%s", o->host);
	snprintf(f->enhanced, sizeof(f->enhanced), "%s", o->enhanced);
	snprintf(f->text, sizeof(f->text), "%s", o->text);
	f->o.code = o->code;
	return f;
}

void
report_failed(struct report **r, struct entry *e, const struct outcome *o)
{
	struct told_rcpt *f = report_add(r, e, BOUNCE_FAILED, o);

	if (f == NULL) {
		flow_hold(e, "it failed, and there was no memory to report it");
		return;
	}
	f->e = e;
	e->state = ENTRY_FAILED;
}

static void
name_rcpt(const struct report *r, struct told_rcpt *f)
{
	const struct rcpt *rc = content_rcpt(r->item, f->n);

	if (rc == NULL)
		return;
	snprintf(f->to, sizeof(f->to), "%s", rc->address);
	snprintf(f->original, sizeof(f->original), "%s", rc->original);
}

void
report_delayed(struct report **rp, struct entry *e, const struct outcome *o, int64_t until)
{
	struct told_rcpt *f = report_add(rp, e, BOUNCE_DELAYED, o);

	if (f == NULL)
		return;
	if ((*rp)->until == 0 || until < (*rp)->until)
		(*rp)->until = until;
}

void
report_succeeded(struct report **r, struct entry *e, const struct outcome *o, bool relayed)
{
	struct told_rcpt *f = report_add(r, e, relayed ? BOUNCE_RELAYED : BOUNCE_DELIVERED, o);

	if (f == NULL) {
		flow_done(e, relayed ? EVENT_RELAYED : EVENT_DELIVERED, o->text);
		return;
	}
	f->e = e;
	e->state = ENTRY_FAILED;
}

/* -- its end */

void
report_over(struct report *r)
{
	under_way--;
	free(r->sender);
	free(r->rcpts);
	free(r);
}

void
report_wait(struct report *r)
{
	if (r->kind == BOUNCE_RELAYED && r->owed) {
		owed_wait(r);
		content_release(r->item);
		report_over(r);
		return;
	}
	under_way--;
	r->next = waiting;
	waiting = r;
}

/* -- the end without a report */

const enum trace_event report_events[] = {
	[BOUNCE_FAILED] = EVENT_BOUNCED,
	[BOUNCE_DELAYED] = EVENT_DEFERRED,
	[BOUNCE_DELIVERED] = EVENT_DELIVERED,
	[BOUNCE_RELAYED] = EVENT_RELAYED,
};

static void
rcpt_silently(const struct report *r, const struct told_rcpt *f, const char *why_not)
{
	struct outcome o = { f->host, f->o.code, f->enhanced, f->text };
	char said[1200], text[1400];

	if (f->e == NULL)
		return;
	outcome_text(&o, said, sizeof(said));
	snprintf(text, sizeof(text), "%s (no report is sent: %s)", said, why_not);
	flow_done(f->e, report_events[r->kind], text);
}

static void
end_silently(struct report *r)
{
	for (size_t i = 0; i < r->n; i++)
		rcpt_silently(r, &r->rcpts[i], r->why_not);
	content_release(r->item);
	report_over(r);
}

static void
silence(struct report *r, const char *why)
{
	snprintf(r->why_not, sizeof(r->why_not), "%s", why);
	end_silently(r);
}

static bool
is_unwanted(const struct report *r, const struct told_rcpt *f)
{
	const struct rcpt *rc = content_rcpt(r->item, f->n);

	if (rc == NULL || rc->notify == 0 || (r->item->flags & ENVELOPE_REPORT) != 0)
		return false;
	return (r->kind == BOUNCE_FAILED && (rc->notify & NOTIFY_FAILURE) == 0) ||
	       (r->kind == BOUNCE_DELAYED && (rc->notify & NOTIFY_DELAY) == 0);
}

/* Recipients of whose failure the sender does not want to hear end now. */
static void
leave_out_unwanted(struct report *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n; i++) {
		if (is_unwanted(r, &r->rcpts[i]))
			rcpt_silently(r, &r->rcpts[i], "the sender asked for none");
		else
			r->rcpts[kept++] = r->rcpts[i];
	}
	r->n = kept;
}

/* Why nobody is told; NULL: somebody is. */
static const char *
reason_for_silence(const struct item *it, const struct envelope *e)
{
	if ((it->flags & ENVELOPE_DOUBLE) != 0)
		return "it is a report to the postmaster itself";
	if ((it->flags & ENVELOPE_REPORT) != 0)
		return NULL;
	if (e->from[0] == '\0')
		return "the sender is empty";
	if ((it->flags & ENVELOPE_JUNK) != 0)
		return "it is junk, its sender is probably forged";
	return NULL;
}

/* -- asking the directory */

static size_t
read_rcpts(struct frame *f, struct pool *pool, struct rcpt *rcpts, size_t most)
{
	size_t n = 0;

	while (wire_more(&f->in) && n < most) {
		rcpts[n].kind = wire_u64(&f->in) == RCPT_LOCAL ? RCPT_LOCAL : RCPT_REMOTE;
		rcpts[n].address = wire_text(&f->in, pool);
		rcpts[n].home = wire_text(&f->in, pool);
		rcpts[n].folder = wire_text(&f->in, pool);
		rcpts[n].original = wire_text(&f->in, pool);
		wire_u64(&f->in);
		rcpts[n].notify = NOTIFY_NEVER;
		rcpts[n].orcpt = "";
		n++;
	}
	return f->in.failed ? 0 : n;
}

/* The sender cannot be told: then our postmaster is. false: he was the one. */
static bool
tell_postmaster(struct report *r)
{
	char address[ADDRESS_MAX + 1], *sender;

	snprintf(address, sizeof(address), "postmaster@%.255s", role_conf()->hostname);
	sender = r->kind == BOUNCE_FAILED && !r->to_postmaster ? strdup(address) : NULL;
	if (sender == NULL)
		return false;
	free(r->sender);
	r->sender = sender;
	r->to_postmaster = true;
	return true;
}

static void
on_sender(void *arg, struct frame *f)
{
	struct report *r = arg;
	struct pool *pool = pool_new(256 * 1024);
	struct rcpt *rcpts = pool != NULL ? pool_alloc(pool, 100 * sizeof(*rcpts)) : NULL;
	enum rcpt_status status = f != NULL ? (enum rcpt_status)wire_u64(&f->in) : RCPT_TEMPORARY;
	size_t n = 0;

	if (rcpts == NULL || status == RCPT_TEMPORARY) {
		pool_free(&pool);
		report_wait(r);
		return;
	}
	wire_bytes(&f->in);
	if (status == RCPT_OK) {
		n = read_rcpts(f, pool, rcpts, 100);
	} else if (status == RCPT_NOT_OURS) {
		rcpts[0] = (struct rcpt){ RCPT_REMOTE, pool_text(pool, slice_of(r->sender)), "", "",
			pool_text(pool, slice_of(r->sender)), NOTIFY_NEVER, "" };
		n = rcpts[0].address != NULL && rcpts[0].original != NULL;
	}
	if (n == 0) {
		pool_free(&pool);
		if (tell_postmaster(r)) {
			report_ask(r);
			return;
		}
		silence(r, status == RCPT_OVER_QUOTA ? "the sender's mailbox is full"
						     : "the sender does not exist here");
		return;
	}
	report_write(r, pool, rcpts, n);
}

void
report_ask(struct report *r)
{
	wire_put_text(request_begin(MSG_DIR_RCPT), r->sender);
	if (link_request(role_link(ROLE_DIRECTORY), -1, on_sender, r) == 0)
		report_wait(r);
}

static void
read_later(struct report *r)
{
	r->unread = true;
	under_way--;
	r->next = waiting;
	waiting = r;
	content_release(r->item);
}

/* A failure that cannot be reported is not forgotten: the administrator has it. */
static void
not_read(struct report *r, const struct err *err)
{
	if (err->kind == ERR_TEMPORARY) {
		read_later(r);
		return;
	}
	for (size_t i = 0; i < r->n && r->kind == BOUNCE_FAILED; i++) {
		char text[1400];

		snprintf(text, sizeof(text), "it failed, and cannot be read for a report: %s", r->rcpts[i].text);
		flow_hold(r->rcpts[i].e, text);
		r->rcpts[i].e = NULL;
	}
	silence(r, "the mail cannot be read");
}

static void
report_ready(struct item *it, void *arg, const struct err *err)
{
	struct report *r = arg;
	const char *why;

	if (err != NULL) {
		not_read(r, err);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		name_rcpt(r, &r->rcpts[i]);
	leave_out_unwanted(r);
	why = reason_for_silence(it, &it->content->c.e);
	if (why == NULL && (it->flags & ENVELOPE_REPORT) != 0 && !tell_postmaster(r))
		why = "it is a report itself";
	else if (why == NULL && r->sender == NULL)
		r->sender = strdup(it->content->c.e.from);
	if (why != NULL || r->n == 0)
		silence(r, why != NULL ? why : "the sender asked for none");
	else if (r->sender == NULL)
		read_later(r);
	else if (r->kind == BOUNCE_RELAYED && !r->owed)
		owed_note(r);
	else
		report_ask(r);
}

void
report_go(struct report **rp)
{
	struct report *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	under_way++;
	content_want(r->item, report_ready, r);
}

void
report_when_done(struct item *it)
{
	struct report *r = it->failed;

	for (uint32_t i = 0; r != NULL && i < it->n; i++)
		if (it->entries[i].state == ENTRY_SENDING)
			return;
	it->failed = NULL;
	report_go(&r);
}

void
report_retry(void)
{
	struct report *r = waiting, *next;

	waiting = NULL;
	for (; r != NULL; r = next) {
		next = r->next;
		under_way++;
		if (r->unread) {
			r->unread = false;
			content_want(r->item, report_ready, r);
		} else {
			report_ask(r);
		}
	}
}

unsigned
report_in_flight(void)
{
	return under_way;
}
