/* relay_sts - the MTA-STS policy of a recipient's domain (RFC 8461), kept, renewed and shared by all who ask
 *
 * One entry a domain, looked up in three steps, each only when needed:
 *
 *   KEPT    ask control, which keeps policies over restarts (storage/history_tls.c)
 *   RECORD  ask DNS for _mta-sts.DOMAIN: is there a policy, and another one than we have (its id)?
 *   POLICY  fetch it (sts_fetch.c)
 *
 * Whatever fails, a policy that we have stays in force until its max_age is over: who can cut DNS or
 * HTTPS must not be able to switch it off (RFC 8461 10.2). After a failure it is not fetched again for
 * some minutes. A policy past half of its life, or a day old, is fetched anew while it serves. */
#include "delivery/relay_sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/dns/client.h"
#include "base/log.h"
#include "base/role.h"
#include "delivery/sts_fetch.h"

#define ENTRIES_MAX 2000
#define BUCKETS 512
#define RECORD_LEAST (60 * CLOCK_SECOND) /* DNS is not asked more often about one domain */
#define RECORD_MOST (3600 * CLOCK_SECOND)
#define FETCH_AGAIN (300 * CLOCK_SECOND) /* after a failure */
#define RENEW_AFTER (86400 * CLOCK_SECOND)
#define KEPT_PATIENCE 2 /* s for control's answer */

enum step { STEP_IDLE, STEP_KEPT, STEP_RECORD, STEP_POLICY };

struct sts_entry {
	struct sts_entry *next;
	char domain[DNS_NAME_TEXT];
	enum step step;
	bool kept_asked;
	uint64_t kept_token;
	struct event *patience;
	int64_t record_again, fetch_again; /* clock_mono: not before */
	char id[STS_ID], new_id[STS_ID];   /* of the policy we have; of the one being fetched */
	char *text;                        /* the policy we have, or NULL */
	enum sts_mode mode;
	int64_t fetched, expires; /* clock_now */
	enum tls_result fault;    /* of the last try to fetch; told once to those who waited */
	char why[200];
	struct sts_query *waiting;
};

struct sts_query {
	struct sts_query *next, **at; /* in the entry's list */
	sts_fn *fn;
	void *arg;
};

static struct sts_entry *buckets[BUCKETS];
static unsigned n_entries;

static void ask_record(struct sts_entry *e);

/* -- entries */

static unsigned
bucket_of(const char *domain)
{
	unsigned h = 5381;

	for (const char *p = domain; *p != '\0'; p++)
		h = h * 33 + (unsigned char)*p;
	return h % BUCKETS;
}

static bool
entry_idle(const struct sts_entry *e)
{
	return e->step == STEP_IDLE && e->waiting == NULL;
}

static void
entry_free(struct sts_entry *e)
{
	if (e->patience != NULL)
		event_free(e->patience);
	free(e->text);
	free(e);
	n_entries--;
}

/* Any one that nobody waits for; its policy is kept by control. */
static void
make_room(unsigned from)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct sts_entry **at = &buckets[(from + i) % BUCKETS]; *at != NULL;
		     at = &(*at)->next) {
			struct sts_entry *e = *at;

			if (!entry_idle(e))
				continue;
			*at = e->next;
			entry_free(e);
			return;
		}
	}
}

static struct sts_entry *
entry_for(const char *domain)
{
	unsigned b = bucket_of(domain);
	struct sts_entry *e;

	for (e = buckets[b]; e != NULL; e = e->next)
		if (strcmp(e->domain, domain) == 0)
			return e;
	if (n_entries >= ENTRIES_MAX)
		make_room(b + 1);
	if (n_entries >= ENTRIES_MAX || (e = calloc(1, sizeof(*e))) == NULL)
		return NULL;
	slice_copy(slice_of(domain), e->domain, sizeof(e->domain));
	e->next = buckets[b];
	buckets[b] = e;
	n_entries++;
	return e;
}

static bool
in_force(const struct sts_entry *e)
{
	return e->text != NULL && e->expires > clock_now();
}

