/* filter - the worker that judges messages; many at once, none of them blocking
 *
 * A job is one message on its way: a judge (judge.h), the DNS questions it waits for, and its scan.
 * Whenever something comes in, the checks that wait are run again; when all are done, the ruling is
 * sent. A job lives at most 20 s on DNS's account and a bounded time on the scanner's; what did not
 * come by then counts as DNS trouble, or as a failed scan (which never lets the message through).
 *
 * Errors: no room for one more job, or no memory: the verdict is "defer". The worker keeps nothing
 * between messages but score.db, opened for reading. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/admin.h"
#include "base/clock.h"
#include "base/dns/client.h"
#include "base/envelope.h"
#include "base/log.h"
#include "base/qid.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "filters/check.h"
#include "filters/reports.h"
#include "filters/seen.h"
#include "filters/tokens.h"
#include "filters/verdict.h"

#define JOBS_MAX 64
#define DNS_SECONDS 20
#define SCAN_QUEUE                                                                                 \
	4 /* messages that may stand before ours at a scanner, for the time it may take */
#define ANSWER_MAX (FRAME_MAX - 4096)

struct job;
struct asked { /* a DNS question under way */
	struct job *job;
	size_t question;
	struct dns_query *query;
};

struct job {
	struct judge *judge;
	struct body body;
	struct pool *pool; /* texts of the facts */
	struct facts facts;
	struct reply_to to;
	bool admin; /* filter.test */
	struct asked asked[JUDGE_QUESTIONS_MAX];
	uint64_t scan; /* token of the request */
	int fd;        /* of the body, or -1 */
	struct event *timer;
	struct job *next, **prev;
};

static struct job *jobs;
static unsigned n_jobs;
static struct score *learned;

static void job_step(struct job *job);

static void
exit_when_done(void)
{
	if (role_stopping() && n_jobs == 0 && reports_idle())
		role_exit(0);
}

static void
job_free(struct job *job)
{
	for (size_t i = 0; i < COUNT(job->asked); i++)
		dns_cancel(&job->asked[i].query);
	link_forget(job->scan);
	if (job->timer != NULL)
		event_free(job->timer);
	judge_free(&job->judge);
	body_close(&job->body);
	if (job->fd >= 0)
		close(job->fd);
	pool_free(&job->pool);
	if (job->prev != NULL) {
		*job->prev = job->next;
		if (job->next != NULL)
			job->next->prev = job->prev;
		n_jobs--;
	}
	free(job);
	exit_when_done();
}

/* -- answers */

static void
put_hits(struct buf *b, const struct judge *j)
{
	for (size_t i = 0; i < j->n_hits && b->len < ANSWER_MAX; i++) {
		const struct hit *h = &j->hits[i];

		wire_put_text(b, h->check);
		wire_put_text(b, h->result);
		wire_put_i64(b, h->score);
		wire_put_text(b, h->text);
	}
}

static void
answer_check(const struct job *job, const struct ruling *r)
{
	struct buf *b = reply_begin(job->to, MSG_FILTER_IS), cuts;

	buf_init(&cuts, ENVELOPE_CUTS_MAX * 16);
	cuts_put(&cuts, r->cuts, r->n_cuts);
	wire_put_u64(b, r->verdict);
	wire_put_text(b, r->reply);
	wire_put_text(b, r->why);
	wire_put_bytes(b, buf_all(&r->prefix));
	wire_put_bytes(b, buf_all(&cuts));
	wire_put_i64(b, r->score);
	wire_put_i64(b, r->required);
	wire_put_text(b, r->authentication_results);
	wire_put_u64(b, job->judge->chain);
	put_hits(b, job->judge);
	reply_send(job->to, -1);
	buf_free(&cuts);
}

static void
answer_test(const struct job *job, const struct ruling *r)
{
	const struct judge *j = job->judge;
	char score[32], required[32];
	struct admin_word verdict[] = { { "verdict", verdict_name(r->verdict) },
		{ "reply", r->reply }, { "why", r->why }, { "score", score },
		{ "required", required }, { "authentication_results", r->authentication_results } };

	snprintf(score, sizeof(score), "%lld", (long long)r->score);
	snprintf(required, sizeof(required), "%lld", (long long)r->required);
	admin_reply_row(job->to, verdict, COUNT(verdict));
	for (size_t i = 0; i < j->n_hits; i++) {
		const struct hit *h = &j->hits[i];
		struct admin_word row[] = { { "check", h->check }, { "result", h->result },
			{ "score", score }, { "text", h->text } };

		snprintf(score, sizeof(score), "%lld", (long long)h->score);
		admin_reply_row(job->to, row, COUNT(row));
	}
	admin_reply_end(job->to, NULL);
}

