/* relay_jobs - all jobs: RELAY_SEND frames in, RELAY_SENT frames out
 *
 * At most JOBS_ACTIVE_MAX are on their way; JOBS_WAITING_MAX more wait in order; beyond, or when
 * their bodies take too much memory, the answer is "later" at once. Each job is answered exactly
 * once, unless its asker is gone. */
#include "delivery/relay_jobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "delivery/relay_job_state.h"
#include "delivery/relay_pool.h"

#define JOB_POOL_MAX (256 * 1024)
#define ANSWER_BYTES (60 * 1024) /* of a RELAY_SENT frame, for the recipients */

struct job_list {
	struct job *first, **last;
	unsigned n;
};

static struct job_list active = { NULL, &active.first, 0 }, waiting = { NULL, &waiting.first, 0 };
static size_t bytes_held;
static struct event *kick; /* start waiting jobs, from the loop */
static void (*on_empty)(void);

/* -- lists */

static void
list_add(struct job_list *list, struct job *job)
{
	job->next = NULL;
	job->at = list->last;
	*list->last = job;
	list->last = &job->next;
	list->n++;
}

static void
list_remove(struct job_list *list, struct job *job)
{
	*job->at = job->next;
	if (job->next != NULL)
		job->next->at = job->at;
	else
		list->last = job->at;
	list->n--;
}

static void
job_free(struct job *job)
{
	hosts_free(&job->hosts);
	policy_drop(&job->policy);
	job_forget_conversion(job);
	body_close(&job->body);
	bytes_held -= job->bytes;
	pool_free(&job->pool);
	free(job);
}

/* -- the answer */

/* Words for each recipient as long as the frame has room for all. */
static void
put_rcpts(const struct job *job, struct buf *out)
{
	size_t share = job->n > 0 ? ANSWER_BYTES / job->n : 0;
	size_t words = share > 80 ? share - 80 : 0;

	for (size_t i = 0; i < job->n; i++) {
		const struct job_rcpt *r = &job->rcpts[i];

		if (out->len + 80 > FRAME_MAX)
			return;
		wire_put_u64(out, r->number);
		wire_put_u64(out, r->status);
		wire_put_u64(out, r->code);
		wire_put_text(out, r->enhanced);
		wire_put_bytes(out, slice_first(slice_of(r->text), words));
		wire_put_u64(out, r->dsn);
	}
}

static void
answer(const struct job *job)
{
	struct buf *out = reply_begin(job->asker, MSG_RELAY_SENT);

	wire_put_u64(out, job->number);
	wire_put_text(out, job->host);
	wire_put_text(out, job->tls);
	put_rcpts(job, out);
	if (reply_send(job->asker, -1) == -1)
		log_debug("a relay job ended without anyone to tell");
}

/* -- the end of a job */

static void
look_for_work(void)
{
	if (waiting.n > 0 && kick != NULL)
		event_active(kick, EV_TIMEOUT, 0);
	if (on_empty != NULL && active.n == 0 && waiting.n == 0)
		on_empty();
}

void
job_ended(struct job *job)
{
	struct session *s = job->session;

	list_remove(&active, job);
	answer(job);
	job->session = NULL;
	if (s != NULL && s->state == SESSION_READY && on_empty == NULL)
		pool_give(s, (unsigned)role_conf()->relay.concurrency);
	else if (s != NULL)
		session_close(s);
	job_free(job);
	look_for_work();
}

/* -- the beginning of a job */

static void
job_begin(struct job *job)
{
	list_add(&active, job);
	job_start(job);
}

static void
start_waiting(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	while (waiting.n > 0 && active.n < JOBS_ACTIVE_MAX) {
		struct job *job = waiting.first;

		list_remove(&waiting, job);
		job_begin(job);
	}
}

/* May the address stand in a command? What came through the queue was checked by smtpd; this guards
 * against our own mistakes. */
static bool
address_ok(const char *address)
{
	size_t len = strlen(address);

	if (len > ADDRESS_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)address[i] < 0x20 || address[i] == 0x7f)
			return false;
	return true;
}

/* A parameter that cannot stand in a command is left out. */
static const char *
param(const char *text, size_t most)
{
	if (strlen(text) > most)
		return "";
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p <= 0x20 || *p == 0x7f)
			return "";
	return text;
}

static int
read_rcpts(struct job *job, struct wire *in)
{
	struct job_rcpt *first = NULL, **last = &first;

	while (wire_more(in)) {
		struct job_rcpt *r = pool_alloc(job->pool, sizeof(*r));

		if (r == NULL)
			return -1;
		r->number = wire_u64(in);
		r->to = wire_text(in, job->pool);
		r->notify = (unsigned)wire_u64(in);
		r->orcpt = param(wire_text(in, job->pool), ORCPT_MAX);
		*last = r;
		last = &r->next;
		job->n++;
	}
	job->rcpts = pool_alloc(job->pool, (job->n + 1) * sizeof(*job->rcpts));
	if (job->rcpts == NULL)
		return -1;
	for (size_t i = 0; first != NULL; first = first->next)
		job->rcpts[i++] = *first;
	job->undecided = job->n;
	return wire_end(in);
}

