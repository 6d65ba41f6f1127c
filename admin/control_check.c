/* control_check - rows of `tegami check` that only the running server can know: the names the world
 * sees, and losses
 *
 * Asked through our own resolver, as mail is: the addresses of our host name (A, then AAAA), and
 * for each of them the name that leads back (PTR), for many receivers refuse mail from a server
 * without it. */
#include "admin/control_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dns/client.h"
#include "conf/conf.h"

#define ADDRESSES_MAX 8

struct look { /* kept in request->own */
	char address[ADDRESSES_MAX][DNS_ADDRESS_TEXT];
	size_t n, at;
	unsigned type; /* asked just now: DNS_A, DNS_AAAA, DNS_PTR */
	bool failed;   /* a look-up could not be made */
	char why[200];
};

static void next(struct request *r);

static void
row(struct request *r, const char *name, const char *state, const char *text, const char *advice)
{
	struct admin_word words[] = { { "name", name }, { "state", state }, { "text", text },
		{ "advice", advice } };

	request_row(r, words, COUNT(words));
}

static void
losses(struct request *r)
{
	char text[200];

	if (logger_dropped() > 0) {
		snprintf(text, sizeof(text), "%llu lines were lost since the start",
		    (unsigned long long)logger_dropped());
		row(r, "log", "warning", text, "let whoever reads tegamid's stderr read faster");
	}
	if (events_dropped() > 0) {
		snprintf(text, sizeof(text), "%llu events were lost since the start",
		    (unsigned long long)events_dropped());
		row(r, "history", "warning", text,
		    "see whether the disk of state_dir is slow or full");
	}
}

/* -- answers */

static void
take_addresses(struct look *k, const struct dns_answer *a)
{
	if (a->status == DNS_TEMPORARY || a->status == DNS_BOGUS) {
		k->failed = true;
		snprintf(
		    k->why, sizeof(k->why), "%.100s (%.80s)", dns_status_text(a->status), a->text);
	}
	for (size_t i = 0; a->status == DNS_OK && i < a->n && k->n < ADDRESSES_MAX; i++)
		k->n += dns_rdata_address(a->rdata[i], k->address[k->n]);
}

static void
tell_addresses(struct request *r)
{
	struct look *k = r->own;
	const char *name = role_conf()->hostname;
	char text[800];
	int len;

	if (k->n > 0) {
		len = snprintf(text, sizeof(text), "%.255s is", name);
		for (size_t i = 0; i < k->n && len < (int)sizeof(text); i++)
			len += snprintf(text + len, sizeof(text) - (size_t)len, "%s %s",
			    i > 0 ? "," : "", k->address[i]);
		row(r, "dns", "ok", text, "");
	} else if (k->failed) {
		snprintf(text, sizeof(text), "%.255s could not be looked up: %s", name, k->why);
		row(r, "dns", "warning", text,
		    "see whether the resolvers (resolver.servers) can be reached");
	} else {
		snprintf(text, sizeof(text), "%.255s has no address", name);
		row(r, "dns", "error", text,
		    "publish an A record (and AAAA) for the host name, or correct `hostname`");
	}
}

static void
tell_pointer(struct request *r, const struct dns_answer *a)
{
	struct look *k = r->own;
	const char *ip = k->address[k->at], *name = role_conf()->hostname;
	char points[DNS_NAME_TEXT] = "", text[700];
	size_t i;

	for (i = 0; a->status == DNS_OK && i < a->n; i++)
		if (dns_rdata_name(a->rdata[i], points) &&
		    slice_eq_nocase(slice_of(points), slice_of(name)))
			break;
	if (a->status == DNS_OK && i < a->n) {
		snprintf(text, sizeof(text), "%s leads back to %.255s", ip, name);
		row(r, "ptr", "ok", text, "");
		return;
	}
	if (points[0] != '\0')
		snprintf(text, sizeof(text), "%s leads to %.255s, not to %.255s", ip, points, name);
	else
		snprintf(
		    text, sizeof(text), "%s leads to no name (%s)", ip, dns_status_text(a->status));
	row(r, "ptr", "warning", text,
	    "ask whoever gave you the address for a PTR record with the host name; many servers "
	    "refuse mail without it");
}

static void
got(void *arg, const struct dns_answer *a)
{
	struct request *r = arg;
	struct look *k = r->own;

	if (k->type == DNS_PTR) {
		tell_pointer(r, a);
		k->at++;
	} else {
		take_addresses(k, a);
		if (k->type == DNS_AAAA)
			tell_addresses(r);
		k->type = k->type == DNS_A ? DNS_AAAA : DNS_PTR;
	}
	next(r);
}

static void
next(struct request *r)
{
	struct look *k = r->own;
	char name[DNS_NAME_TEXT];

	if (k->type != DNS_PTR)
		snprintf(name, sizeof(name), "%.255s", role_conf()->hostname);
	while (
	    k->type == DNS_PTR && k->at < k->n && !dns_reverse_name(k->address[k->at], NULL, name))
		k->at++;
	if (k->type == DNS_PTR && k->at >= k->n) {
		request_end(r, NULL);
		return;
	}
	if (dns_ask(name, k->type, got, r) != NULL)
		return;
	row(r, "dns", "warning", "the resolver process does not answer just now",
	    "try again in a moment");
	request_end(r, NULL);
}

void
check_start(struct request *r)
{
	struct look *k = calloc(1, sizeof(*k));

	r->own = k;
	if (k == NULL) {
		err_set(&r->err, ERR_TEMPORARY, "out of memory");
		request_end(r, &r->err);
		return;
	}
	k->type = DNS_A;
	losses(r);
	next(r);
}
