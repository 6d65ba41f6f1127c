/* queue_remote - remote recipients and relay: jobs out, results in
 *
 * A job is one message for up to 100 recipients of one destination; whose turn it is, and how many it may have at a time, is
 * queue_dest.c's matter.
 *
 * Mail that an alias of ours leads on goes in a job for each alias: under a sender of ours when its own is a stranger's
 * (the directory says which, storage/srs.h), and with a Delivered-To that tells us when it comes round again. What looks like
 * spam does not go on: its recipients elsewhere would think it ours.
 *
 * Recipients of one message that fail while others of it are still being sent are reported together with those (queue_report.c).
 *
 * When relay dies its jobs go back: a host that had accepted already gets a second copy (nobody can
 * know). Messages that it had are blamed; those blamed twice are sent one at a time, so that only
 * the guilty one is blamed three times more, and held. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/qid.h"
#include "base/refusal.h"
#include "delivery/queue_dest.h"
#include "delivery/queue_report.h"

#define JOBS_MAX 512
#define RCPTS_MAX 100
#define BACKLOG_MAX (2 * 1024 * 1024)
#define CRASHES_ALONE 2
#define CRASHES_MAX 5 /* two in company, three alone */
#define LATER (5 * CLOCK_SECOND)
#define BUSY_AGAIN (2 * CLOCK_SECOND)

struct job_out {
	uint64_t id; /* 0: free */
	struct dest *dest;
	struct item *item;
	struct link *relay; /* NULL: being loaded */
	struct entry *entries[RCPTS_MAX];
	unsigned n;
	const struct rcpt *alias; /* it is sent on from this one of its content; or NULL */
	char *from;               /* under this sender; NULL: its own */
	bool doubtful; /* see queue_dest.c */
	int64_t began; /* clock_mono */
};

static struct {
	struct job_out *jobs[JOBS_MAX];
	unsigned n_jobs;
	uint64_t serial;
	struct job_out *alone; /* the suspect's */
} remote;

unsigned
remote_in_flight(void)
{
	return remote.n_jobs;
}

/* -- jobs */

static struct job_out *
job_new(struct dest *d, struct item *it)
{
	struct job_out *j;
	unsigned slot = 0;

	while (slot < JOBS_MAX && remote.jobs[slot] != NULL)
		slot++;
	if (slot == JOBS_MAX || (j = calloc(1, sizeof(*j))) == NULL)
		return NULL;
	j->id = ++remote.serial * JOBS_MAX + slot;
	j->dest = d;
	j->item = it;
	j->began = clock_mono();
	j->doubtful = dest_begin(d);
	remote.jobs[slot] = j;
	remote.n_jobs++;
	return j;
}

static struct job_out *
job_find(uint64_t id)
{
	struct job_out *j = remote.jobs[id % JOBS_MAX];

	return j != NULL && j->id == id ? j : NULL;
}

/* Its entries have been seen to; the use of the content ends. */
static void
job_end(struct job_out *j)
{
	struct item *it = j->item;

	remote.jobs[j->id % JOBS_MAX] = NULL;
	remote.n_jobs--;
	if (remote.alone == j)
		remote.alone = NULL;
	dest_end(j->dest, j->doubtful);
	report_when_done(it);
	content_release(it);
	free(j->from);
	free(j);
}

static void
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

static void
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

static void
put_prefix(struct buf *out, const struct job_out *j, struct slice prefix)
{
	struct buf all;

	buf_init(&all, ENVELOPE_PREFIX_MAX + ADDRESS_MAX + 20);
	if (j->alias != NULL)
		buf_printf(&all, "Delivered-To: %s\r\n", alias_of(j->alias));
	buf_slice(&all, prefix);
	wire_put_bytes(out, all.failed ? prefix : buf_all(&all));
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
	if (e->item->crashes < CRASHES_ALONE || remote.alone == NULL)
		return false;
	TAILQ_REMOVE(&d->ready, e, link);
	e->state = ENTRY_WAITING;
	due_set(queue.index, e, clock_now() + CLOCK_SECOND);
	return true;
}

