/* queue_suspend - the administrator's verbs about destinations: queue.suspend, queue.resume, queue.destinations
 *
 * A suspension is in queue.db before the administrator is told that it holds; it is effective at once. Mail for a suspended
 * domain stays ready, and is not given up there: the other side cannot help it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/admin.h"
#include "delivery/queue_dest.h"

#define SUSPENDED_MAX 10000
#define WHY_MAX 200

/* -- at start */

static bool
on_suspended(void *arg, const char *domain, int64_t since, const char *why)
{
	(void)arg;
	return dest_suspend(domain, since, why) == 0;
}

int
suspend_load(struct queue_store *store, struct err *err)
{
	return queue_store_suspended(store, on_suspended, NULL, err);
}

/* -- suspend and resume */

struct change {
	struct op op;
	struct reply_to to;
	bool suspend;
	int64_t since;
	uint64_t waiting; /* recipients */
	char why[WHY_MAX + 1], domain[256];
};

static int
change_run(struct op *op, struct queue_store *s, struct err *err)
{
	struct change *c = (struct change *)op;

	return c->suspend ? queue_store_suspend(s, c->domain, c->since, c->why, err)
			  : queue_store_resume(s, c->domain, err);
}

static void
change_done(struct op *op, const struct err *err)
{
	struct change *c = (struct change *)op;
	char waiting[24];
	struct admin_word words[] = { { "domain", c->domain }, { "recipients", waiting } };

	snprintf(waiting, sizeof(waiting), "%llu", (unsigned long long)c->waiting);
	if (err == NULL)
		admin_reply_row(c->to, words, COUNT(words));
	admin_reply_end(c->to, err);
	free(c);
	flow_pump();
}

static uint64_t
waiting_for(const char *domain)
{
	struct dest *d = index_dest(queue.index, slice_of(domain), false);

	return d != NULL ? d->entries : 0;
}

/* A domain as destinations are named: what stands behind the @, in lower case. */
static int
read_domain(const struct admin_request *rq, char out[static 256], struct err *err)
{
	const char *domain = admin_get(rq, "domain");

	if (domain == NULL || domain[0] == '\0' || strlen(domain) > 255 || strpbrk(domain, "@ \t") != NULL)
		return err_set(err, ERR_USAGE, "name a domain: what stands behind the @ of its addresses");
	for (size_t i = 0; i <= strlen(domain); i++)
		out[i] = domain[i] >= 'A' && domain[i] <= 'Z' ? (char)(domain[i] + 32) : domain[i];
	return 0;
}

static int
change_now(struct change *c, struct err *err)
{
	if (!c->suspend)
		return dest_resume(c->domain) ? 0
					      : err_set(err, ERR_NOT_FOUND, "mail to %s is not suspended", c->domain);
	if (dests_suspended() >= SUSPENDED_MAX)
		return err_set(err, ERR_FULL, "%d destinations are suspended already; resume some", SUSPENDED_MAX);
	if (dest_suspend(c->domain, c->since, c->why) == -1)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	return 0;
}

int
suspend_change(struct frame *f, const struct admin_request *rq, bool suspend, struct err *err)
{
	const char *why = admin_get(rq, "why");
	struct change *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	c->op = (struct op){ .kind = OP_WORK, .run = change_run, .done = change_done };
	c->to = reply_later(f);
	c->suspend = suspend;
	c->since = clock_now();
	snprintf(c->why, sizeof(c->why), "%s", why != NULL ? why : "");
	if (read_domain(rq, c->domain, err) == -1 || change_now(c, err) == -1) {
		free(c);
		return -1;
	}
	c->waiting = waiting_for(c->domain);
	writer_submit(queue.writer, &c->op);
	return 0;
}

/* -- what there is */

static void
number(char out[static 24], int64_t n)
{
	snprintf(out, 24, "%lld", (long long)n);
}

static void
dest_row(void *arg, struct dest *d)
{
	struct reply_to *to = arg;
	char waiting[24], active[24], limit[24], until[24], since[24], why[700];
	const char *state = dest_state(d, why);
	struct admin_word words[] = { { "domain", d->domain }, { "state", state[0] != '\0' ? state : "open" },
		{ "recipients", waiting }, { "sessions", active }, { "limit", limit }, { "until", until },
		{ "since", since }, { "why", d->suspended != NULL ? d->suspended : d->said != NULL ? d->said : "" } };

	number(waiting, d->entries);
	number(active, d->active);
	number(limit, dest_limit(d));
	number(until, d->paused ? d->paused_until : 0);
	number(since, d->suspended != NULL ? d->suspended_since : 0);
	admin_reply_row(*to, words, COUNT(words));
}

static void
only_notable(void *arg, struct dest *d)
{
	if (d->suspended != NULL || d->paused)
		dest_row(arg, d);
}

void
suspend_list(struct frame *f, const struct admin_request *rq)
{
	const char *domain = admin_get(rq, "domain");
	struct reply_to to = reply_later(f);
	struct dest *d = domain != NULL ? index_dest(queue.index, slice_of(domain), false) : NULL;

	if (d != NULL)
		dest_row(&to, d);
	else if (domain == NULL)
		index_each_dest(queue.index, admin_get(rq, "notable") != NULL ? only_notable : dest_row, &to);
	admin_reply_end(to, NULL);
}
