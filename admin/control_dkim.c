/* control_dkim - control's part in the life of DKIM keys: passes over all of them, and the administrator's verbs
 *
 * A pass: the signer's keys, their records in DNS, the rule, and then an order to tegamid for each domain in which
 * something changes. It ends when every order was answered; those who asked for an activation wait for it. */
#include "admin/control_dkim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "conf/conf.h"

#define SOON_US 100000 /* what happens together is looked at together */
#define ROW_WORDS 24

struct order { /* of one domain, to tegamid */
	char domain[256];
};

static struct {
	struct event *timer;
	struct dkim_looks now, known; /* of this pass; of the last one */
	bool under_way, again;
	unsigned orders;			/* not answered yet */
	struct request *waiters[REQUESTS_MAX];	/* for the next pass; of those under way: */
	struct request *asking[REQUESTS_MAX];
	size_t n_waiters, n_asking;
	struct err failed; /* the last order that was not done */
} watch;

static void begin(void);

static struct dkim_look *
find(struct dkim_looks *all, const char *domain, const char *selector)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->at[i].domain, domain) == 0 && strcmp(all->at[i].selector, selector) == 0)
			return &all->at[i];
	return NULL;
}

enum dkim_dns
dkim_seen(const char *domain, const char *selector)
{
	struct dkim_look *k = find(&watch.known, domain, selector);

	return k != NULL ? k->dns : DKIM_DNS_UNKNOWN;
}

/* -- the end of a pass */

static const char *
word(const struct request *r, const char *key)
{
	const char *value = admin_get(&r->rq, key);

	return value != NULL ? value : "";
}

static const char *
not_ready(const struct dkim_look *k)
{
	switch (k->dns) {
	case DKIM_DNS_ABSENT: return "its record is not in DNS (or was not some minutes ago)";
	case DKIM_DNS_WRONG: return "what DNS has for it is another record";
	default: return "DNS does not answer for it";
	}
}

static void
tell_asker(struct request *r)
{
	const char *domain = word(r, "domain"), *selector = word(r, "selector");
	struct dkim_look *k = find(&watch.now, domain, selector);

	if (k == NULL)
		err_set(&r->err, ERR_NOT_FOUND, "%s has no key %s; `tegami dkim list` shows them", domain, selector);
	else if (k->activate && watch.failed.kind != ERR_NONE)
		r->err = watch.failed;
	else if (!k->activate && k->state != DKIM_ACTIVE)
		err_set(&r->err, ERR_TEMPORARY,
		    "%s does not sign yet: %s. Publish what `tegami dns show %s` prints for it; the server goes on looking "
		    "and uses the key once it is there",
		    selector, not_ready(k), domain);
	if (r->err.kind == ERR_NONE) {
		struct admin_word words[] = { { "domain", domain }, { "selector", selector }, { "state", "active" },
			{ "published", dkim_dns_name(k->dns) }, { "signs", k->stop ? "no" : "yes" } };

		request_row(r, words, COUNT(words));
	}
	request_end(r, r->err.kind != ERR_NONE ? &r->err : NULL);
}

static void
later(int64_t us)
{
	struct timeval tv = { us / CLOCK_SECOND, us % CLOCK_SECOND };

	evtimer_add(watch.timer, &tv);
}

static void
finish(void)
{
	watch.known = watch.now;
	for (size_t i = 0; i < watch.n_asking; i++)
		tell_asker(watch.asking[i]);
	watch.n_asking = 0;
	watch.under_way = false;
	if (watch.again || watch.n_waiters > 0)
		begin();
	else
		later(role_conf()->dkim.check_every * 1000);
}

/* -- what follows from it */

static void
say(const struct dkim_look *k)
{
	if (k->activate)
		log_info("the DKIM key %s of %s signs from now on%s", k->selector, k->domain,
		    k->dns == DKIM_DNS_RIGHT ? ": its record is in DNS" : ", as the administrator wants");
	if (k->retire)
		log_info("the DKIM key %s of %s signs no more; its record stays in DNS for a while", k->selector, k->domain);
}

static void
say_stop(const struct dkim_look *k)
{
	if (k->stop && !k->stopped)
		log_warning("the DKIM key %s of %s does not sign: %s", k->selector, k->domain, not_ready(k));
	if (!k->stop && k->stopped && k->state == DKIM_ACTIVE)
		log_info("the DKIM key %s of %s signs again: its record is in DNS", k->selector, k->domain);
}

