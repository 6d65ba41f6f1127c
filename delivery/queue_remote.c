/* queue_remote - remote recipients and relay: destinations in turn, each with its limit
 *
 * A job is one message for up to 100 recipients of one destination. Destinations that have
 * something ready stand in a ring and get one job a turn, so one with a thousand messages delays
 * nobody else. Each may have relay.concurrency jobs at a time; when its host cannot be reached it
 * gets one only, and after that failed too it is paused: the mail stays ready, and one message
 * tries again when the pause ends.
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
#include "delivery/queue_report.h"

#define JOBS_MAX 512
#define RCPTS_MAX 100
#define BACKLOG_MAX (2 * 1024 * 1024)
#define CRASHES_ALONE 2
#define CRASHES_MAX 5 /* two in company, three alone */
#define PAUSE_MAX (300 * CLOCK_SECOND)
#define LATER (5 * CLOCK_SECOND)

struct job_out {
	uint64_t id; /* 0: free */
	struct dest *dest;
	struct item *item;
	struct link *relay; /* NULL: being loaded */
	struct entry *entries[RCPTS_MAX];
	unsigned n;
};

static struct {
	struct job_out *jobs[JOBS_MAX];
	unsigned n_jobs;
	uint64_t serial;
	struct dest_list ring, paused;
	struct job_out *alone; /* the suspect's */
	bool lists;
} remote;

static void
lists_init(void)
{
	if (remote.lists)
		return;
	TAILQ_INIT(&remote.ring);
	TAILQ_INIT(&remote.paused);
	remote.lists = true;
}

unsigned
remote_in_flight(void)
{
	return remote.n_jobs;
}

/* -- destinations */

static unsigned
dest_limit(const struct dest *d)
{
	int64_t most = role_conf()->relay.concurrency;

	if (most < 1)
		most = 1;
	return d->limit == 0 || d->limit > most ? (unsigned)most : d->limit;
}

/* Into the ring when it has mail and may have a job. */
static void
dest_consider(struct dest *d)
{
	if (d->linked || d->paused || TAILQ_EMPTY(&d->ready) || d->active >= dest_limit(d))
		return;
	d->linked = true;
	TAILQ_INSERT_TAIL(&remote.ring, d, link);
}

static void
dest_leave(struct dest *d)
{
	if (d->linked)
		TAILQ_REMOVE(&remote.ring, d, link);
	if (d->paused)
		TAILQ_REMOVE(&remote.paused, d, link);
	d->linked = d->paused = false;
}

void
remote_ready(struct entry *e)
{
	lists_init();
	TAILQ_INSERT_TAIL(&e->dest->ready, e, link);
	dest_consider(e->dest);
}

void
remote_pull(struct entry *e)
{
	struct dest *d = e->dest;

	TAILQ_REMOVE(&d->ready, e, link);
	if (TAILQ_EMPTY(&d->ready))
		dest_leave(d);
}

/* How one job went, as far as the destination itself is concerned. */
static void
dest_learn(struct dest *d, bool reached)
{
	const struct conf *conf = role_conf();
	int64_t pause = conf->relay.n_retry > 0 ? conf->relay.retry[0] * 1000 : PAUSE_MAX;

	if (reached) {
		d->failures = 0;
		if (d->limit != 0 && (d->limit *= 2) >= (unsigned)conf->relay.concurrency)
			d->limit = 0;
		return;
	}
	d->limit = 1;
	if (++d->failures < 2 || d->active > 0 || d->paused)
		return;
	dest_leave(d);
	d->paused = true;
	d->paused_until = clock_now() + (pause < PAUSE_MAX ? pause : PAUSE_MAX);
	TAILQ_INSERT_TAIL(&remote.paused, d, link);
}

/* While a destination is paused its mail grows old: what is past its lifetime is given up with the
 * last reason. */
static void
dest_give_up(struct dest *d, const struct outcome *o)
{
	struct schedule sched = queue_schedule();
	int64_t now = clock_now();
	struct entry *e, *next;

	for (e = TAILQ_FIRST(&d->ready); e != NULL; e = next) {
		struct report *failed = NULL;

		next = TAILQ_NEXT(e, link);
		if (!schedule_over(&sched, qid_time(e->item->qid), now))
			continue;
		TAILQ_REMOVE(&d->ready, e, link);
		flow_defer(e, o, &failed);
		report_go(&failed);
	}
}

void
remote_wake(struct dest *d)
{
	if (!d->paused)
		return;
	dest_leave(d);
	dest_consider(d);
}

