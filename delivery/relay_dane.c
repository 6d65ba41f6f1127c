/* relay_dane - the TLSA records of a mail host (RFC 7672 2.2)
 *
 * Nothing is asked about a host whose address was not proven: the servers of unsigned zones are
 * those that choke on TLSA questions, and no answer of theirs could be believed. The records of the
 * canonical name count before those of the name that the MX record has (2.2.3). When only the first
 * CNAME is in a signed zone, the records may still stand at the alias (2.2.2). */
#include "delivery/relay_dane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN 240 /* no records can stand below a longer name */

struct dane_query {
	struct dns_query *dns;
	dane_fn *fn;
	void *arg;
	uint16_t port;
	unsigned left; /* of names, the next one is names[left - 1] */
	char names[2][DNS_NAME_TEXT];
};

static void got_records(void *arg, const struct dns_answer *a);

/* It ends; the query is gone before the callback. */
static void
answer(struct dane_query *q, const struct dane_answer *answer)
{
	dane_fn *fn = q->fn;
	void *arg = q->arg;
	struct dane_answer a = *answer;
	char base[DNS_NAME_TEXT];

	if (a.base != NULL) {
		memcpy(base, a.base, sizeof(base));
		a.base = base;
	}
	free(q);
	fn(arg, &a);
}

static void
answer_trouble(struct dane_query *q, const char *why, bool bogus)
{
	answer(q, &(struct dane_answer){ .found = DANE_TROUBLE, .why = why, .bogus = bogus });
}

static void
ask_records(struct dane_query *q)
{
	char name[DNS_NAME_TEXT];

	snprintf(name, sizeof(name), "_%u._tcp.%.*s", q->port, NAME_MAX_LEN, q->names[q->left - 1]);
	q->dns = dns_ask(name, DNS_TLSA, got_records, q);
}

static void
got_records(void *arg, const struct dns_answer *a)
{
	struct dane_query *q = arg;

	q->dns = NULL;
	if (a->status == DNS_TEMPORARY || a->status == DNS_BOGUS) {
		answer_trouble(q, a->text, a->status == DNS_BOGUS);
		return;
	}
	if (a->status == DNS_OK && a->secure) {
		answer(q, &(struct dane_answer){
			      DANE_RECORDS, q->names[q->left - 1], NULL, false, a->rdata, a->n });
		return;
	}
	if (--q->left == 0) {
		answer(q, &(struct dane_answer){ .found = DANE_NONE });
		return;
	}
	ask_records(q);
	if (q->dns == NULL)
		answer_trouble(q, "the resolver is not there just now", false);
}

/* Its address is not proven: is at least the alias in a signed zone? */
static void
got_alias(void *arg, const struct dns_answer *a)
{
	struct dane_query *q = arg;

	q->dns = NULL;
	if (a->status == DNS_TEMPORARY || a->status == DNS_BOGUS) {
		answer_trouble(q, a->text, a->status == DNS_BOGUS);
		return;
	}
	if (a->status != DNS_OK || !a->secure) {
		answer(q, &(struct dane_answer){ .found = DANE_NONE });
		return;
	}
	ask_records(q);
	if (q->dns == NULL)
		answer_trouble(q, "the resolver is not there just now", false);
}

struct dane_query *
dane_ask(const char *host, const char *canonical, bool secure, uint16_t port, dane_fn *fn,
    void *arg, bool *trouble)
{
	bool alias = strcasecmp(host, canonical) != 0;
	struct dane_query *q;

	*trouble = false;
	if ((!secure && !alias) || strlen(host) > NAME_MAX_LEN || strlen(canonical) > NAME_MAX_LEN)
		return NULL;
	q = calloc(1, sizeof(*q));
	*trouble = q == NULL;
	if (q == NULL)
		return NULL;
	*q = (struct dane_query){ .fn = fn, .arg = arg, .port = port };
	slice_copy(slice_of(host), q->names[q->left++], DNS_NAME_TEXT);
	if (secure && alias)
		slice_copy(slice_of(canonical), q->names[q->left++], DNS_NAME_TEXT);
	if (secure)
		ask_records(q);
	else
		q->dns = dns_ask(host, DNS_CNAME, got_alias, q);
	if (q->dns == NULL) {
		*trouble = true;
		free(q);
		return NULL;
	}
	return q;
}

void
dane_cancel(struct dane_query **q)
{
	if (*q == NULL)
		return;
	dns_cancel(&(*q)->dns);
	free(*q);
	*q = NULL;
}
