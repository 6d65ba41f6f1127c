/* spf - evaluates SPF with libspf2 behind a strict layer of our own
 *
 * libspf2 asks for names through our function `lookup`. A name that is not known yet is noted and
 * the whole run thrown away, to be repeated when the answer is there; so nothing blocks. Our
 * function translates each record first (spf_record.h), and has the address terms done and counted by
 * spf_terms.c. The first thing that decides the result outside libspf2 (waiting, an error) is kept, and
 * every look-up behind it answers "try again", which ends libspf2's run soon.
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
#include "filters/spf_run.h"

#define RECORD_MAX 8192

static struct spf_run *running; /* libspf2 calls back while spf_evaluate runs, nowhere else */

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
record_at(struct spf_run *r, const char *domain, struct slice *record)
{
	bool first = !r->first_seen;
	const struct answer *a;
	size_t n = 0;

	r->first_seen = true;
	if (!first && !spf_count_term(r))
		return false;
	a = spf_ask(r, domain, RR_TXT);
	for (size_t i = 0; a != NULL && i < a->n; i++) {
		struct slice text = a->rdata[i];

		if (spf_record_is(text) && n++ == 0)
			*record = text;
	}
	if (n == 0)
		spf_ends(r, first ? SPF_NO_RECORD : SPF_PERMANENT,
		    first ? "the domain has no SPF record"
			  : "an included domain has no SPF record");
	if (n > 1)
		spf_ends(r, SPF_PERMANENT, "the domain has more than one SPF record");
	return n == 1;
}

/* The record that was just translated: does it decide from now on? */
static void
note_main(struct spf_run *r, const char *domain)
{
	if (r->main != 0)
		return;
	r->main = r->terms.records;
	r->explain = r->terms.explain;
	slice_copy(slice_of(domain), r->domain, sizeof(r->domain));
}

static SPF_dns_rr_t *
answer_record(SPF_dns_server_t *dns, struct spf_run *r, const char *domain)
{
	struct slice record;
	struct buf text;
	SPF_dns_rr_t *rr = NULL;
	const char *why;

	buf_init(&text, RECORD_MAX);
	if (record_at(r, domain, &record)) {
		if (record.len > RECORD_MAX / 4 ||
		    spf_record_translate(record, &r->client, &r->terms, &text, &why) == -1)
			spf_ends(r, SPF_PERMANENT,
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
term_number(const struct spf_run *r, const char *domain, char *name, size_t size)
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
answer_plain(SPF_dns_server_t *dns, struct spf_run *r, const char *domain, ns_type type)
{
	const struct answer *a = judge_dns(r->judge, domain, (unsigned)type);
	SPF_dns_rr_t *rr;
	char host[256];

	if (a == NULL)
		spf_ends(r, SPF_WAITING, "");
	if (a == NULL || a->status != DNS_OK)
		return no_answer(dns, domain, type,
		    a == NULL || a->status == DNS_TEMPORARY ? TRY_AGAIN : HOST_NOT_FOUND);
	rr = no_answer(dns, domain, type, NETDB_SUCCESS);
	for (size_t i = 0; i < a->n && rr->num_rr < SPF_NAMES_MAX; i++) {
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
set_client(struct spf_run *r)
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
	struct spf_run *r = running;
	char name[2048];
	long number;

	(void)should_cache;
	if (r != NULL)
		set_client(r);
	if (r == NULL || r->outcome != SPF_GOING_ON)
		return no_answer(dns, domain, type, TRY_AGAIN);
	if (type == ns_t_txt)
		return answer_record(dns, r, domain);
	number = type == ns_t_a ? term_number(r, domain, name, sizeof(name)) : -1;
	if (number >= 0) {
		bool match = spf_does_term(r, (size_t)number, name);

		if (r->outcome != SPF_GOING_ON)
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
result_of(const struct spf_run *r, SPF_response_t *response)
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
	case SPF_WAITING:
		return SPF_IS_WAITING;
	case SPF_NO_RECORD:
		return SPF_IS_NONE;
	case SPF_TEMPORARY:
		return SPF_IS_TEMPERROR;
	case SPF_PERMANENT:
		return SPF_IS_PERMERROR;
	case SPF_GOING_ON:
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
run_library(struct spf_run *r, const char *helo, const char *sender)
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
	struct spf_run *r;
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