static void
tell_trace(const struct job *job, const struct ruling *r)
{
	const struct facts *f = &job->facts;
	const struct mime_field *id;
	const char *text =
	    pool_printf(job->judge->pool, "%s, %s", verdict_name(r->verdict), r->why);
	struct event_note note = { .qid = f->qid,
		.event = EVENT_FILTERED,
		.text = text,
		.from = f->from,
		.to = f->rcpt,
		.ip = f->ip,
		.user = f->user };

	if (judge_field(job->judge, "Message-ID", &id) > 0)
		note.msgid = judge_clean(job->judge, slice_trim(id->value), 255);
	role_event(&note);
}

static void
job_finish(struct job *job)
{
	struct ruling r;

	ruling_make(job->judge, &r);
	if (job->admin) {
		answer_test(job, &r);
	} else {
		answer_check(job, &r);
		tell_trace(job, &r);
		seen_note(job->judge, r.verdict);
		if (r.verdict == VERDICT_ACCEPT)
			reports_look(job->judge);
	}
	ruling_free(&r);
	job_free(job);
}

/* -- waiting */

static void
got_dns(void *arg, const struct dns_answer *a)
{
	struct asked *asked = arg;

	asked->query = NULL;
	judge_answer(asked->job->judge, asked->question, a->status, a->rdata, a->n);
	job_step(asked->job);
}

static void
scan_answered(struct job *job, enum scan_status status, const char *text)
{
	struct judge *j = job->judge;

	job->scan = 0;
	j->scan = SCAN_ANSWERED;
	j->scan_status = status;
	j->scan_text = judge_clean(j, slice_of(text), 200);
}

static void
got_scan(void *arg, struct frame *answer)
{
	struct job *job = arg;
	char text[256] = "the scanner died over it";
	uint64_t status = SCAN_FAILED;

	if (answer != NULL) {
		status = wire_u64(&answer->in);
		wire_text_to(&answer->in, text, sizeof(text));
	}
	scan_answered(job, status > SCAN_FAILED ? SCAN_FAILED : (enum scan_status)status, text);
	job_step(job);
}

static void
ask_scan(struct job *job)
{
	struct buf *b = request_begin(MSG_SCAN);
	struct slice body = job->facts.message;

	wire_put_u64(b, job->facts.qid);
	wire_put_bytes(b, job->fd >= 0 ? (struct slice){ 0 } : body);
	job->judge->scan = SCAN_ASKED;
	job->scan = link_request(role_link(ROLE_SCAN), job->fd, got_scan, job);
	if (job->scan == 0)
		scan_answered(job, SCAN_FAILED, "no scanner is there");
}

/* Send what is new; true when something was answered at once. */
static bool
ask_all(struct job *job)
{
	struct judge *j = job->judge;
	bool answered = false;

	for (size_t i = 0; i < j->n_questions; i++) {
		struct question *q = &j->questions[i];

		if (q->state != QUESTION_NEW)
			continue;
		q->state = QUESTION_SENT;
		job->asked[i] = (struct asked){ job, i, NULL };
		job->asked[i].query = dns_ask(q->name, q->type, got_dns, &job->asked[i]);
		if (job->asked[i].query == NULL) {
			judge_answer(j, i, DNS_TEMPORARY, NULL, 0);
			answered = true;
		}
	}
	if (j->scan == SCAN_WANTED) {
		ask_scan(job);
		answered = answered || j->scan == SCAN_ANSWERED;
	}
	return answered;
}

static void
job_step(struct job *job)
{
	do {
		if (checks_run(job->judge) == CHECK_DONE) {
			job_finish(job);
			return;
		}
	} while (ask_all(job));
	if (!judge_waits(job->judge)) {
		/* a check waits for nothing: cannot happen, but must not hang the message */
		log_error("a check waits for nothing");
		judge_give_up_dns(job->judge);
		if (checks_run(job->judge) == CHECK_WAIT)
			log_error("a check does not end");
		job_finish(job);
	}
}