/* -- answers */

static struct sts_view
view_of(const struct sts_entry *e)
{
	struct sts_view v = { .mode = STS_NONE, .text = "", .fault = e->fault, .why = e->why };

	if (in_force(e)) {
		v.mode = e->mode;
		v.text = e->text;
	}
	return v;
}

static void
tell_waiting(struct sts_entry *e)
{
	while (e->waiting != NULL) {
		struct sts_query *q = e->waiting;
		struct sts_view v = view_of(e);
		sts_fn *fn = q->fn;
		void *arg = q->arg;

		sts_cancel(&q);
		fn(arg, &v);
	}
	e->fault = TLS_FINE;
}

static void
settle(struct sts_entry *e)
{
	e->step = STEP_IDLE;
	tell_waiting(e);
}

/* -- the policy */

static void
keep(const struct sts_entry *e)
{
	struct buf *out = frame_begin(MSG_STS_PUT, 0);

	wire_put_text(out, e->domain);
	wire_put_text(out, e->id);
	wire_put_i64(out, e->fetched);
	wire_put_i64(out, e->expires);
	wire_put_text(out, e->text);
	link_send(role_link(ROLE_CONTROL), -1);
}

static bool
take_policy(struct sts_entry *e, const struct sts_policy *p, const char *id, int64_t fetched,
    int64_t expires)
{
	char *text = slice_dup(slice_of(p->text));

	if (text == NULL)
		return false;
	free(e->text);
	e->text = text;
	e->mode = p->mode;
	e->fetched = fetched;
	e->expires = expires;
	snprintf(e->id, sizeof(e->id), "%s", id);
	return true;
}

static void
fetch_failed(struct sts_entry *e, enum tls_result fault, const char *why)
{
	e->fault = fault;
	slice_copy(slice_of(why), e->why, sizeof(e->why));
	e->fetch_again = clock_mono() + FETCH_AGAIN;
	log_info("the MTA-STS policy of %s cannot be used (%s): %s%s", e->domain,
	    tls_result_name(fault), why, in_force(e) ? "; the one known stays in force" : "");
}

static void
fetched(void *arg, const struct sts_fetched *f)
{
	static struct sts_policy p; /* too large for a stack; used within this call */
	struct sts_entry *e = arg;
	int64_t now = clock_now();
	const char *wrong = NULL;

	if (f->result != TLS_FINE)
		fetch_failed(e, f->result, f->why);
	else if ((wrong = sts_parse(f->body, &p)) != NULL)
		fetch_failed(e, TLS_STS_INVALID, wrong);
	else if (take_policy(e, &p, e->new_id, now, now + (int64_t)p.max_age * CLOCK_SECOND))
		keep(e);
	settle(e);
}

static bool
stale(const struct sts_entry *e)
{
	int64_t now = clock_now();

	return now - e->fetched > RENEW_AFTER || now > e->fetched + (e->expires - e->fetched) / 2;
}

/* There is a policy, called `id`. */
static void
consider(struct sts_entry *e, const char *id)
{
	bool same = in_force(e) && strcmp(id, e->id) == 0;

	if ((same && !stale(e)) || clock_mono() < e->fetch_again) {
		settle(e);
		return;
	}
	snprintf(e->new_id, sizeof(e->new_id), "%s", id);
	e->step = STEP_POLICY;
	if (same)
		tell_waiting(e);
	if (sts_fetch(e->domain, fetched, e) == -1) {
		fetch_failed(e, TLS_STS_FETCH_ERROR, "too many are being fetched");
		settle(e);
	}
}

/* -- the record */

/* The one record of the version we know; false when there is none, or more than one (RFC 8461 3.1). */
static bool
one_record(const struct dns_answer *a, char id[static STS_ID])
{
	unsigned found = 0;

	for (size_t i = 0; i < a->n; i++) {
		char txt[600];
		size_t len;

		if (dns_rdata_txt(a->rdata[i], txt, sizeof(txt), &len) &&
		    slice_starts((struct slice){ txt, len }, SLICE("v=STSv1")))
			found += sts_record((struct slice){ txt, len }, id) ? 1 : 2;
	}
	return found == 1;
}

