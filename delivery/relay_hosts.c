/* relay_hosts - one by one the addresses where a route's mail can go
 *
 * A small machine driven by its user: hosts_next() either has an address, or has asked DNS and will
 * call back, or is at the end. Bounded by MX_MAX hosts, ADDRESSES_MAX addresses of each kind a
 * host, HOSTS_TARGETS_MAX in all. The kinds take turns, so that one that leads nowhere costs one try. Unless
 * relay.prefer says otherwise IPv4 comes first: more of the world's mail hosts judge IPv6 senders
 * harshly than the other way round. Addresses that did not answer a while ago come after the host's others, and a host that has no
 * other comes after the rest of the list (relay_silent.h). */
#include "delivery/relay_hosts.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/role.h"
#include "conf/conf.h"
#include "delivery/mx.h"
#include "delivery/relay_count.h"
#include "delivery/relay_dane.h"
#include "delivery/relay_silent.h"
#include "delivery/relay_sts.h"

#define ADDRESSES_MAX 8

struct family { /* the addresses of one kind of the present host */
	struct hosts *hosts;
	struct dns_query *query;
	struct address at[ADDRESSES_MAX];
	size_t n, next;
	bool found, secure; /* there are records, and DNSSEC proved them */
};

struct hosts {
	struct route route;
	void (*ready)(void *arg);
	void *arg;
	bool started;
	struct dns_query *mx;
	struct mx_list list;
	bool mx_secure; /* DNSSEC proved who takes the domain's mail */
	struct sts_query *sts_query;
	enum sts_mode sts;
	char *sts_text;
	size_t next_host;
	size_t put_off;	/* the last hosts of the list: they were silent */
	bool passing;	/* to the next host, while DNS is asked */
	struct family families[2];     /* IPv4, IPv6 */
	unsigned turn;                 /* whose is next */
	char canonical[DNS_NAME_TEXT]; /* where the host's CNAMEs lead to */
	struct dane_query *dane;
	struct tls_policy *policy; /* of the present host */
	unsigned given;
	struct result why;
};

static uint32_t
random_number(void)
{
	uint32_t n = 0;

	RAND_bytes((unsigned char *)&n, sizeof(n));
	return n;
}

/* Keep the reason, unless a stronger one is there. */
static void
note(struct hosts *h, enum step_status status, const char *enhanced, const char *text)
{
	struct result r;

	result_set(&r, status, enhanced, "%s", text);
	result_keep(&h->why, &r);
}

static void
note_dns(struct hosts *h, const char *what, const char *name, const struct dns_answer *a)
{
	char text[RESULT_TEXT];
	const char *words = a->status == DNS_TEMPORARY ? "" : dns_status_text(a->status);

	snprintf(text, sizeof(text), "cannot look up the %s of %s: %s%s%s", what, name, words,
	    words[0] ? ": " : "", a->text);
	note(h, STEP_TEMPORARY, "4.4.3", text);
}

static bool
waiting(const struct hosts *h)
{
	return h->mx != NULL || h->families[0].query != NULL || h->families[1].query != NULL ||
	       h->dane != NULL || h->sts_query != NULL;
}

/* -- MX */

static void
only_host(struct hosts *h, const char *name)
{
	h->list.n = 1;
	slice_copy(slice_of(name), h->list.at[0].name, sizeof(h->list.at[0].name));
}

static void
take_mx(struct hosts *h, const struct dns_answer *a)
{
	char text[RESULT_TEXT];
	const char *domain = h->route.host;

	switch (mx_from_rdata(&h->list, a->rdata, a->n, role_conf()->hostname, random_number)) {
	case MX_FOUND:
		break;
	case MX_NULL:
		snprintf(text, sizeof(text), "%s takes no mail (null MX)", domain);
		note(h, STEP_PERMANENT, "5.1.10", text);
		break;
	case MX_LOOP:
		snprintf(text, sizeof(text),
		    "%s names this server as its best mail host, but is not configured here",
		    domain);
		note(h, STEP_PERMANENT, "5.4.6", text);
		break;
	case MX_NONE:
		snprintf(text, sizeof(text), "the MX records of %s name no usable host", domain);
		note(h, STEP_PERMANENT, "5.4.4", text);
		break;
	}
}