/* The first ready message of the destination, with all of its recipients there. */
static bool
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
		remote.alone = j;
	for (uint32_t i = 0; i < it->n && j->n < RCPTS_MAX; i++) {
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

void
remote_pump(void)
{
	struct link *relay = role_link(ROLE_RELAY);
	struct dest *d;

	while (relay != NULL && remote.n_jobs < JOBS_MAX && link_backlog(relay) < BACKLOG_MAX &&
	       (d = dest_next()) != NULL) {
		bool started = job_start(d);

		dest_consider(d);
		if (!started)
			return;
	}
}

/* -- what relay says */

static void
sent(struct entry *e, uint64_t status, const struct outcome *o, const char *tls, bool reports,
    struct report **relayed)
{
	const struct rcpt *r = content_rcpt(e->item, e->n);
	char text[1000];

	if (status == STEP_OK && !reports && r != NULL && (r->notify & NOTIFY_SUCCESS) != 0) {
		report_succeeded(relayed, e, o, true);
	} else if (status == STEP_OK) {
		snprintf(text, sizeof(text), "accepted by %.255s: %u %.600s%s%.120s%s", o->host,
		    o->code, o->text, tls[0] != '\0' ? " (" : "", tls, tls[0] != '\0' ? ")" : "");
		flow_done(e, EVENT_RELAYED, text);
	} else if (status == STEP_PERMANENT) {
		flow_fail(e, o, &e->item->failed);
	} else {
		flow_defer(e, o, &e->item->failed);
	}
}

static struct entry *
job_entry(struct job_out *j, uint64_t n)
{
	for (unsigned i = 0; i < j->n; i++)
		if (j->entries[i]->n == n && j->entries[i]->state == ENTRY_SENDING)
			return j->entries[i];
	return NULL;
}

/* One recipient of RELAY_SENT. */
struct told {
	uint64_t n, status;
	struct outcome o;
	bool dsn;
	char enhanced[32], text[800];
};

static void
read_told(struct wire *in, const char *host, struct told *t)
{
	uint64_t code;

	t->n = wire_u64(in);
	t->status = wire_u64(in);
	code = wire_u64(in);
	slice_copy(wire_bytes(in), t->enhanced, sizeof(t->enhanced));
	slice_copy(wire_bytes(in), t->text, sizeof(t->text));
	t->dsn = wire_u64(in) == 1;
	t->o = (struct outcome){ host, code <= 999 ? (unsigned)code : 0, t->enhanced, t->text };
}

/* What it says of the destination. */
static enum dest_verdict
verdict_of(const struct told *t)
{
	if (t->status != STEP_TEMPORARY)
		return DEST_TOOK;
	if (t->o.code == 0) /* 4.3: it is we who cannot */
		return strncmp(t->enhanced, "4.3.", 4) == 0 ? DEST_ANSWERED : DEST_AWAY;
	if (t->o.code == 421 || refusal_of(t->o.code, t->enhanced, t->text) == REFUSAL_RATE)
		return DEST_BUSY;
	return DEST_ANSWERED;
}

/* The session is one too many, while others of ours go on: its mail only goes back into the line. */
static bool
one_too_many(struct job_out *j, enum dest_verdict verdict)
{
	if (verdict != DEST_BUSY || j->dest->active <= 1)
		return false;
	for (unsigned i = 0; i < j->n; i++)
		if (j->entries[i]->state != ENTRY_SENDING)
			return false;
	job_back(j, clock_now() + BUSY_AGAIN);
	return true;
}

/* The best that any recipient's answer says of the destination, and its words. */
static enum dest_verdict
verdict_of_all(struct wire in, const char *host, char *said, size_t size)
{
	enum dest_verdict best = DEST_AWAY, one;
	struct told t;

	snprintf(said, size, "the relay said nothing");
	while (wire_more(&in)) {
		read_told(&in, host, &t);
		one = verdict_of(&t);
		if (one <= best) {
			best = one;
			outcome_text(&t.o, said, size);
		}
	}
	return best;
}

static void
take_results(struct job_out *j, struct frame *f, const char *host, const char *tls)
{
	struct report *relayed = NULL;
	struct told t;

	while (wire_more(&f->in)) {
		struct entry *e;

		read_told(&f->in, host, &t);
		if ((e = job_entry(j, t.n)) != NULL)
			sent(e, t.status, &t.o, tls, t.dsn, &relayed);
	}
	for (unsigned i = 0; i < j->n; i++)
		if (j->entries[i]->state == ENTRY_SENDING)
			sent(j->entries[i], STEP_TEMPORARY,
			    &(struct outcome){
				host, 0, "", "the relay did not say what became of it" },
			    tls, false, &relayed);
	report_go(&relayed);
}

void
remote_on_sent(struct frame *f)
{
	struct job_out *j = job_find(wire_u64(&f->in));
	char host[256] = "", tls[160] = "", said[1100];
	enum dest_verdict verdict;

	if (j == NULL || j->relay != f->link)
		return;
	wire_text_to(&f->in, host, sizeof(host));
	slice_copy(wire_bytes(&f->in), tls, sizeof(tls));
	verdict = verdict_of_all(f->in, host, said, sizeof(said));
	dest_learn(j->dest, verdict, j->began, said);
	if (!one_too_many(j, verdict))
		take_results(j, f, host, tls);
	job_end(j);
	flow_pump();
}

/* -- relay comes and goes */

void
remote_link_up(struct link *l)
{
	(void)l; /* the next pump finds it */
}

void
remote_link_down(struct link *l)
{
	int64_t now = clock_now();
	struct job_out *guilty = remote.alone;

	for (unsigned s = 0; s < JOBS_MAX; s++) {
		struct job_out *j = remote.jobs[s];

		if (j == NULL || j->relay != l)
			continue;
		if (j->item->crashes < CRASHES_MAX && (guilty == NULL || guilty == j))
			local_set_crashes(j->item, j->item->crashes + 1u);
		if (j->item->crashes < CRASHES_MAX) {
			job_back(j, now + j->item->crashes * CLOCK_SECOND / 4);
		} else {
			log_error("relay died three times while it had one message alone: that one "
				  "is held");
			job_hold(j,
			    "the relay process died three times while it had this message alone");
		}
		job_end(j);
	}
}
