/* queue_job - see queue_job.h
 *
 *   job_start -> reading the mail -> narrowed to one alias -> its sender from the directory -> RELAY_SEND
 *
 * Mail that an alias of ours leads on goes in a job for each alias: under a sender of ours when its own is a stranger's
 * (the directory says which, storage/srs.h), and with a Delivered-To that tells us when it comes round again. What looks like
 * spam does not go on: its recipients elsewhere would think it ours. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "delivery/queue_job.h"
#include "delivery/queue_report.h"

#define LATER (5 * CLOCK_SECOND)

struct jobs jobs;
static uint64_t serial;

static struct job_out *
job_new(struct dest *d, struct item *it)
{
	struct job_out *j;
	unsigned slot = 0;

	while (slot < JOBS_MAX && jobs.at[slot] != NULL)
		slot++;
	if (slot == JOBS_MAX || (j = calloc(1, sizeof(*j))) == NULL)
		return NULL;
	j->id = ++serial * JOBS_MAX + slot;
	j->dest = d;
	j->item = it;
	j->began = clock_mono();
	j->doubtful = dest_begin(d);
	jobs.at[slot] = j;
	jobs.n++;
	return j;
}

struct job_out *
job_find(uint64_t id)
{
	struct job_out *j = jobs.at[id % JOBS_MAX];

	return j != NULL && j->id == id ? j : NULL;
}

void
job_end(struct job_out *j)
{
	struct item *it = j->item;

	jobs.at[j->id % JOBS_MAX] = NULL;
	jobs.n--;
	if (jobs.alone == j)
		jobs.alone = NULL;
	dest_end(j->dest, j->doubtful);
	report_when_done(it);
	content_release(it);
	free(j->from);
	free(j);
}

void
job_back(struct job_out *j, int64_t when)
{
	for (unsigned i = 0; i < j->n; i++) {
		struct entry *e = j->entries[i];

		if (e->state != ENTRY_SENDING)
			continue;
		e->state = ENTRY_WAITING;
		due_set(queue.index, e, when);
	}
}

void
job_hold(struct job_out *j, const char *why)
{
	for (unsigned i = 0; i < j->n; i++)
		if (j->entries[i]->state == ENTRY_SENDING)
			flow_hold(j->entries[i], why);
}

/* The alias of ours that led it to where it goes now, or NULL. */
static const char *
alias_of(const struct rcpt *r)
{
	return r->original[0] != '\0' && strcasecmp(r->original, r->address) != 0 ? r->original : NULL;
}

static bool
same_alias(const struct rcpt *a, const struct rcpt *b)
{
	const char *one = alias_of(a), *other = alias_of(b);

	return one == NULL || other == NULL ? one == other : strcasecmp(one, other) == 0;
}

/* Only the recipients that go the way of the first; the others get a job of their own. */
static void
job_narrow(struct job_out *j)
{
	const struct rcpt *first = NULL;
	unsigned kept = 0;

	for (unsigned i = 0; i < j->n; i++) {
		struct entry *en = j->entries[i];
		const struct rcpt *r = content_rcpt(j->item, en->n);

		if (r == NULL) {
			flow_hold(en, "its record in the queue is damaged");
			continue;
		}
		if (first != NULL && !same_alias(first, r)) {
			flow_ready(en);
			continue;
		}
		first = r;
		j->entries[kept++] = en;
	}
	j->n = kept;
	j->alias = first != NULL && alias_of(first) != NULL ? first : NULL;
}

/* Spam stays here. true: that was all of the job. */
static bool
job_is_spam(struct job_out *j)
{
	const unsigned no = ENVELOPE_SUBMITTED | ENVELOPE_REPORT;

	if (j->alias == NULL || (j->item->flags & ENVELOPE_JUNK) == 0 || (j->item->flags & no) != 0)
		return false;
	for (unsigned i = 0; i < j->n; i++)
		flow_done(j->entries[i], EVENT_DELETED,
		    "not sent on: it looks like spam, and spam is not forwarded to other servers");
	return true;
}

/* What the relay puts in front: of mail that an alias sends on with the ARC set on top, if it has one.
 * Behind a NUL, as in an envelope, what replaces the signatures on top when the message is converted. */
static void
put_prefix(struct buf *out, const struct job_out *j, struct slice prefix)
{
	struct slice seven = prefix_seven(prefix), set = { NULL, 0 }, set_seven = { NULL, 0 };
	struct buf all;

	buf_init(&all, 2 * ENVELOPE_PREFIX_MAX);
	if (j->alias != NULL && (set = prefix_set(prefix)).len > 0 && (set_seven = prefix_set_seven(prefix)).len == 0)
		seven = set_seven; /* the set would be lost with what is replaced */
	buf_slice(&all, set);
	if (j->alias != NULL)
		buf_printf(&all, "Delivered-To: %s\r\n", alias_of(j->alias));
	buf_slice(&all, prefix_shown(prefix));
	if (set_seven.len + seven.len > 0) {
		buf_char(&all, '\0');
		buf_slice(&all, set_seven);
		buf_slice(&all, seven);
	}
	wire_put_bytes(out, all.failed ? prefix_shown(prefix) : buf_all(&all));
	buf_free(&all);
}