/* First DNS's time is over, then the scanner's. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct job *job = arg;
	struct judge *j = job->judge;
	int64_t scan_ms = role_conf()->antivirus.timeout * SCAN_QUEUE;
	struct timeval more = { scan_ms / 1000, scan_ms % 1000 * 1000 };

	(void)fd;
	(void)what;
	if (!j->dns_over) {
		for (size_t i = 0; i < COUNT(job->asked); i++)
			dns_cancel(&job->asked[i].query);
		judge_give_up_dns(j);
		event_add(job->timer, &more);
	} else if (j->scan == SCAN_ASKED) {
		link_forget(job->scan);
		scan_answered(job, SCAN_FAILED, "the scanner takes too long");
	}
	job_step(job);
}

/* -- a message comes in */

static struct job *
job_new(struct frame *f, size_t texts)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->fd = -1;
	job->to = reply_later(f);
	job->pool = pool_new(texts);
	if (job->pool == NULL) {
		free(job);
		return NULL;
	}
	return job;
}

/* The facts are there (all but the message): open it and go. false: it cannot be. */
static bool
job_start(struct job *job, struct slice in_frame, int fd)
{
	static const struct timeval dns_time = { DNS_SECONDS, 0 };

	job->fd = fd;
	if (fd < 0) {
		/* the frame is gone when the handler returns */
		in_frame = pool_slice(job->pool, in_frame);
		if (in_frame.at == NULL)
			return false;
	}
	if (body_open(&job->body, in_frame, fd) == -1)
		return false;
	job->facts.message = job->body.bytes;
	job->judge = judge_new(&job->facts, role_conf(), learned);
	job->timer = event_new(role_base(), -1, 0, on_timer, job);
	if (job->judge == NULL || job->timer == NULL || event_add(job->timer, &dns_time) == -1)
		return false;
	job->next = jobs;
	job->prev = &jobs;
	if (jobs != NULL)
		jobs->prev = &job->next;
	jobs = job;
	n_jobs++;
	job_step(job);
	return true;
}

static void
defer(struct reply_to to, const char *reply)
{
	struct buf *b = reply_begin(to, MSG_FILTER_IS);

	wire_put_u64(b, VERDICT_DEFER);
	wire_put_text(b, reply);
	wire_put_text(b, reply);
	wire_put_bytes(b, (struct slice){ 0 });
	wire_put_bytes(b, (struct slice){ 0 });
	wire_put_u64(b, 0);
	wire_put_u64(b, 0);
	wire_put_text(b, "");
	wire_put_u64(b, CHAIN_UNKNOWN);
	reply_send(to, -1);
}

static void
on_check(struct frame *f)
{
	struct reply_to to = reply_later(f);
	struct job *job = n_jobs < JOBS_MAX ? job_new(f, 2 * FRAME_MAX) : NULL;
	struct slice body;
	struct facts *facts;

	if (job == NULL) {
		defer(to, "451 4.7.1 The filter is busy; please try again later");
		return;
	}
	facts = &job->facts;
	facts->qid = wire_u64(&f->in);
	facts->kind = (enum listener_kind)wire_u64(&f->in);
	facts->ip = wire_text(&f->in, job->pool);
	facts->helo = wire_text(&f->in, job->pool);
	facts->from = wire_text(&f->in, job->pool);
	facts->user = wire_text(&f->in, job->pool);
	facts->tls = wire_u64(&f->in) != 0;
	facts->rcpt = wire_text(&f->in, job->pool);
	facts->now = wire_i64(&f->in);
	if (facts->now == 0)
		facts->now = clock_now();
	body = wire_bytes(&f->in);
	if (!job_start(job, body, frame_take_fd(f))) {
		job_free(job);
		defer(to,
		    "451 4.7.1 The message cannot be read by the filter; please try again later");
	}
}

/* -- the administrator */

static const char *
word(struct job *job, const struct admin_request *rq, const char *key, const char *none)
{
	const char *value = admin_get(rq, key),
		   *copy = pool_text(job->pool, slice_of(value == NULL ? none : value));

	return copy == NULL ? "" : copy;
}