static void
on_told(void *arg, struct frame *f)
{
	(void)arg;
	(void)f;
}

/* The signer need not answer: the next pass sees what it holds. */
static void
tell_signer(const struct dkim_look *k)
{
	struct admin_request rq = { .verb = "dkim.stop",
		.words = { { "domain", k->domain }, { "selector", k->selector }, { "stop", k->stop ? "yes" : "no" } },
		.n_words = 3,
		.fd = -1 };
	struct err err = { 0 };

	if (request_ask(ROLE_SIGNER, &rq, -1, on_told, NULL, &err) == -1)
		log_warning("%s", err.text);
}

static void
on_order(void *arg, struct frame *f)
{
	struct order *o = arg;
	struct err err = { 0 };

	if (request_outcome(f, ROLE_TEGAMID, &err) == -1) {
		log_warning("the DKIM keys of %s stay as they are: %s", o->domain, err.text);
		watch.failed = err;
	} else {
		for (size_t i = 0; i < watch.now.n; i++)
			if (strcmp(watch.now.at[i].domain, o->domain) == 0)
				say(&watch.now.at[i]);
	}
	free(o);
	if (--watch.orders == 0)
		finish();
}

static void
add(struct admin_request *rq, bool yes, const char *key, const char *value)
{
	if (yes && rq->n_words <= DKIM_CHANGES_MAX)
		rq->words[rq->n_words++] = (struct admin_word){ key, value };
}

/* All that changes in the domain of the i-th key, unless a key before it was of that domain. */
static void
order_domain(size_t first)
{
	struct dkim_looks *all = &watch.now;
	const char *domain = all->at[first].domain;
	struct admin_request rq = { .verb = "server.dkim", .words = { { "domain", domain } }, .n_words = 1, .fd = -1 };
	struct order *o;
	bool force = false;

	for (size_t i = 0; i < first; i++)
		if (strcmp(all->at[i].domain, domain) == 0)
			return;
	for (size_t i = first; i < all->n; i++) {
		struct dkim_look *k = &all->at[i];

		if (strcmp(k->domain, domain) != 0)
			continue;
		add(&rq, k->activate, "activate", k->selector);
		add(&rq, k->see, "seen", k->selector);
		add(&rq, k->retire, "retire", k->selector);
		/* so that a signer that is started anew does not sign with it until the next pass */
		add(&rq, k->stop && !k->stop_kept && !k->activate && !k->retire, "stop", k->selector);
		add(&rq, !k->stop && k->stop_kept && !k->activate && !k->retire, "go-on", k->selector);
		force = force || (k->activate && k->dns != DKIM_DNS_RIGHT);
	}
	if (rq.n_words == 1)
		return;
	add(&rq, force, "force", "yes");
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return;
	snprintf(o->domain, sizeof(o->domain), "%s", domain);
	if (request_ask(ROLE_TEGAMID, &rq, -1, on_order, o, &watch.failed) == 0)
		watch.orders++;
	else
		free(o);
}

static void
carry_over(struct dkim_looks *all)
{
	for (size_t i = 0; i < all->n; i++) {
		struct dkim_look *old = find(&watch.known, all->at[i].domain, all->at[i].selector);

		/* a signer that was started anew does not know */
		if (old != NULL && old->stop && !all->at[i].stopped && all->at[i].dns == DKIM_DNS_UNKNOWN)
			all->at[i].stopped = true;
	}
	for (size_t i = 0; i < watch.n_asking; i++) {
		struct request *r = watch.asking[i];
		struct dkim_look *k = find(all, word(r, "domain"), word(r, "selector"));

		if (k == NULL)
			continue;
		k->wanted = true;
		k->force = k->force || strcmp(word(r, "force"), "yes") == 0;
	}
}

static void
on_looks(int rc, const struct err *err)
{
	struct dkim_looks *all = &watch.now;

	if (rc == -1) {
		for (size_t i = 0; i < watch.n_asking; i++)
			request_end(watch.asking[i], err);
		watch.n_asking = 0;
		all->n = 0;
		finish();
		return;
	}
	carry_over(all);
	dkim_rule(all->at, all->n);
	watch.failed.kind = ERR_NONE;
	watch.orders = 1; /* so that it cannot end before the last one is given */
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].stop || all->at[i].stopped)
			tell_signer(&all->at[i]);
	for (size_t i = 0; i < all->n; i++)
		order_domain(i);
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].stop != all->at[i].stopped && !all->at[i].activate)
			say_stop(&all->at[i]);
	if (--watch.orders == 0)
		finish();
}

