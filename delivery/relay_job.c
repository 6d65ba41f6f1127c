/* relay_job - one RELAY_SEND: a message for recipients of one domain, from the frame to RELAY_SENT
 *
 * A job takes an idle session to the same place, or tries the route's addresses one after the other until one took the message or
 * refused it in words. Failures of a connection lead to the next address as long as the final dot has not left; after it, a lost reply
 * is STEP_TEMPORARY and no second try is made here, because the peer may have the message.
 *
 * A session that dies after having idled costs nothing but a new connection. Refusals of single recipients are final for this job.
 * When every address failed, a temporary reason outweighs permanent ones. */
#include "delivery/relay_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/envelope.h"
#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "delivery/relay_hosts.h"
#include "delivery/relay_mail.h"
#include "delivery/relay_pool.h"

#define JOB_POOL_MAX (256 * 1024)
#define ANSWER_BYTES (60 * 1024)	/* of a RELAY_SENT frame, for the recipients */

struct job_rcpt {
	struct job_rcpt *next;		/* only while they are read */
	uint64_t number;
	const char *to;
	bool decided;
	enum step_status status;
	unsigned code;
	char enhanced[12];
	const char *text;		/* in the pool */
};

struct job {
	struct job *next, **at;		/* in `active` or `waiting` */
	struct reply_to asker;
	uint64_t number;
	struct pool *pool;
	size_t bytes;			/* of the pool's ceiling that count for JOBS_BYTES_MAX */
	const char *from, *domain;
	unsigned flags;
	struct slice prefix;
	struct body body;
	struct cut cuts[ENVELOPE_CUTS_MAX];
	size_t n_cuts;
	struct job_rcpt *rcpts;
	size_t n, undecided;
	struct route route;
	struct hosts *hosts;
	struct target target;
	bool have_target, plain_only;
	bool fresh_only;		/* no more idle sessions: one was dead */
	bool reused;			/* the present session was idle before */
	struct session *session;
	struct mail mail;
	size_t map[MAIL_RCPTS_MAX];	/* the mail's recipients in `rcpts` */
	struct result why;		/* strongest failure so far */
	char host[400];			/* the last one spoken to */
	char why_host[400];		/* the one that `why` is about, or "" */
};

struct job_list {
	struct job *first, **last;
	unsigned n;
};

static struct job_list active = { NULL, &active.first, 0 }, waiting = { NULL, &waiting.first, 0 };
static size_t bytes_held;
static struct event *kick;		/* start waiting jobs, from the loop */
static void (*on_empty)(void);

static const struct session_user job_user;
static void job_advance(struct job *job);
static void job_finish(struct job *job);

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
	body_close(&job->body);
	bytes_held -= job->bytes;
	pool_free(&job->pool);
	free(job);
}

/* -- results */

static const char *
keep_text(struct job *job, const char *text)
{
	const char *copy;

	for (size_t i = 0; i < job->n && i < 8; i++)
		if (job->rcpts[i].text != NULL && strcmp(job->rcpts[i].text, text) == 0)
			return job->rcpts[i].text;
	copy = pool_text(job->pool, slice_of(text));
	return copy != NULL ? copy : "";
}

static void
rcpt_decide(struct job *job, struct job_rcpt *r, const struct result *result)
{
	if (r->decided)
		return;
	r->decided = true;
	r->status = result->status;
	r->code = result->code;
	memcpy(r->enhanced, result->enhanced, sizeof(r->enhanced));
	r->text = keep_text(job, result->text);
	job->undecided--;
}

static void
decide_rest(struct job *job, const struct result *result)
{
	for (size_t i = 0; i < job->n; i++)
		rcpt_decide(job, &job->rcpts[i], result);
}

/* The host spoken to last failed. */
static void
note_failure(struct job *job, const struct result *why)
{
	if (result_keep(&job->why, why))
		memcpy(job->why_host, job->host, sizeof(job->why_host));
}

/* Words for each recipient as long as the frame has room for all. */
static void
put_rcpts(const struct job *job, struct buf *out)
{
	size_t share = job->n > 0 ? ANSWER_BYTES / job->n : 0;
	size_t words = share > 64 ? share - 64 : 0;

	for (size_t i = 0; i < job->n; i++) {
		const struct job_rcpt *r = &job->rcpts[i];

		if (out->len + 64 > FRAME_MAX)
			return;
		wire_put_u64(out, r->number);
		wire_put_u64(out, r->status);
		wire_put_u64(out, r->code);
		wire_put_text(out, r->enhanced);
		wire_put_bytes(out, slice_first(slice_of(r->text), words));
	}
}