static int
start_test(struct frame *f, const struct admin_request *rq, struct err *err)
{
	struct job *job;
	uint64_t now;
	struct ip ip;

	if (admin_get_u64(rq, "now", 0, &now, err) == -1)
		return -1;
	if (rq->fd < 0)
		return err_set(err, ERR_USAGE, "the message is missing");
	if (!ip_parse(admin_get(rq, "ip") == NULL ? "127.0.0.1" : admin_get(rq, "ip"), &ip))
		return err_set(err, ERR_USAGE, "%.60s is no IP address", admin_get(rq, "ip"));
	job = n_jobs < JOBS_MAX ? job_new(f, 2 * FRAME_MAX) : NULL;
	if (job == NULL)
		return err_set(err, ERR_TEMPORARY, "the filter is busy; try again");
	job->admin = true;
	job->facts = (struct facts){ .kind = LISTEN_MX,
		.ip = word(job, rq, "ip", "127.0.0.1"),
		.helo = word(job, rq, "helo", ""),
		.from = word(job, rq, "from", ""),
		.user = "",
		.rcpt = word(job, rq, "to", ""),
		.now = now == 0 ? clock_now() : (int64_t)now };
	if (job_start(job, (struct slice){ 0 }, frame_take_fd(f)))
		return 0;
	job_free(job);
	return err_set(err, ERR_TEMPORARY, "the message cannot be read");
}

/* Rows of 100 tokens, 16 hexadecimal digits each. */
static int
send_tokens(struct frame *f, const struct admin_request *rq, struct err *err)
{
	static struct tokens tokens;
	char text[100][17];
	struct admin_word row[100];
	struct body body;
	size_t n = 0;

	if (rq->fd < 0 || body_open(&body, (struct slice){ 0 }, rq->fd) == -1)
		return err_set(err, ERR_USAGE, "the message cannot be read");
	tokens_of_message(body.bytes, &tokens);
	body_close(&body);
	for (size_t i = 0; i < tokens.n; i++) {
		snprintf(text[n], sizeof(text[n]), "%016llx", (unsigned long long)tokens.at[i]);
		row[n] = (struct admin_word){ "token", text[n] };
		if (++n == COUNT(row) || i + 1 == tokens.n) {
			admin_reply_row(reply_later(f), row, n);
			n = 0;
		}
	}
	admin_reply_end(reply_later(f), NULL);
	return 0;
}

static void
on_admin(struct frame *f)
{
	struct pool *pool = pool_new(2 * FRAME_MAX);
	struct admin_request rq = { .fd = -1 };
	struct err err = { 0 };
	int rc;

	if (pool == NULL || admin_from_frame(f, pool, &rq) == -1)
		rc = err_set(&err, ERR_USAGE, "the request cannot be read");
	else if (strcmp(rq.verb, "filter.test") == 0)
		rc = start_test(f, &rq, &err);
	else if (strcmp(rq.verb, "filter.tokens") == 0)
		rc = send_tokens(f, &rq, &err);
	else
		rc = err_set(&err, ERR_USAGE, "the filter knows no verb %.40s", rq.verb);
	if (rc == -1)
		admin_reply_end(reply_later(f), &err);
	pool_free(&pool);
}

/* -- the role */

static int
filter_open(struct err *err)
{
	struct err why = { 0 };

	(void)err;
	/* without the classifier all else still works */
	learned = score_open(DB_READ, &why);
	if (learned == NULL)
		log_warning("score.db cannot be read, so the classifier is off: %s", why.text);
	sandbox_grant("score.db", SANDBOX_READ);
	sandbox_grant("score.db-wal", SANDBOX_READ);
	sandbox_grant("score.db-shm", SANDBOX_READ | SANDBOX_WRITE);
	return 0;
}

/* Jobs under way go on with the new configuration; the old one is freed when this returns. */
static int
filter_reload(struct err *err)
{
	(void)err;
	for (struct job *job = jobs; job != NULL; job = job->next)
		job->judge->conf = role_conf();
	return 0;
}

static void
filter_stop(void)
{
	seen_flush();
	reports_on_idle(exit_when_done);
	exit_when_done();
}

static const struct msg_handler handlers[] = {
	{ MSG_FILTER_CHECK, on_check },
	{ MSG_ADMIN, on_admin },
	{ MSG_NONE, NULL },
};

static const struct role_ops ops = {
	.role = ROLE_FILTER,
	.handlers = handlers,
	.open = filter_open,
	.start = seen_start,
	.reload = filter_reload,
	.stop = filter_stop,
};

int
main(void)
{
	return role_main(&ops);
}