static int
job_send(struct job_out *j, struct link *relay)
{
	const struct content *c = j->item->content;
	const struct envelope *e = &c->c.e;
	struct buf *b = frame_begin(MSG_RELAY_SEND, 0);
	struct buf cuts;
	unsigned kept = 0;

	buf_init(&cuts, ENVELOPE_CUTS_MAX * 16);
	cuts_put(&cuts, e->cuts, e->n_cuts);
	wire_put_u64(b, j->id);
	wire_put_u64(b, e->flags);
	wire_put_text(b, j->dest->domain);
	wire_put_text(b, j->from != NULL ? j->from : e->from);
	wire_put_text(b, e->envid);
	put_prefix(b, j, e->prefix);
	wire_put_bytes(b, buf_all(&cuts));
	wire_put_bytes(b, e->body);
	buf_free(&cuts);
	for (unsigned i = 0; i < j->n; i++) {
		struct entry *en = j->entries[i];
		const struct rcpt *r = content_rcpt(j->item, en->n);

		if (b->len + 2 * WIRE_COST(8) + WIRE_COST(strlen(r->address)) +
			WIRE_COST(strlen(r->orcpt)) >
		    FRAME_MAX) {
			flow_ready(en); /* another job */
			continue;
		}
		wire_put_u64(b, en->n);
		wire_put_text(b, r->address);
		wire_put_u64(b, r->notify);
		wire_put_text(b, r->orcpt);
		j->entries[kept++] = en;
	}
	j->n = kept;
	return kept > 0 ? link_send(relay, c->fd) : -1;
}

static void
job_go(struct job_out *j)
{
	struct link *relay = role_link(ROLE_RELAY);

	if (relay != NULL && job_send(j, relay) == 0) {
		j->relay = relay;
		return;
	}
	job_back(j, clock_now() + LATER);
	job_end(j);
}

/* The directory knows under which sender it goes on. */
static void
on_forward(void *arg, struct frame *f)
{
	struct job_out *j = arg;
	uint64_t status = f != NULL ? wire_u64(&f->in) : 2;
	char from[ADDRESS_MAX + 1] = "";

	if (status == 1)
		wire_text_to(&f->in, from, sizeof(from));
	if (from[0] != '\0')
		j->from = strdup(from);
	if (status == 0 || j->from != NULL) {
		job_go(j);
		return;
	}
	job_back(j, clock_now() + LATER);
	job_end(j);
}

static void
job_prepare(struct job_out *j)
{
	const struct envelope *e = &j->item->content->c.e;
	struct buf *b;

	job_narrow(j);
	if (j->n == 0 || job_is_spam(j)) {
		job_end(j);
		return;
	}
	if (j->alias == NULL || e->from[0] == '\0' || !role_conf()->srs.enabled) {
		job_go(j);
		return;
	}
	b = request_begin(MSG_DIR_FORWARD);
	wire_put_text(b, e->from);
	wire_put_text(b, alias_of(j->alias));
	if (link_request(role_link(ROLE_DIRECTORY), -1, on_forward, j) == 0)
		on_forward(j, NULL);
}

static void
job_loaded(struct item *it, void *arg, const struct err *err)
{
	struct job_out *j = arg;

	(void)it;
	if (err != NULL && err->kind != ERR_TEMPORARY) {
		log_error("a message of the queue cannot be read, it is held: %s", err->text);
		job_hold(j, err->text);
	} else if (err != NULL) {
		job_back(j, clock_now() + LATER);
	} else {
		job_prepare(j);
		return;
	}
	job_end(j);
}

/* A suspect waits until the other one is through. */
static bool
must_wait(struct dest *d, struct entry *e)
{
	if (e->item->crashes < CRASHES_ALONE || jobs.alone == NULL)
		return false;
	TAILQ_REMOVE(&d->ready, e, link);
	e->state = ENTRY_WAITING;
	due_set(queue.index, e, clock_now() + CLOCK_SECOND);
	return true;
}

bool
job_start(struct dest *d)
{
	struct entry *first = TAILQ_FIRST(&d->ready);
	struct item *it = first->item;
	struct job_out *j;

	if (must_wait(d, first))
		return true;
	j = job_new(d, it);
	if (j == NULL)
		return false;
	if (it->crashes >= CRASHES_ALONE)
		jobs.alone = j;
	for (uint32_t i = 0; i < it->n && j->n < JOB_RCPTS; i++) {
		struct entry *e = &it->entries[i];

		if (e->state != ENTRY_READY || e->dest != d)
			continue;
		TAILQ_REMOVE(&d->ready, e, link);
		e->state = ENTRY_SENDING;
		j->entries[j->n++] = e;
	}
	content_want(it, job_loaded, j);
	return true;
}