static void
answer(const struct job *job)
{
	struct buf *out = reply_begin(job->asker, MSG_RELAY_SENT);

	wire_put_u64(out, job->number);
	wire_put_text(out, job->host);
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

static void
job_finish(struct job *job)
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

static void
job_give_up(struct job *job)
{
	if (job->hosts != NULL && result_keep(&job->why, hosts_why(job->hosts)))
		job->why_host[0] = '\0';
	if (job->why.status == STEP_OK)
		result_set(&job->why, STEP_TEMPORARY, "4.4.0", "no mail host of %s could be reached", job->domain);
	memcpy(job->host, job->why_host, sizeof(job->host));
	decide_rest(job, &job->why);
	job_finish(job);
}

/* -- mail over a session */

static void
mail_decide(struct mail *mail, size_t i, const struct result *result, bool again)
{
	struct job *job = (struct job *)((char *)mail - offsetof(struct job, mail));

	if (!again)
		rcpt_decide(job, &job->rcpts[job->map[i]], result);
}

/* The session is ready: the next recipients. */
static void
job_send(struct job *job)
{
	struct mail *m = &job->mail;

	m->n = 0;
	for (size_t i = 0; i < job->n && m->n < MAIL_RCPTS_MAX; i++) {
		if (job->rcpts[i].decided)
			continue;
		job->map[m->n] = i;
		m->to[m->n] = job->rcpts[i].to;
		m->state[m->n++] = RCPT_WAITING;
	}
	m->from = job->from;
	m->flags = job->flags;
	m->decide = mail_decide;
	relay_body_start(&m->body, job->prefix, job->body.bytes, job->cuts, job->n_cuts);
	session_send(job->session, m);
}

static void
use_idle(struct job *job, struct session *s)
{
	job->session = s;
	job->reused = true;
	s->user = &job_user;
	s->arg = job;
	memcpy(job->host, s->who, sizeof(job->host));
	job_send(job);
}

static void
open_session(struct job *job)
{
	struct result why;

	job->reused = false;
	snprintf(job->host, sizeof(job->host), "%s[%s]:%u", job->target.host, job->target.address.text, job->route.port);
	job->session = session_open(&job->target, &job->route, job->plain_only, &job_user, job, &why);
	if (job->session == NULL)
		note_failure(job, &why);
}

/* Try addresses until one is being connected to. */
static void
job_advance(struct job *job)
{
	while (job->session == NULL) {
		char key[300];
		struct session *s;

		switch (hosts_next(job->hosts, &job->target)) {
		case HOSTS_WAIT:
			return;
		case HOSTS_END:
			job_give_up(job);
			return;
		case HOSTS_TARGET:
			break;
		}
		job->have_target = true;
		job->plain_only = false;
		session_peer_key(&job->target, &job->route, key);
		if (!job->fresh_only && (s = pool_take_peer(key)) != NULL)
			use_idle(job, s);
		else
			open_session(job);
		if (job->session != NULL)
			return;
	}
}

static void
hosts_ready(void *arg)
{
	job_advance(arg);
}

/* From the first address on. */
static void
job_connect(struct job *job)
{
	if (job->hosts == NULL)
		job->hosts = hosts_new(&job->route, hosts_ready, job);
	if (job->hosts == NULL)
		job_give_up(job);
	else
		job_advance(job);
}

/* The same address once more, over a new connection. */
static void
job_again(struct job *job)
{
	if (job->have_target)
		open_session(job);
	if (job->session == NULL)
		job_connect(job);
}

static void
session_ready(void *arg)
{
	job_send(arg);
}

static void
session_sent(void *arg, bool usable)
{
	struct job *job = arg;

	if (!usable)
		job->session = NULL;
	if (job->undecided == 0)
		job_finish(job);
	else if (usable)
		job_send(job);
	else
		job_again(job);
}

/* The final dot had left. */
static void
reply_lost(struct job *job, const struct result *why)
{
	struct result r;

	result_set(&r, STEP_TEMPORARY, "4.4.2", "%s; the message may have arrived", why->text);
	decide_rest(job, &r);
	job_finish(job);
}

static void
session_failed(void *arg, const struct result *why, enum session_progress progress)
{
	struct job *job = arg;
	bool reused = job->reused;

	job->session = NULL;
	if (progress == PROGRESS_SENT) {
		reply_lost(job, why);
	} else if (progress == PROGRESS_TLS && job->route.tls == TLS_OPPORTUNISTIC && !job->plain_only) {
		job->plain_only = true;
		job_again(job);
	} else if (progress == PROGRESS_NONE && reused) {
		job->fresh_only = true;
		job_again(job);
	} else {
		note_failure(job, why);
		job_connect(job);
	}
}

static const struct session_user job_user = { session_ready, session_sent, session_failed };

/* -- the beginning of a job */

static void
job_start(struct job *job)
{
	struct session *s;
	struct err err = { 0 };

	list_add(&active, job);
	if (job->undecided == 0) {
		job_finish(job);
		return;
	}
	if (route_choose(role_conf(), job->domain, &job->route, &err) == -1) {
		bool permanent = err.kind == ERR_PERMANENT;

		result_set(&job->why, permanent ? STEP_PERMANENT : STEP_TEMPORARY, permanent ? "5.1.2" : "4.3.5", "%s", err.text);
		job_give_up(job);
		return;
	}
	s = pool_take(job->route.key);
	if (s != NULL)
		use_idle(job, s);
	else
		job_connect(job);
}

static void
start_waiting(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	while (waiting.n > 0 && active.n < JOBS_ACTIVE_MAX) {
		struct job *job = waiting.first;

		list_remove(&waiting, job);
		job_start(job);
	}
}

/* May the address stand in a command? What came through the queue was checked by smtpd; this guards against our own mistakes. */
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
	job->prefix = pool_slice(job->pool, wire_bytes(in));
	cuts = wire_bytes(in);
	body = wire_bytes(in);
	if (f->fd == -1)
		body = pool_slice(job->pool, body);
	if (cuts_get(cuts, job->cuts, &job->n_cuts) == -1 || read_rcpts(job, in) == -1)
		return -1;
	return body_open(&job->body, body, f->fd);
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
	wire_u64(&in);
	for (int i = 0; i < 5; i++)
		wire_bytes(&in);
	while (wire_more(&in) && out->len + 64 + strlen(why) <= FRAME_MAX) {
		wire_put_u64(out, wire_u64(&in));
		wire_bytes(&in);
		wire_put_u64(out, STEP_TEMPORARY);
		wire_put_u64(out, 0);
		wire_put_text(out, "4.3.2");
		wire_put_text(out, why);
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
		job_start(job);
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
		if ((link_serial == 0 || job->asker.link_serial == link_serial) && !message_left(job))
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
