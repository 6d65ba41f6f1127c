/* spf - evaluates SPF with libspf2 behind a strict layer of our own
 *
 * libspf2 asks for names through our function `lookup`. A name that is not known yet is noted and
 * the whole run thrown away, to be repeated when the answer is there; so nothing blocks. Our
 * function translates each record first (spf_record.h), does the address terms itself, and counts:
 * at most 10 terms that look up, at most 2 of them without any answer, over the whole tree. The
 * first thing that decides the result outside libspf2 (waiting, an error) is kept, and every
 * look-up behind it answers "try again", which ends libspf2's run soon.
 *
 * Only the domain's own record and those that redirect= leads to can explain a fail, so we follow which
 * of them libspf2 is at.
 *
 * Never hands libspf2 a NULL answer or an empty request: it would abort the process. */
#include <sys/types.h>

#include <netinet/in.h>

#include "filters/spf.h"

#include <spf2/spf.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "filters/check.h"
#include "filters/spf_explain.h"
#include "filters/spf_macro.h"
#include "filters/spf_record.h"

#define TERMS_MAX 10 /* RFC 7208 4.6.4 */
#define VOID_MAX 2
#define NAMES_MAX 10 /* MX or PTR names */
#define RECORD_MAX 8192

enum outcome { GOING_ON, WAITING, NO_RECORD, TEMPORARY, PERMANENT };

struct run {
	struct judge *judge;
	struct ip client;
	SPF_request_t *request;
	struct spf_terms terms;
	unsigned looked_up, voids;
	bool first_seen;
	unsigned main;	   /* the number of the record that decides; 0: the next one */
	char domain[256];  /* its name */
	struct slice explain; /* its exp= */
	enum outcome outcome;
	const char *why;
};

static struct run *running; /* libspf2 calls back while spf_evaluate runs, nowhere else */

static void
ends(struct run *r, enum outcome outcome, const char *why)
{
	if (r->outcome != GOING_ON)
		return;
	r->outcome = outcome;
	r->why = why;
}

/* The answer, or NULL when the run is over. */
static const struct answer *
ask(struct run *r, const char *name, unsigned type)
{
	const struct answer *a = judge_dns(r->judge, name, type);

	if (a == NULL)
		ends(r, WAITING, "");
	else if (a->status == DNS_TEMPORARY)
		ends(r, TEMPORARY, "DNS did not answer");
	else
		return a;
	return NULL;
}

static bool
count_term(struct run *r)
{
	if (++r->looked_up <= TERMS_MAX)
		return true;
	ends(r, PERMANENT, "the record needs more than 10 look-ups");
	return false;
}

static void
count_void(struct run *r, const struct answer *a)
{
	if (a->status != DNS_OK && ++r->voids > VOID_MAX)
		ends(r, PERMANENT, "more than 2 look-ups found nothing");
}

/* -- the address terms */

static unsigned
address_type(const struct run *r)
{
	return r->client.v6 ? RR_AAAA : RR_A;
}

static bool
address_matches(const struct run *r, const struct answer *a, const struct spf_term *t)
{
	size_t len = r->client.v6 ? 16 : 4;

	for (size_t i = 0; i < a->n; i++)
		if (a->rdata[i].len == len && ip_in(&r->client, (const uint8_t *)a->rdata[i].at,
						  r->client.v6 ? t->bits6 : t->bits4))
			return true;
	return false;
}

static bool
does_a(struct run *r, const char *name, const struct spf_term *t)
{
	const struct answer *a = ask(r, name, address_type(r));

	if (a != NULL)
		count_void(r, a);
	return a != NULL && address_matches(r, a, t);
}

static bool
does_exists(struct run *r, const char *name, const struct spf_term *t)
{
	const struct answer *a = ask(r, name, RR_A);

	(void)t;
	if (a != NULL)
		count_void(r, a);
	return a != NULL && a->status == DNS_OK;
}

