/* control_own - requests that control answers itself
 *
 * What reads history.db or score.db runs in the keeper's thread, behind the events gathered so far,
 * so that `trace` knows what happened a moment ago. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/control_check.h"
#include "admin/control_dkim.h"
#include "admin/rows.h"
#include "admin/spam.h"
#include "base/clock.h"
#include "storage/history_admin.h"

struct own {
	struct rows rows;
	const struct admin_verb *verbs;
	void *store;
};

/* -- in the keeper's thread */

static void
own_run(struct job *job)
{
	struct request *r = (struct request *)job;
	struct own *own = r->own;

	r->rc = admin_run(own->verbs, own->store, &r->rq, &own->rows.out, &r->err);
}

static void
own_done(struct job *job)
{
	struct request *r = (struct request *)job;
	struct own *own = r->own;
	size_t sent = 0;

	while (sent < own->rows.n && request_row(r, own->rows.at[sent].words, own->rows.at[sent].n))
		sent++;
	if (r->rc == 0 && (sent < own->rows.n || own->rows.failed))
		r->rc = err_set(&r->err, ERR_TEMPORARY,
		    "the list is too long: these are the first %zu of %zu; ask for a part of it",
		    sent, own->rows.n);
	rows_free(&own->rows);
	request_end(r, r->rc == -1 ? &r->err : NULL);
}

static void
in_keeper(struct request *r, const struct admin_verb *verbs, void *store)
{
	struct own *own = calloc(1, sizeof(*own));

	r->own = own;
	if (own == NULL) {
		err_set(&r->err, ERR_TEMPORARY, "out of memory");
		request_end(r, &r->err);
		return;
	}
	rows_init(&own->rows);
	own->verbs = verbs;
	own->store = store;
	r->job = (struct job){ own_run, own_done, NULL };
	if (workers_submit(control.keeper, &r->job) == 0)
		return;
	err_set(&r->err, ERR_TEMPORARY, "too many requests at once; try again");
	request_end(r, &r->err);
}

/* -- the verbs */

static void
own_trace(struct request *r)
{
	events_flush();
	in_keeper(r, history_admin_verbs, control.history);
}

static void
own_stats(struct request *r)
{
	in_keeper(r, spam_admin_verbs, control.score);
}

static void
own_status(struct request *r)
{
	char started[24], lines[24], events[24];
	struct admin_word words[] = { { "started", started }, { "lines_dropped", lines },
		{ "events_dropped", events } };

	snprintf(started, sizeof(started), "%" PRId64, control.started);
	snprintf(lines, sizeof(lines), "%" PRIu64, logger_dropped());
	snprintf(events, sizeof(events), "%" PRIu64, events_dropped());
	request_row(r, words, COUNT(words));
	request_end(r, NULL);
}

static const struct {
	const char *verb;
	void (*start)(struct request *r);
} verbs[] = {
	{ "trace", own_trace },
	{ "dmarc.show", own_trace },
	{ "tlsrpt.show", own_trace },
	{ "tlsrpt.waiting", own_trace },
	{ "spam.stats", own_stats },
	{ "spam.learn", learn_start },
	{ "status", own_status },
	{ "status.check", check_start },
	{ "dns.ask", dns_start },
	{ "dkim.list", dkim_list_start },
	{ "dkim.activate", dkim_activate_start },
};

void
own_start(struct request *r)
{
	for (size_t i = 0; i < COUNT(verbs); i++) {
		if (strcmp(verbs[i].verb, r->plan.step[r->step].verb) != 0)
			continue;
		verbs[i].start(r);
		return;
	}
	err_set(&r->err, ERR_USAGE, "no such request: %.60s", r->rq.verb);
	request_end(r, &r->err);
}