/* A domain without MX is its own mail host (RFC 5321 5.1) - unless it is us. */
static void
implicit_mx(struct hosts *h)
{
	if (strcasecmp(h->route.host, role_conf()->hostname) == 0)
		note(h, STEP_PERMANENT, "5.4.6",
		    "the domain is this server's own name, but is not configured here");
	else
		only_host(h, h->route.host);
}

static void
got_mx(void *arg, const struct dns_answer *a)
{
	struct hosts *h = arg;
	char text[RESULT_TEXT];

	h->mx = NULL;
	h->mx_secure = a->secure;
	switch (a->status) {
	case DNS_OK:
		take_mx(h, a);
		break;
	case DNS_NO_DATA:
		implicit_mx(h);
		break;
	case DNS_NXDOMAIN:
		snprintf(text, sizeof(text), "the domain %s does not exist", h->route.host);
		note(h, STEP_PERMANENT, "5.1.2", text);
		break;
	default:
		note_dns(h, "mail hosts", h->route.host, a);
	}
	h->ready(h->arg);
}

/* -- addresses */

static const char *
host_name(const struct hosts *h)
{
	return h->list.at[h->next_host - 1].name;
}

static bool
may_connect(const struct hosts *h, const struct address *a)
{
	if (address_is_nobody(a))
		return false;
	return h->route.trusted || role_conf()->relay.allow_loopback || !address_is_inside(a);
}

static void
add_address(struct hosts *h, struct family *f, const struct address *a)
{
	char text[RESULT_TEXT];

	if (!may_connect(h, a)) {
		snprintf(text, sizeof(text), "%s[%s] is not an address that mail may be sent to",
		    h->list.at[h->next_host - 1].name, a->text);
		note(h, STEP_PERMANENT, "5.4.4", text);
	} else if (f->n < ADDRESSES_MAX) {
		f->at[f->n++] = *a;
	}
}

/* The present host will not be used. */
static void
skip_host(struct hosts *h)
{
	memset(h->families, 0, sizeof(h->families));
	h->turn = role_conf()->relay.prefer == PREFER_IPV6;
}

/* -- what TLS must achieve there */

/* The domain's policy (RFC 8461), unless DANE has the say at this host. */
static void
apply_sts(struct hosts *h)
{
	static const char words[] = "the MTA-STS policy of the domain does not name this host";
	char text[RESULT_TEXT];
	bool named;

	if (h->sts == STS_NONE || h->policy->kind == POLICY_DANE ||
	    h->policy->kind == POLICY_DANE_UNUSABLE)
		return;
	policy_set_sts(h->policy, h->sts == STS_TESTING, h->sts_text);
	named = sts_names(h->sts_text, host_name(h));
	if (!named)
		count_session(h->policy, host_name(h), "", "", TLS_VALIDATION_FAILURE, words);
	if (named || h->sts != STS_ENFORCE)
		return;
	snprintf(text, sizeof(text), "the MTA-STS policy of %s does not name the mail host %s (%s)",
	    h->route.domain, host_name(h), tls_result_name(TLS_VALIDATION_FAILURE));
	note(h, STEP_TEMPORARY, "4.7.5", text);
	skip_host(h);
}

static void
take_sts(struct hosts *h, const struct sts_view *v)
{
	struct tls_policy *p;

	if (v->mode != STS_NONE && (h->sts_text = slice_dup(slice_of(v->text))) != NULL)
		h->sts = v->mode;
	if (v->fault == TLS_FINE || (p = policy_new(&h->route)) == NULL)
		return;
	policy_set_sts(p, true, v->text);
	count_session(p, "", "", "", v->fault, v->why);
	policy_drop(&p);
}

static void
got_sts(void *arg, const struct sts_view *v)
{
	struct hosts *h = arg;

	h->sts_query = NULL;
	take_sts(h, v);
	h->ready(h->arg);
}

static void
ask_sts(struct hosts *h)
{
	struct sts_view v;

	if (!role_conf()->relay.mta_sts || h->route.lax || h->route.tls == TLS_NONE)
		return;
	h->sts_query = sts_ask(h->route.domain, got_sts, h, &v);
	if (h->sts_query == NULL)
		take_sts(h, &v);
}

/* REQUIRETLS: who takes the domain's mail must be proven by DNSSEC or MTA-STS (RFC 8689 4.2.1). */
static bool
unproven(struct hosts *h)
{
	char text[RESULT_TEXT];

	if (!h->route.checked || !h->route.by_mx || h->mx_secure || h->sts != STS_NONE)
		return false;
	snprintf(text, sizeof(text),
	    "its sender requires TLS with a proven host, but %s has neither signed its MX records "
	    "(DNSSEC) nor a policy for them (MTA-STS)",
	    h->route.host);
	note(h, STEP_PERMANENT, "5.7.30", text);
	return true;
}