static void
refuse_bad_addresses(struct job *job)
{
	struct result bad;

	result_set(&bad, STEP_PERMANENT, "5.1.3", "the address cannot be sent in SMTP");
	for (size_t i = 0; i < job->n; i++)
		if (!address_ok(job->rcpts[i].to) || job->rcpts[i].to[0] == '\0')
			rcpt_decide(job, &job->rcpts[i], &bad);
	result_set(&bad, STEP_PERMANENT, "5.1.7", "the sender's address cannot be sent in SMTP");
	if (!address_ok(job->from))
		decide_rest(job, &bad);
}

/* Everything of the frame that outlives the handler. */
static int
job_read(struct job *job, struct frame *f)
{
	struct wire *in = &f->in;
	struct slice body, cuts;

	job->number = wire_u64(in);
	job->flags = (unsigned)wire_u64(in);
	job->domain = wire_text(in, job->pool);
	job->from = wire_text(in, job->pool);
	job->envid = param(wire_text(in, job->pool), ENVID_MAX);
	if (job_prefixes(job, wire_bytes(in)) == -1)
		return -1;
	cuts = wire_bytes(in);
	body = wire_bytes(in);
	if (f->fd == -1)
		body = pool_slice(job->pool, body);
	if (cuts_get(cuts, job->cuts, &job->n_cuts) == -1 || read_rcpts(job, in) == -1)
		return -1;
	if (body_open(&job->body, body, f->fd) == -1)
		return -1;
	if (job->flags & ENVELOPE_UTF8) {
		struct relay_body all;

		relay_body_start(&all, job->prefix, job->body.bytes, job->cuts, job->n_cuts);
		job->utf8_header = relay_body_utf8_header(&all);
	}
	return 0;
}

static struct job *
job_new(struct frame *f)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->pool = pool_new(JOB_POOL_MAX);
	job->asker = reply_later(f);
	if (job->pool == NULL || job_read(job, f) == -1) {
		job_free(job);
		return NULL;
	}
	job->bytes = pool_used(job->pool);
	bytes_held += job->bytes;
	refuse_bad_addresses(job);
	return job;
}

/* No job could be made of it: every recipient the frame names is to be tried later. */
static void
answer_later(struct frame *f, struct wire in, const char *why)
{
	struct buf *out = reply_begin(reply_later(f), MSG_RELAY_SENT);

	wire_put_u64(out, wire_u64(&in));
	wire_put_text(out, "");
	wire_put_text(out, "");
	wire_u64(&in);
	for (int i = 0; i < 6; i++)
		wire_bytes(&in);
	while (wire_more(&in) && out->len + 80 + strlen(why) <= FRAME_MAX) {
		wire_put_u64(out, wire_u64(&in));
		for (int i = 0; i < 3; i++)
			wire_bytes(&in);
		wire_put_u64(out, STEP_TEMPORARY);
		wire_put_u64(out, 0);
		wire_put_text(out, "4.3.2");
		wire_put_text(out, why);
		wire_put_u64(out, 0);
	}
	reply_send(reply_later(f), -1);
}

void
job_from_frame(struct frame *f)
{
	struct wire fields = f->in;
	struct job *job;

	if (kick == NULL)
		kick = event_new(role_base(), -1, 0, start_waiting, NULL);
	if (on_empty != NULL || waiting.n >= JOBS_WAITING_MAX || bytes_held >= JOBS_BYTES_MAX) {
		answer_later(f, fields, "the relay has too much to do");
		return;
	}
	job = job_new(f);
	if (job == NULL)
		answer_later(f, fields, "the message could not be read, or memory is short");
	else if (active.n < JOBS_ACTIVE_MAX)
		job_begin(job);
	else
		list_add(&waiting, job);
}

/* -- going away */

static bool
message_left(const struct job *job)
{
	return job->session != NULL && job->session->state == SESSION_FINAL;
}

static void
job_drop(struct job_list *list, struct job *job)
{
	list_remove(list, job);
	race_stop(&job->race);
	if (job->session != NULL)
		session_close(job->session);
	job_free(job);
}

static void
drop_from(struct job_list *list, uint64_t link_serial)
{
	struct job *next;

	for (struct job *job = list->first; job != NULL; job = next) {
		next = job->next;
		if ((link_serial == 0 || job->asker.link_serial == link_serial) &&
		    !message_left(job))
			job_drop(list, job);
	}
}

void
jobs_drop(uint64_t link_serial)
{
	drop_from(&waiting, link_serial);
	drop_from(&active, link_serial);
	look_for_work();
}

void
jobs_stop(void (*done)(void))
{
	on_empty = done;
	jobs_drop(0);
}

unsigned
jobs_count(void)
{
	return active.n + waiting.n;
}