static void
unpause(int64_t now)
{
	struct dest *d, *next;

	for (d = TAILQ_FIRST(&remote.paused); d != NULL; d = next) {
		next = TAILQ_NEXT(d, link);
		if (d->paused_until > now)
			continue;
		dest_leave(d);
		dest_consider(d);
		index_settle_dest(queue.index, d);
	}
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
	d->active++;
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
	struct dest *d = j->dest;

	remote.jobs[j->id % JOBS_MAX] = NULL;
	remote.n_jobs--;
	if (remote.alone == j)
		remote.alone = NULL;
	d->active--;
	dest_consider(d);
	index_settle_dest(queue.index, d);
	content_release(j->item);
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
	wire_put_text(b, e->from);
	wire_put_text(b, e->envid);
	wire_put_bytes(b, e->prefix);
	wire_put_bytes(b, buf_all(&cuts));
	wire_put_bytes(b, e->body);
	buf_free(&cuts);
	for (unsigned i = 0; i < j->n; i++) {
		struct entry *en = j->entries[i];
		const struct rcpt *r = content_rcpt(j->item, en->n);

		if (r == NULL) {
			flow_hold(en, "its record in the queue is damaged");
			continue;
		}
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
job_loaded(struct item *it, void *arg, const struct err *err)
{
	struct job_out *j = arg;
	struct link *relay = role_link(ROLE_RELAY);

	(void)it;
	if (err != NULL && err->kind != ERR_TEMPORARY) {
		log_error("a message of the queue cannot be read, it is held: %s", err->text);
		job_hold(j, err->text);
	} else if (err != NULL || relay == NULL || job_send(j, relay) == -1) {
		job_back(j, clock_now() + LATER);
	} else {
		j->relay = relay;
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
remote_pump(int64_t now)
{
	struct link *relay = role_link(ROLE_RELAY);
	struct dest *d;

	lists_init();
	unpause(now);
	while (relay != NULL && remote.n_jobs < JOBS_MAX && link_backlog(relay) < BACKLOG_MAX &&
	       (d = TAILQ_FIRST(&remote.ring)) != NULL) {
		dest_leave(d);
		if (!job_start(d))
			return;
		dest_consider(d);
	}
}

/* -- what relay says */

struct reports { /* that one answer leads to */
	struct report *failed, *relayed;
};

static void
sent(struct entry *e, uint64_t status, const struct outcome *o, bool reports, struct reports *to)
{
	const struct rcpt *r = content_rcpt(e->item, e->n);
	char text[1000];

	if (status == STEP_OK && !reports && r != NULL && (r->notify & NOTIFY_SUCCESS) != 0) {
		report_succeeded(&to->relayed, e, o, true);
	} else if (status == STEP_OK) {
		snprintf(
		    text, sizeof(text), "accepted by %.255s: %u %.600s", o->host, o->code, o->text);
		flow_done(e, EVENT_RELAYED, text);
	} else if (status == STEP_PERMANENT) {
		flow_fail(e, o, &to->failed);
	} else {
		flow_defer(e, o, &to->failed);
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

void
remote_on_sent(struct frame *f)
{
	struct job_out *j = job_find(wire_u64(&f->in));
	struct reports reports = { NULL, NULL };
	bool reached = false;
	char host[256] = "", enhanced[32] = "", text[800] = "the relay said nothing";
	struct outcome o = { .host = host, .enhanced = enhanced, .text = text };

	if (j == NULL || j->relay != f->link)
		return;
	wire_text_to(&f->in, host, sizeof(host));
	while (wire_more(&f->in)) {
		struct entry *e = job_entry(j, wire_u64(&f->in));
		uint64_t status = wire_u64(&f->in), code;
		bool dsn;

		code = wire_u64(&f->in);
		o.code = code <= 999 ? (unsigned)code : 0;
		slice_copy(wire_bytes(&f->in), enhanced, sizeof(enhanced));
		slice_copy(wire_bytes(&f->in), text, sizeof(text));
		dsn = wire_u64(&f->in) == 1;
		reached = reached || status != STEP_TEMPORARY || o.code != 0;
		if (e != NULL)
			sent(e, status, &o, dsn, &reports);
	}
	for (unsigned i = 0; i < j->n; i++)
		if (j->entries[i]->state == ENTRY_SENDING)
			sent(j->entries[i], STEP_TEMPORARY,
			    &(struct outcome){
				host, 0, "", "the relay did not say what became of it" },
			    false, &reports);
	report_go(&reports.failed);
	report_go(&reports.relayed);
	j->dest->active--; /* not counting this job */
	dest_learn(j->dest, reached);
	j->dest->active++;
	if (!reached && j->dest->paused)
		dest_give_up(j->dest, &o);
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