static void
no_memory(struct hosts *h)
{
	note(h, STEP_TEMPORARY, "4.3.0", "no memory");
	skip_host(h);
}

/* Without an answer about its TLSA records a host must not be used (RFC 7672 2.1): it may be an
 * attacker who keeps the answer from us. */
static void
dane_trouble(struct hosts *h, const char *why, bool bogus)
{
	char text[RESULT_TEXT];

	snprintf(text, sizeof(text), "cannot look up the TLSA records of %s%s: %s", host_name(h),
	    bogus ? " (dnssec-invalid)" : "", why);
	note(h, STEP_TEMPORARY, "4.7.5", text);
	if (bogus)
		count_session(h->policy, host_name(h), "", "", TLS_DNSSEC_INVALID, why);
	skip_host(h);
}

static void
got_dane(void *arg, const struct dane_answer *a)
{
	struct hosts *h = arg;

	h->dane = NULL;
	if (a->found == DANE_TROUBLE)
		dane_trouble(h, a->why, a->bogus);
	else if (a->found == DANE_RECORDS && !policy_set_dane(h->policy, a->base, a->rdata, a->n))
		no_memory(h);
	else
		apply_sts(h);
	h->ready(h->arg);
}

/* DNSSEC must have proved the way from the domain to the host's addresses (RFC 7672 2.2). */
static void
ask_dane(struct hosts *h)
{
	bool secure = true, trouble;

	if (!role_conf()->relay.dane || h->route.lax || h->route.tls == TLS_NONE ||
	    (h->route.by_mx && !h->mx_secure)) {
		apply_sts(h);
		return;
	}
	for (size_t i = 0; i < COUNT(h->families); i++)
		secure = secure && (h->families[i].secure || !h->families[i].found);
	h->dane =
	    dane_ask(host_name(h), h->canonical, secure, h->route.port, got_dane, h, &trouble);
	if (trouble)
		dane_trouble(h, "the resolver is not there just now", false);
	else if (h->dane == NULL)
		apply_sts(h);
}

/* None of the present host's addresses answered lately, and there are hosts of which that is not known: to the end of the
 * list with it. */
static bool
put_off(struct hosts *h)
{
	size_t at = h->next_host - 1;
	struct mx_host host = h->list.at[at];

	for (size_t i = 0; i < COUNT(h->families); i++)
		for (size_t k = 0; k < h->families[i].n; k++)
			if (!silent_is(&h->families[i].at[k]))
				return false;
	if (h->list.n < 2 || at >= h->list.n - h->put_off)
		return false;
	memmove(&h->list.at[at], &h->list.at[at + 1], (h->list.n - at - 1) * sizeof(host));
	h->list.at[h->list.n - 1] = host;
	h->put_off++;
	h->next_host--;
	skip_host(h);
	return true;
}

/* All addresses of the present host are known. */
static void
host_resolved(struct hosts *h)
{
	if (h->families[0].n + h->families[1].n == 0) {
		char text[RESULT_TEXT];

		snprintf(text, sizeof(text), "the mail host %s has no address", host_name(h));
		note(h, STEP_PERMANENT,
		    strcmp(host_name(h), h->route.host) == 0 ? "5.1.2" : "5.4.4", text);
		return;
	}
	if (!put_off(h))
		ask_dane(h);
}

static void
got_addresses(void *arg, const struct dns_answer *a)
{
	struct family *f = arg;
	struct hosts *h = f->hosts;
	size_t turn = a->n > 0 ? random_number() % a->n : 0;

	f->query = NULL;
	if (a->status == DNS_TEMPORARY || a->status == DNS_BOGUS)
		note_dns(h, "addresses", host_name(h), a);
	f->found = a->status == DNS_OK;
	f->secure = a->secure;
	if (f->found)
		slice_copy(slice_of(a->text), h->canonical, sizeof(h->canonical));
	for (size_t i = 0; i < a->n && f->found; i++) {
		struct address address;

		if (address_from_rdata(a->rdata[(i + turn) % a->n], h->route.port, &address))
			add_address(h, f, &address);
	}
	if (waiting(h))
		return;
	host_resolved(h);
	if (!waiting(h))
		h->ready(h->arg);
}