static void
got_record(void *arg, const struct dns_answer *a)
{
	struct sts_entry *e = arg;
	int64_t again = (int64_t)a->ttl * CLOCK_SECOND;
	char id[STS_ID];

	if (again < RECORD_LEAST)
		again = RECORD_LEAST;
	e->record_again = clock_mono() + (again < RECORD_MOST ? again : RECORD_MOST);
	if (a->status == DNS_OK && one_record(a, id))
		consider(e, id);
	else
		settle(e);
}

static void
ask_record(struct sts_entry *e)
{
	char name[DNS_NAME_TEXT];

	e->step = STEP_RECORD;
	snprintf(name, sizeof(name), "_mta-sts.%.240s", e->domain);
	if (dns_ask(name, DNS_TXT, got_record, e) == NULL)
		settle(e);
}

/* -- what control keeps */

static void
got_kept(void *arg, struct frame *f)
{
	static struct sts_policy p;
	struct sts_entry *e = arg;
	char id[STS_ID], text[STS_TEXT_MAX];
	int64_t since, until;
	bool known;

	e->kept_token = 0;
	evtimer_del(e->patience);
	if (f != NULL && f->type == MSG_STS_IS) {
		known = wire_u64(&f->in) == 1;
		wire_text_to(&f->in, id, sizeof(id));
		since = wire_i64(&f->in);
		until = wire_i64(&f->in);
		wire_text_to(&f->in, text, sizeof(text));
		if (known && wire_end(&f->in) == 0 && sts_parse(slice_of(text), &p) == NULL)
			take_policy(e, &p, id, since, until);
	}
	ask_record(e);
}

static void
no_patience(evutil_socket_t fd, short what, void *arg)
{
	struct sts_entry *e = arg;

	(void)fd, (void)what;
	link_forget(e->kept_token);
	e->kept_token = 0;
	ask_record(e);
}

static void
ask_kept(struct sts_entry *e)
{
	static const struct timeval patience = { KEPT_PATIENCE, 0 };
	struct link *control = role_link(ROLE_CONTROL);
	struct buf *out;

	e->kept_asked = true;
	e->patience = evtimer_new(role_base(), no_patience, e);
	if (control == NULL || e->patience == NULL) {
		ask_record(e);
		return;
	}
	e->step = STEP_KEPT;
	out = request_begin(MSG_STS_GET);
	wire_put_text(out, e->domain);
	e->kept_token = link_request(control, -1, got_kept, e);
	if (e->kept_token == 0)
		ask_record(e);
	else
		evtimer_add(e->patience, &patience);
}

/* -- the asker's side */

struct sts_query *
sts_ask(const char *domain, sts_fn *fn, void *arg, struct sts_view *view)
{
	struct sts_entry *e = entry_for(domain);
	struct sts_query *q;

	*view = (struct sts_view){ STS_NONE, "", TLS_FINE, "" };
	if (e == NULL)
		return NULL;
	if (e->step == STEP_IDLE && !e->kept_asked)
		ask_kept(e);
	else if (e->step == STEP_IDLE && clock_mono() >= e->record_again)
		ask_record(e);
	if (e->step == STEP_IDLE ||
	    (e->step == STEP_POLICY && in_force(e) && strcmp(e->id, e->new_id) == 0)) {
		*view = view_of(e);
		return NULL;
	}
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return NULL;
	q->fn = fn;
	q->arg = arg;
	q->next = e->waiting;
	q->at = &e->waiting;
	if (q->next != NULL)
		q->next->at = &q->next;
	e->waiting = q;
	return q;
}

void
sts_cancel(struct sts_query **q)
{
	if (*q == NULL)
		return;
	*(*q)->at = (*q)->next;
	if ((*q)->next != NULL)
		(*q)->next->at = (*q)->at;
	free(*q);
	*q = NULL;
}