/* -- when */

static void
begin(void)
{
	watch.under_way = true;
	watch.again = false;
	memcpy(watch.asking, watch.waiters, sizeof(watch.asking));
	watch.n_asking = watch.n_waiters;
	watch.n_waiters = 0;
	dkim_looks_start(&watch.now, on_looks);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (!watch.under_way && !role_stopping())
		begin();
}

int
dkim_watch_start(struct err *err)
{
	watch.timer = evtimer_new(role_base(), on_timer, NULL);
	if (watch.timer == NULL)
		return err_set(err, ERR_TEMPORARY, "no memory for a timer");
	later(SOON_US);
	return 0;
}

void
dkim_watch_soon(void)
{
	if (watch.under_way)
		watch.again = true;
	else if (watch.timer != NULL)
		later(SOON_US);
}

void
dkim_activate_start(struct request *r)
{
	if (watch.n_waiters == REQUESTS_MAX || word(r, "domain")[0] == '\0' || word(r, "selector")[0] == '\0') {
		err_set(&r->err, ERR_USAGE, "a domain and a selector are wanted");
		request_end(r, &r->err);
		return;
	}
	watch.waiters[watch.n_waiters++] = r;
	if (!watch.under_way)
		begin();
}

/* -- the list */

static const char *
value_of(const struct admin_word *words, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i].key, key) == 0)
			return words[i].value;
	return "";
}

/* The signer's words of a key, and ours. */
static bool
list_row(struct request *r, struct admin_word *words, size_t n)
{
	int64_t keep = role_conf()->dkim.retire_after / 1000;
	uint64_t since = 0;
	char at[24], until[24];
	const char *state = value_of(words, n, "state"), *stopped = value_of(words, n, "stopped");
	enum dkim_dns dns = dkim_seen(value_of(words, n, "domain"), value_of(words, n, "selector"));
	enum dkim_state s = DKIM_ACTIVE;

	slice_to_u64(slice_of(value_of(words, n, "since")), &since);
	dkim_state_read(state, &s);
	snprintf(at, sizeof(at), "%" PRIu64, since * CLOCK_SECOND);
	snprintf(until, sizeof(until), "%" PRIu64, s == DKIM_RETIRING ? (since + (uint64_t)keep) * CLOCK_SECOND : 0);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(words[i].key, "since") == 0)
			words[i].value = at;
		else if (strcmp(words[i].key, "state") == 0)
			words[i].value = dkim_state_shown(s, (int64_t)since, keep, clock_now() / CLOCK_SECOND);
	}
	words[n] = (struct admin_word){ "until", until };
	words[n + 1] = (struct admin_word){ "published", dkim_dns_name(dns) };
	words[n + 2] = (struct admin_word){ "signs", s == DKIM_ACTIVE && strcmp(stopped, "yes") != 0 ? "yes" : "no" };
	return request_row(r, words, n + 3);
}

static void
on_listed(void *arg, struct frame *f)
{
	struct request *r = arg;
	struct admin_word words[ROW_WORDS];
	struct pool *pool;
	size_t n = 0;

	if (f == NULL || f->type != MSG_ADMIN_ROW) {
		if (request_outcome(f, ROLE_SIGNER, &r->err) == -1)
			r->rc = -1;
		request_end(r, r->rc == -1 ? &r->err : NULL);
		return;
	}
	pool = pool_new(FRAME_MAX);
	while (pool != NULL && wire_more(&f->in) && n + 3 < ROW_WORDS) {
		words[n].key = wire_text(&f->in, pool);
		words[n++].value = wire_text(&f->in, pool);
	}
	if (pool == NULL || !list_row(r, words, n))
		r->rc = err_set(&r->err, ERR_TEMPORARY, "the list is too long to be read at this pace");
	pool_free(&pool);
}

void
dkim_list_start(struct request *r)
{
	if (request_ask(ROLE_SIGNER, &r->rq, -1, on_listed, r, &r->err) == -1)
		request_end(r, &r->err);
}
