/* spf_terms - the terms of SPF records that look up, done by us (RFC 7208 5)
 *
 * They are counted over the whole tree: at most 10 of them, at most 2 without any answer. */
#include "filters/spf_run.h"

#include <string.h>
#include <strings.h>

#include "filters/spf_macro.h"

#define TERMS_MAX 10 /* RFC 7208 4.6.4 */
#define VOID_MAX 2

void
spf_ends(struct spf_run *r, enum spf_outcome outcome, const char *why)
{
	if (r->outcome != SPF_GOING_ON)
		return;
	r->outcome = outcome;
	r->why = why;
}

const struct answer *
spf_ask(struct spf_run *r, const char *name, unsigned type)
{
	const struct answer *a = judge_dns(r->judge, name, type);

	if (a == NULL)
		spf_ends(r, SPF_WAITING, "");
	else if (a->status == DNS_TEMPORARY)
		spf_ends(r, SPF_TEMPORARY, "DNS did not answer");
	else
		return a;
	return NULL;
}

bool
spf_count_term(struct spf_run *r)
{
	if (++r->looked_up <= TERMS_MAX)
		return true;
	spf_ends(r, SPF_PERMANENT, "the record needs more than 10 look-ups");
	return false;
}

static void
count_void(struct spf_run *r, const struct answer *a)
{
	if (a->status != DNS_OK && ++r->voids > VOID_MAX)
		spf_ends(r, SPF_PERMANENT, "more than 2 look-ups found nothing");
}

/* -- the address terms */

static unsigned
address_type(const struct spf_run *r)
{
	return r->client.v6 ? RR_AAAA : RR_A;
}

static bool
address_matches(const struct spf_run *r, const struct answer *a, const struct spf_term *t)
{
	size_t len = r->client.v6 ? 16 : 4;

	for (size_t i = 0; i < a->n; i++)
		if (a->rdata[i].len == len && ip_in(&r->client, (const uint8_t *)a->rdata[i].at,
						  r->client.v6 ? t->bits6 : t->bits4))
			return true;
	return false;
}

static bool
does_a(struct spf_run *r, const char *name, const struct spf_term *t)
{
	const struct answer *a = spf_ask(r, name, address_type(r));

	if (a != NULL)
		count_void(r, a);
	return a != NULL && address_matches(r, a, t);
}

static bool
does_exists(struct spf_run *r, const char *name, const struct spf_term *t)
{
	const struct answer *a = spf_ask(r, name, RR_A);

	(void)t;
	if (a != NULL)
		count_void(r, a);
	return a != NULL && a->status == DNS_OK;
}

static bool
does_mx(struct spf_run *r, const char *name, const struct spf_term *t)
{
	const struct answer *mx = spf_ask(r, name, RR_MX), *a;
	char host[256];

	if (mx == NULL)
		return false;
	count_void(r, mx);
	if (mx->n > SPF_NAMES_MAX)
		spf_ends(r, SPF_PERMANENT, "more than 10 MX hosts");
	/* all questions at once, so that one wait is enough */
	for (size_t i = 0; i < mx->n && r->outcome == SPF_GOING_ON; i++)
		if (rdata_name(mx->rdata[i], 2, host))
			judge_dns(r->judge, host, address_type(r));
	for (size_t i = 0; i < mx->n && r->outcome == SPF_GOING_ON; i++) {
		if (!rdata_name(mx->rdata[i], 2, host))
			continue;
		a = spf_ask(r, host, address_type(r));
		if (a != NULL && address_matches(r, a, t))
			return true;
	}
	return false;
}

static bool
is_below(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	if (d > 0 && domain[d - 1] == '.')
		d--;
	return n >= d && strncasecmp(name + n - d, domain, d) == 0 &&
	       (n == d || name[n - d - 1] == '.');
}

static bool
does_ptr(struct spf_run *r, const char *name, const struct spf_term *t)
{
	static const struct spf_term exact = { SPF_TERM_A, 32, 128, 0 };
	char reverse[100], host[256];
	const struct answer *ptr, *a;
	bool waits = false;

	(void)t;
	ip_reverse(&r->client, reverse);
	strcat(reverse, r->client.v6 ? ".ip6.arpa" : ".in-addr.arpa");
	ptr = judge_dns(r->judge, reverse, RR_PTR);
	if (ptr == NULL)
		spf_ends(r, SPF_WAITING, "");
	if (ptr == NULL || ptr->status == DNS_TEMPORARY)
		return false; /* RFC 7208 5.5: an error here is no match */
	count_void(r, ptr);
	for (size_t i = 0; i < ptr->n && i < SPF_NAMES_MAX; i++) {
		if (!rdata_name(ptr->rdata[i], 0, host) || !is_below(host, name))
			continue;
		a = judge_dns(r->judge, host, address_type(r));
		if (a == NULL)
			waits = true;
		else if (address_matches(r, a, &exact))
			return true;
	}
	if (waits)
		spf_ends(r, SPF_WAITING, "");
	return false;
}

/* libspf2 is about to follow redirect=. */
static bool
does_leave(struct spf_run *r, const struct spf_term *t)
{
	if (t->record == r->main)
		r->main = 0;
	return false;
}

bool
spf_does_term(struct spf_run *r, size_t number, const char *name)
{
	static bool (*const does[])(struct spf_run *, const char *, const struct spf_term *) = {
		[SPF_TERM_A] = does_a,
		[SPF_TERM_MX] = does_mx,
		[SPF_TERM_PTR] = does_ptr,
		[SPF_TERM_EXISTS] = does_exists,
	};
	const struct spf_term *t = &r->terms.at[number];

	if (t->kind == SPF_TERM_LEAVE)
		return does_leave(r, t);
	return spf_count_term(r) && does[t->kind](r, spf_macro_fit(name), t);
}
