/* control_tls - what relay learns of other servers' TLS, kept in history.db: counted sessions, and MTA-STS policies
 *
 * Relay has no file that it may write. Each frame becomes a job of the keeper's thread; when that has
 * too many, counts are lost, a policy is not kept, and a question is answered "none". */
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/log.h"
#include "storage/history_tls.h"

#define COUNTS_MAX 256

struct tls_job {
	struct job job; /* first */
	struct pool *pool;
	struct tls_count counts[COUNTS_MAX];
	size_t n;
	struct sts_kept policy;
	struct reply_to to;
	int rc;
	struct err err;
};

static void
job_free(struct tls_job *t)
{
	pool_free(&t->pool);
	free(t);
}

static struct tls_job *
job_new(void)
{
	struct tls_job *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->pool = pool_new(2 * FRAME_MAX);
	if (t->pool == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

static bool
job_start(struct tls_job *t, void (*run)(struct job *), void (*done)(struct job *))
{
	t->job = (struct job){ run, done, NULL };
	if (workers_submit(control.keeper, &t->job) == 0)
		return true;
	job_free(t);
	return false;
}

static void
job_done(struct job *job)
{
	struct tls_job *t = (struct tls_job *)job;

	if (t->rc == -1)
		log_error("history.db could not be written: %s", t->err.text);
	job_free(t);
}

/* -- sessions */

static void
count_run(struct job *job)
{
	struct tls_job *t = (struct tls_job *)job;

	t->rc = history_tls_add(control.history, t->counts, t->n, &t->err);
}

void
tls_take_counts(struct frame *f)
{
	struct tls_job *t = job_new();

	if (t == NULL)
		return;
	while (t->n < COUNTS_MAX && wire_more(&f->in)) {
		struct tls_count *c = &t->counts[t->n++];

		c->day = wire_i64(&f->in);
		c->domain = wire_text(&f->in, t->pool);
		c->type = wire_text(&f->in, t->pool);
		c->lines = wire_text(&f->in, t->pool);
		c->host = wire_text(&f->in, t->pool);
		c->ip = wire_text(&f->in, t->pool);
		c->own_ip = wire_text(&f->in, t->pool);
		c->result = wire_text(&f->in, t->pool);
		c->why = wire_text(&f->in, t->pool);
		c->sessions = wire_i64(&f->in);
	}
	job_start(t, count_run, job_done);
}

/* -- policies */

static void
put_run(struct job *job)
{
	struct tls_job *t = (struct tls_job *)job;

	t->rc = history_sts_put(control.history, &t->policy, &t->err);
}

void
tls_take_policy(struct frame *f)
{
	struct tls_job *t = job_new();

	if (t == NULL)
		return;
	t->policy.domain = wire_text(&f->in, t->pool);
	t->policy.id = wire_text(&f->in, t->pool);
	t->policy.fetched = wire_i64(&f->in);
	t->policy.expires = wire_i64(&f->in);
	t->policy.text = wire_text(&f->in, t->pool);
	job_start(t, put_run, job_done);
}

static void
answer(struct reply_to to, const struct sts_kept *policy)
{
	static const struct sts_kept none = { "", "", "", 0, 0 };
	const struct sts_kept *p = policy != NULL ? policy : &none;
	struct buf *out = reply_begin(to, MSG_STS_IS);

	wire_put_u64(out, policy != NULL);
	wire_put_text(out, p->id);
	wire_put_i64(out, p->fetched);
	wire_put_i64(out, p->expires);
	wire_put_text(out, p->text);
	reply_send(to, -1);
}

static void
get_run(struct job *job)
{
	struct tls_job *t = (struct tls_job *)job;

	t->rc = history_sts_get(
	    control.history, t->policy.domain, clock_now(), t->pool, &t->policy, &t->err);
}

static void
get_done(struct job *job)
{
	struct tls_job *t = (struct tls_job *)job;

	if (t->rc == -1)
		log_error("history.db could not be read: %s", t->err.text);
	answer(t->to, t->rc == 1 ? &t->policy : NULL);
	job_free(t);
}

void
tls_tell_policy(struct frame *f)
{
	struct reply_to to = reply_later(f);
	struct tls_job *t = job_new();

	if (t != NULL) {
		t->to = to;
		t->policy.domain = wire_text(&f->in, t->pool);
		if (job_start(t, get_run, get_done))
			return;
	}
	answer(to, NULL);
}