static void
ask_family(struct hosts *h, struct family *f, unsigned type)
{
	f->hosts = h;
	f->query = dns_ask(host_name(h), type, got_addresses, f);
	if (f->query == NULL)
		note(h, STEP_TEMPORARY, "4.4.3", "the resolver is not there just now");
}

/* Find the addresses of the next host: by itself when the name is an address, else from DNS. */
static void
next_host(struct hosts *h)
{
	struct address address;
	const char *name;

	skip_host(h);
	h->next_host++;
	policy_drop(&h->policy);
	h->policy = policy_new(&h->route);
	if (h->policy == NULL) {
		no_memory(h);
		return;
	}
	name = host_name(h);
	if (strcasecmp(name, "localhost") == 0)
		name = "127.0.0.1";
	if (address_parse(name, h->route.port, &address)) {
		add_address(h, &h->families[0], &address);
		apply_sts(h);
		return;
	}
	ask_family(h, &h->families[0], DNS_A);
	ask_family(h, &h->families[1], DNS_AAAA);
}

/* -- the user's side */

struct hosts *
hosts_new(const struct route *route, void (*ready)(void *arg), void *arg)
{
	struct hosts *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->route = *route;
	h->ready = ready;
	h->arg = arg;
	return h;
}

void
hosts_free(struct hosts **h)
{
	if (*h == NULL)
		return;
	dns_cancel(&(*h)->mx);
	dns_cancel(&(*h)->families[0].query);
	dns_cancel(&(*h)->families[1].query);
	dane_cancel(&(*h)->dane);
	sts_cancel(&(*h)->sts_query);
	free((*h)->sts_text);
	policy_drop(&(*h)->policy);
	free(*h);
	*h = NULL;
}

static void
start(struct hosts *h)
{
	h->started = true;
	if (!h->route.by_mx) {
		only_host(h, h->route.host);
		return;
	}
	h->mx = dns_ask(h->route.host, DNS_MX, got_mx, h);
	if (h->mx == NULL)
		note(h, STEP_TEMPORARY, "4.4.3", "the resolver is not there just now");
	else
		ask_sts(h);
}

/* One that answers, for all that is known; else any. */
static struct address *
take_address(struct family *f, bool any)
{
	for (size_t i = f->next; i < f->n; i++) {
		struct address found = f->at[i];

		if (!any && silent_is(&found))
			continue;
		f->at[i] = f->at[f->next];
		f->at[f->next] = found;
		return &f->at[f->next++];
	}
	return NULL;
}

/* The present host's next address. */
static bool
give(struct hosts *h, struct target *target)
{
	for (size_t i = 0; i < 2 * COUNT(h->families); i++) {
		unsigned turn = (h->turn + i) % COUNT(h->families);
		struct address *address = take_address(&h->families[turn], i >= COUNT(h->families));

		if (address == NULL)
			continue;
		h->turn = (turn + 1) % COUNT(h->families);
		target->address = *address;
		slice_copy(slice_of(host_name(h)), target->host, sizeof(target->host));
		target->named = strcmp(target->host, target->address.text) != 0;
		target->policy = h->policy;
		h->given++;
		return true;
	}
	return false;
}

bool
hosts_more(struct hosts *h, struct target *target)
{
	return !waiting(h) && h->given < HOSTS_TARGETS_MAX && give(h, target);
}

static enum hosts_step
next_target(struct hosts *h, struct target *target)
{
	if (!h->started)
		start(h);
	while (!waiting(h)) {
		if (h->given >= HOSTS_TARGETS_MAX)
			return HOSTS_END;
		if (give(h, target))
			return HOSTS_TARGET;
		if (h->next_host >= h->list.n || unproven(h))
			return HOSTS_END;
		next_host(h);
	}
	return HOSTS_WAIT;
}

enum hosts_step
hosts_next(struct hosts *h, struct target *target)
{
	enum hosts_step step = next_target(h, target);

	if (step != HOSTS_WAIT)
		h->passing = false;
	return step;
}

enum hosts_step
hosts_next_host(struct hosts *h, struct target *target)
{
	if (!h->passing && (waiting(h) || h->next_host >= h->list.n))
		return HOSTS_END;
	if (!h->passing)
		skip_host(h);
	h->passing = true;
	return hosts_next(h, target);
}

const struct result *
hosts_why(const struct hosts *h)
{
	return &h->why;
}
