/* relay_explain - what would be done with mail to a domain
 *
 * The same route and the same hosts that a job would get (route.c, relay_hosts.c), only that nobody connects. Each
 * question lives until DNS has answered, which has a time limit of its own; EXPLAINED_MAX at a time. */
#include "delivery/relay_explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/admin.h"
#include "base/role.h"
#include "conf/conf.h"
#include "delivery/relay_hosts.h"
#include "delivery/relay_idn.h"
#include "delivery/route.h"

#define EXPLAINED_MAX 50

struct question {
	struct reply_to to;
	struct hosts *hosts;
	unsigned shown;
};

static unsigned asked;

static const char *
tls_name(const struct route *r)
{
	static const char *const names[] = { [TLS_NONE] = "none",
		[TLS_OPPORTUNISTIC] = "opportunistic",
		[TLS_REQUIRED] = "required",
		[TLS_VERIFIED] = "verified" };

	return names[r->tls];
}

static void
route_row(struct reply_to to, const struct route *r)
{
	char port[12];
	struct admin_word words[] = { { "row", "route" }, { "route", r->name },
		{ "by", r->by_mx ? "mx" : r->name[0] != '\0' ? "configuration" : "address" },
		{ "host", r->host }, { "port", port }, { "tls", tls_name(r) },
		{ "protocol", r->lmtp ? "lmtp" : "smtp" } };

	snprintf(port, sizeof(port), "%u", r->port);
	admin_reply_row(to, words, COUNT(words));
}

static void
host_row(struct question *q, const struct target *t)
{
	char number[12];
	struct admin_word words[] = { { "row", "host" }, { "number", number }, { "host", t->host },
		{ "address", t->address.text },
		{ "policy", policy_words(t->policy) } };

	snprintf(number, sizeof(number), "%u", ++q->shown);
	admin_reply_row(q->to, words, COUNT(words));
}

static void
problem_row(struct reply_to to, bool permanent, const char *text)
{
	struct admin_word words[] = { { "row", "problem" }, { "status", permanent ? "permanent" : "temporary" },
		{ "text", text } };

	admin_reply_row(to, words, COUNT(words));
}

static void
question_end(struct question *q)
{
	const struct result *why = hosts_why(q->hosts);

	if (why->status != STEP_OK)
		problem_row(q->to, why->status == STEP_PERMANENT, why->text);
	admin_reply_end(q->to, NULL);
	hosts_free(&q->hosts);
	free(q);
	asked--;
}

static void
go_on(void *arg)
{
	struct question *q = arg;
	struct target target;

	for (;;) {
		switch (hosts_next(q->hosts, &target)) {
		case HOSTS_WAIT:
			return;
		case HOSTS_END:
			question_end(q);
			return;
		case HOSTS_TARGET:
			host_row(q, &target);
		}
	}
}

/* The hosts of a route, as far as DNS knows them. -1 + err. */
static int
ask_hosts(struct reply_to to, const struct route *route, struct err *err)
{
	struct question *q = asked < EXPLAINED_MAX ? calloc(1, sizeof(*q)) : NULL;

	if (q == NULL || (q->hosts = hosts_new(route, go_on, q)) == NULL) {
		free(q);
		return err_set(err, ERR_TEMPORARY, "too many such questions at once; try again");
	}
	asked++;
	q->to = to;

	go_on(q);
	return 0;
}

/* 1: it goes on, 0: it is answered, -1 + err. */
static int
explain(struct frame *f, const struct admin_request *rq, struct err *err)
{
	const char *name = admin_get(rq, "domain"), *from = admin_get(rq, "from");
	char domain[IDN_SIZE];
	struct route route;
	struct err why = { 0 };

	if (strcmp(rq->verb, "relay.route") != 0 || name == NULL)
		return err_set(err, ERR_USAGE, "no such request: %.60s", rq->verb);
	if (!idn_ascii(slice_of(name), domain))
		slice_copy(slice_of(name), domain, sizeof(domain));
	if (route_choose(role_conf(), domain, from, &route, &why) == -1) {
		problem_row(reply_later(f), why.kind == ERR_PERMANENT, why.text);
		return 0;
	}
	route_row(reply_later(f), &route);
	return ask_hosts(reply_later(f), &route, err) == -1 ? -1 : 1;
}

void
explain_on_request(struct frame *f)
{
	struct pool *pool = pool_new(128 * 1024);
	struct admin_request rq;
	struct err err = { 0 };
	int rc = -1;

	if (pool == NULL || admin_from_frame(f, pool, &rq) == -1)
		err_set(&err, ERR_USAGE, "the request cannot be read");
	else
		rc = explain(f, &rq, &err);
	if (rc <= 0)
		admin_reply_end(reply_later(f), rc == -1 ? &err : NULL);
	pool_free(&pool);
}
