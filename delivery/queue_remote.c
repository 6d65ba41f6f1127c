/* queue_remote - remote recipients and relay: who is sent now, what relay says became of it
 *
 * A job (queue_job.h) is one message for one destination; whose turn it is, and how many it may have at a time, is
 * queue_dest.c's matter.
 *
 * Recipients of one message that fail while others of it are still being sent are reported together with those (queue_report.c).
 *
 * When relay dies its jobs go back: a host that had accepted already gets a second copy (nobody can
 * know). Messages that it had are blamed; those blamed twice are sent one at a time, so that only
 * the guilty one is blamed three times more, and held. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/refusal.h"
#include "delivery/queue_job.h"
#include "delivery/queue_report.h"

#define BACKLOG_MAX (2 * 1024 * 1024)
#define BUSY_AGAIN (2 * CLOCK_SECOND)

unsigned
remote_in_flight(void)
{
	return jobs.n;
}

void
remote_pump(void)
{
	struct link *relay = role_link(ROLE_RELAY);
	struct dest *d;

	while (relay != NULL && jobs.n < JOBS_MAX && link_backlog(relay) < BACKLOG_MAX &&
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
	struct job_out *guilty = jobs.alone;

	for (unsigned s = 0; s < JOBS_MAX; s++) {
		struct job_out *j = jobs.at[s];

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
