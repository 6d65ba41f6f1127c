/* control_dmarc - what filter saw of DMARC, kept in history.db until it is reported
 *
 * Each frame becomes a job of the keeper's thread; when that has too many, the frame is lost. */
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/control_tell.h"
#include "base/log.h"
#include "conf/conf.h"

#define SEEN_MAX 512 /* in one frame */

struct seen_job {
	struct job job; /* first */
	struct pool *pool;
	struct dmarc_seen seen[SEEN_MAX];
	size_t n;
	int64_t interval; /* s */
	uint64_t dropped;
	int rc;
	struct err err;
};

/* in the keeper's thread */
static void
seen_run(struct job *job)
{
	struct seen_job *s = (struct seen_job *)job;

	s->rc = history_dmarc_add(control.history, s->seen, s->n, s->interval, &s->dropped, &s->err);
}

static void
seen_free(struct seen_job *s)
{
	pool_free(&s->pool);
	free(s);
}

static void
seen_done(struct job *job)
{
	struct seen_job *s = (struct seen_job *)job;

	if (s->rc == -1)
		log_error("history.db could not be written, %zu messages are missing in DMARC reports: %s",
		    s->n, s->err.text);
	else if (s->dropped > 0)
		log_warning("%llu messages are in no DMARC report: there are too many domains",
		    (unsigned long long)s->dropped);
	seen_free(s);
}

static struct dmarc_seen
read_seen(struct frame *f, struct pool *pool)
{
	struct dmarc_seen m = { .time = wire_i64(&f->in) };
	const char **texts[] = { &m.domain, &m.organization, &m.policy, &m.rua, &m.ip,
		&m.disposition, &m.dkim, &m.spf, &m.reasons, &m.header_from, &m.envelope_from,
		&m.results };

	for (size_t i = 0; i < COUNT(texts); i++)
		*texts[i] = wire_text(&f->in, pool);
	return m;
}

void
dmarc_take(struct frame *f)
{
	struct seen_job *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return;
	s->pool = pool_new(2 * FRAME_MAX);
	s->interval = role_conf()->reports.interval / 1000;
	while (s->pool != NULL && s->n < SEEN_MAX && wire_more(&f->in))
		s->seen[s->n++] = read_seen(f, s->pool);
	s->job = (struct job){ seen_run, seen_done, NULL };
	if (s->n == 0 || workers_submit(control.keeper, &s->job) == -1)
		seen_free(s);
}