static bool
does_mx(struct run *r, const char *name, const struct spf_term *t)
{
	const struct answer *mx = ask(r, name, RR_MX), *a;
	char host[256];

	if (mx == NULL)
		return false;
	count_void(r, mx);
	if (mx->n > NAMES_MAX)
		ends(r, PERMANENT, "more than 10 MX hosts");
	/* all questions at once, so that one wait is enough */
	for (size_t i = 0; i < mx->n && r->outcome == GOING_ON; i++)
		if (rdata_name(mx->rdata[i], 2, host))
			judge_dns(r->judge, host, address_type(r));
	for (size_t i = 0; i < mx->n && r->outcome == GOING_ON; i++) {
		if (!rdata_name(mx->rdata[i], 2, host))
			continue;
		a = ask(r, host, address_type(r));
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
does_ptr(struct run *r, const char *name, const struct spf_term *t)
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
		ends(r, WAITING, "");
	if (ptr == NULL || ptr->status == DNS_TEMPORARY)
		return false; /* RFC 7208 5.5: an error here is no match */
	count_void(r, ptr);
	for (size_t i = 0; i < ptr->n && i < NAMES_MAX; i++) {
		if (!rdata_name(ptr->rdata[i], 0, host) || !is_below(host, name))
			continue;
		a = judge_dns(r->judge, host, address_type(r));
		if (a == NULL)
			waits = true;
		else if (address_matches(r, a, &exact))
			return true;
	}
	if (waits)
		ends(r, WAITING, "");
	return false;
}

/* libspf2 is about to follow redirect=. */
static bool
does_leave(struct run *r, const struct spf_term *t)
{
	if (t->record == r->main)
		r->main = 0;
	return false;
}

static bool
does_term(struct run *r, size_t number, const char *name)
{
	static bool (*const does[])(struct run *, const char *, const struct spf_term *) = {
		[SPF_TERM_A] = does_a,
		[SPF_TERM_MX] = does_mx,
		[SPF_TERM_PTR] = does_ptr,
		[SPF_TERM_EXISTS] = does_exists,
	};
	const struct spf_term *t = &r->terms.at[number];

	if (t->kind == SPF_TERM_LEAVE)
		return does_leave(r, t);
	return count_term(r) && does[t->kind](r, spf_macro_fit(name), t);
}

/* -- what libspf2 sees of DNS */

static SPF_dns_rr_t *
no_answer(SPF_dns_server_t *dns, const char *domain, ns_type type, int herrno)
{
	SPF_dns_rr_t *rr = SPF_dns_rr_new_init(dns, domain, type, 60, herrno);

	if (rr == NULL) {
		/* libspf2 would abort() on NULL; the supervisor starts us again, the message gets
		 * 451 */
		log_error("out of memory");
		exit(1);
	}
	return rr;
}

static SPF_dns_rr_t *
one_answer(SPF_dns_server_t *dns, const char *domain, ns_type type, const void *data, size_t len)
{
	SPF_dns_rr_t *rr = no_answer(dns, domain, type, NETDB_SUCCESS);

	if (SPF_dns_rr_buf_realloc(
		rr, 0, len < sizeof(SPF_dns_rr_data_t) ? sizeof(SPF_dns_rr_data_t) : len) !=
	    SPF_E_SUCCESS) {
		rr->herrno = TRY_AGAIN;
		return rr;
	}
	memcpy(rr->rr[0], data, len);
	rr->num_rr = 1;
	return rr;
}

/* The one SPF record among the TXT records; false: the run is over. */
static bool
record_at(struct run *r, const char *domain, struct slice *record)
{
	bool first = !r->first_seen;
	const struct answer *a;
	size_t n = 0;

	r->first_seen = true;
	if (!first && !count_term(r))
		return false;
	a = ask(r, domain, RR_TXT);
	for (size_t i = 0; a != NULL && i < a->n; i++) {
		struct slice text = a->rdata[i];

		if (spf_record_is(text) && n++ == 0)
			*record = text;
	}
	if (n == 0)
		ends(r, first ? NO_RECORD : PERMANENT,
		    first ? "the domain has no SPF record"
			  : "an included domain has no SPF record");
	if (n > 1)
		ends(r, PERMANENT, "the domain has more than one SPF record");
	return n == 1;
}

/* The record that was just translated: does it decide from now on? */
static void
note_main(struct run *r, const char *domain)
{
	if (r->main != 0)
		return;
	r->main = r->terms.records;
	r->explain = r->terms.explain;
	slice_copy(slice_of(domain), r->domain, sizeof(r->domain));
}

static SPF_dns_rr_t *
answer_record(SPF_dns_server_t *dns, struct run *r, const char *domain)
{
	struct slice record;
	struct buf text;
	SPF_dns_rr_t *rr = NULL;
	const char *why;

	buf_init(&text, RECORD_MAX);
	if (record_at(r, domain, &record)) {
		if (record.len > RECORD_MAX / 4 ||
		    spf_record_translate(record, &r->client, &r->terms, &text, &why) == -1)
			ends(r, PERMANENT,
			    record.len > RECORD_MAX / 4 ? "the SPF record is too long" : why);
		else if (buf_char(&text, '\0') == 0)
			rr = one_answer(dns, domain, ns_t_txt, text.at, text.len);
		note_main(r, domain);
	}
	buf_free(&text);
	return rr != NULL ? rr : no_answer(dns, domain, ns_t_txt, TRY_AGAIN);
}

/* "NAME.NUMBER._term": the number, and the name into `name`; -1: it is none. */
static long
term_number(const struct run *r, const char *domain, char *name, size_t size)
{
	struct slice s = slice_of(domain);
	ptrdiff_t dot;
	uint64_t n;

	if (!slice_ends_nocase(s, SLICE(SPF_TERM_ZONE)))
		return -1;
	s.len -= strlen(SPF_TERM_ZONE);
	dot = slice_find_last(s, '.');
	if (dot == -1 || !slice_to_u64(slice_skip(s, (size_t)dot + 1), &n) || n >= r->terms.n)
		return -1;
	return slice_copy(slice_first(s, (size_t)dot), name, size) ? (long)n : -1;
}

/* What libspf2 asks itself, for the macro %{p}: PTR and address records as they are. */
static SPF_dns_rr_t *
answer_plain(SPF_dns_server_t *dns, struct run *r, const char *domain, ns_type type)
{
	const struct answer *a = judge_dns(r->judge, domain, (unsigned)type);
	SPF_dns_rr_t *rr;
	char host[256];

	if (a == NULL)
		ends(r, WAITING, "");
	if (a == NULL || a->status != DNS_OK)
		return no_answer(dns, domain, type,
		    a == NULL || a->status == DNS_TEMPORARY ? TRY_AGAIN : HOST_NOT_FOUND);
	rr = no_answer(dns, domain, type, NETDB_SUCCESS);
	for (size_t i = 0; i < a->n && rr->num_rr < NAMES_MAX; i++) {
		const void *data = a->rdata[i].at;
		size_t len = a->rdata[i].len;

		if (type == ns_t_ptr) {
			if (!rdata_name(a->rdata[i], 0, host))
				continue;
			data = host;
			len = strlen(host) + 1;
		} else if (len != (type == ns_t_a ? 4 : 16)) {
			continue;
		}
		if (SPF_dns_rr_buf_realloc(rr, rr->num_rr, len < 16 ? 16 : len) != SPF_E_SUCCESS)
			break;
		memcpy(rr->rr[rr->num_rr++], data, len);
	}
	return rr;
}

/* libspf2 calls every loopback client a pass, before it asks anything: it is given another address
 * at first, and the true one (which macros may show) with its first question. */
static void
set_client(struct run *r)
{
	if (r->client.v6)
		memcpy(&r->request->ipv6, r->client.bytes, sizeof(r->request->ipv6));
	else
		memcpy(&r->request->ipv4, r->client.bytes, sizeof(r->request->ipv4));
}

static SPF_dns_rr_t *
lookup(SPF_dns_server_t *dns, const char *domain, ns_type type, int should_cache)
{
	static const uint8_t yes[4] = { 127, 0, 0, 2 };
	struct run *r = running;
	char name[2048];
	long number;

	(void)should_cache;
	if (r != NULL)
		set_client(r);
	if (r == NULL || r->outcome != GOING_ON)
		return no_answer(dns, domain, type, TRY_AGAIN);
	if (type == ns_t_txt)
		return answer_record(dns, r, domain);
	number = type == ns_t_a ? term_number(r, domain, name, sizeof(name)) : -1;
	if (number >= 0) {
		bool match = does_term(r, (size_t)number, name);

		if (r->outcome != GOING_ON)
			return no_answer(dns, domain, type, TRY_AGAIN);
		return match ? one_answer(dns, domain, type, yes, sizeof(yes))
			     : no_answer(dns, domain, type, NO_DATA);
	}
	if (type == ns_t_a || type == ns_t_aaaa || type == ns_t_ptr)
		return answer_plain(dns, r, domain, type);
	return no_answer(dns, domain, type, NO_DATA); /* type 99 (SPF) is history */
}

static SPF_server_t *
server(void)
{
	static SPF_dns_server_t dns = { .lookup = lookup, .name = "tegami" };
	static SPF_server_t *one;

	if (one == NULL) {
		one = SPF_server_new_dns(&dns, 0);
		if (one != NULL) {
			/* each run counts for itself, over the whole tree */
			SPF_server_set_max_dns_mech(one, 1000);
		}
	}
	return one;
}

/* -- one evaluation */

static enum spf_result
result_of(const struct run *r, SPF_response_t *response)
{
	static const enum spf_result results[] = {
		[SPF_RESULT_NEUTRAL] = SPF_IS_NEUTRAL,
		[SPF_RESULT_PASS] = SPF_IS_PASS,
		[SPF_RESULT_FAIL] = SPF_IS_FAIL,
		[SPF_RESULT_SOFTFAIL] = SPF_IS_SOFTFAIL,
		[SPF_RESULT_NONE] = SPF_IS_NONE,
		[SPF_RESULT_TEMPERROR] = SPF_IS_TEMPERROR,
		[SPF_RESULT_PERMERROR] = SPF_IS_PERMERROR,
	};
	SPF_result_t result;

	switch (r->outcome) {
	case WAITING:
		return SPF_IS_WAITING;
	case NO_RECORD:
		return SPF_IS_NONE;
	case TEMPORARY:
		return SPF_IS_TEMPERROR;
	case PERMANENT:
		return SPF_IS_PERMERROR;
	case GOING_ON:
		break;
	}
	result = response == NULL ? SPF_RESULT_INVALID : SPF_response_result(response);
	if (result == SPF_RESULT_INVALID || (size_t)result >= COUNT(results))
		return response != NULL && SPF_response_errcode(response) == SPF_E_DNS_ERROR
			   ? SPF_IS_TEMPERROR
			   : SPF_IS_PERMERROR;
	return results[result];
}

static enum spf_result
run_library(struct run *r, const char *helo, const char *sender)
{
	SPF_request_t *request = server() == NULL ? NULL : SPF_request_new(server());
	SPF_response_t *response = NULL;
	enum spf_result result = SPF_IS_TEMPERROR;
	SPF_errcode_t e;

	if (request == NULL)
		return result;
	e = r->client.v6 ? SPF_request_set_ipv6_str(request, "2001:db8::1")
			 : SPF_request_set_ipv4_str(request, "192.0.2.1");
	if (e == SPF_E_SUCCESS &&
	    SPF_request_set_helo_dom(request, helo[0] != '\0' ? helo : "unknown") ==
		SPF_E_SUCCESS &&
	    SPF_request_set_env_from(request, sender) == SPF_E_SUCCESS) {
		r->request = request;
		running = r;
		SPF_request_query_mailfrom(request, &response);
		running = NULL;
		result = result_of(r, response);
	}
	if (response != NULL)
		SPF_response_free(response);
	SPF_request_free(request);
	return result;
}

/* RFC 7208 4.3: can there be a record at all? */
static bool
is_possible_domain(const char *domain)
{
	size_t label = 0, dots = 0, n = strlen(domain);

	if (n > 0 && domain[n - 1] == '.')
		n--;
	if (n == 0 || n > 253 || domain[0] == '[')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (domain[i] <= ' ' || domain[i] >= 127 || (domain[i] == '.' && label == 0))
			return false;
		dots += domain[i] == '.';
		label = domain[i] == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return dots > 0 && label > 0;
}

enum spf_result
spf_evaluate(struct judge *j, const struct ip *client, const char *helo, const char *sender,
    const char **why)
{
	struct run *r;
	enum spf_result result;

	*why = "";
	if (!is_possible_domain(address_domain(sender))) {
		*why = "there is no domain to ask";
		return SPF_IS_NONE;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return SPF_IS_TEMPERROR;
	r->judge = j;
	r->client = *client;
	r->why = "";
	result = run_library(r, helo, sender);
	*why = r->why;
	if (result == SPF_IS_FAIL && r->explain.at != NULL &&
	    spf_explain(j, client, helo, sender, r->domain, r->explain, why) == CHECK_WAIT)
		result = SPF_IS_WAITING;
	free(r);
	return result;
}

/* -- the check */

static const struct {
	const char *name, *rule;
	int64_t score;
	const char *text;
} results[] = {
	[SPF_IS_NONE] = { "none", NULL, 0, "publishes no SPF record" },
	[SPF_IS_NEUTRAL] = { "neutral", "SPF_NEUTRAL", 200, "says nothing about this client" },
	[SPF_IS_PASS] = { "pass", "SPF_PASS", -100, "lets this client send its mail" },
	[SPF_IS_FAIL] = { "fail", "SPF_FAIL", 3000, "does not let this client send its mail" },
	[SPF_IS_SOFTFAIL] = { "softfail", "SPF_SOFTFAIL", 1000,
	    "probably does not let this client send its mail" },
	[SPF_IS_TEMPERROR] = { "temperror", NULL, 0, "could not be asked about SPF now" },
	[SPF_IS_PERMERROR] = { "permerror", "SPF_PERMERROR", 500, "has a broken SPF record" },
};

const char *
spf_result_name(enum spf_result r)
{
	return r == SPF_IS_WAITING ? "waiting" : results[r].name;
}

/* The identity that is checked: MAIL FROM, or postmaster at the HELO name for a bounce (RFC
 * 7208 2.4). */
static const char *
identity(struct judge *j)
{
	const char *from = j->facts.from;
	const char *text;

	if (from[0] == '\0')
		text = pool_printf(j->pool, "postmaster@%s", j->facts.helo);
	else if (from[0] == '@')
		text = pool_printf(j->pool, "postmaster%s", from);
	else
		text = from;
	return text == NULL ? "" : text;
}

/* `why` is our own word, not that of the domain. */
static void
tell_method(struct judge *j, const char *result, const char *why)
{
	const char *from = j->facts.from, *helo = j->facts.helo, *method;

	method = pool_printf(j->pool, "spf=%s%s%s%s%s%s", result, judge_reason(j, why),
	    from[0] != '\0' ? " smtp.mailfrom=" : "", from[0] != '\0' ? judge_quote(j, from) : "",
	    helo[0] != '\0' ? " smtp.helo=" : "", helo[0] != '\0' ? judge_quote(j, helo) : "");
	if (method != NULL)
		judge_method(j, method);
}

enum check_status
check_spf(struct judge *j)
{
	const char *who = identity(j), *why;
	bool says;
	enum spf_result r;
	struct ip client;

	if (!ip_parse(j->facts.ip, &client)) {
		judge_hit(j, "spf", "none", NULL, 0, "The client has no IP address");
		judge_method(j, "spf=none");
		return CHECK_DONE;
	}
	r = spf_evaluate(j, &client, j->facts.helo, who, &why);
	if (r == SPF_IS_WAITING)
		return CHECK_WAIT;
	says = r == SPF_IS_FAIL && why[0] != '\0';
	judge_hit(j, "spf", results[r].name, results[r].rule, results[r].score, "%s %s%s%.200s%s",
	    address_domain(who), results[r].text,
	    says             ? ", and says: "
	    : why[0] != '\0' ? " ("
			     : "",
	    why, why[0] != '\0' && !says ? ")" : "");
	tell_method(j, results[r].name, says ? "" : why);
	if (r == SPF_IS_PASS || r == SPF_IS_TEMPERROR)
		judge_prove(j, "spf", address_domain(who), r == SPF_IS_TEMPERROR);
	judge_result(j, &(struct auth_result){ "spf", address_domain(who), "", results[r].name, why });
	return CHECK_DONE;
}
