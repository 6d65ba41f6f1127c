/* dmarc - does the domain in From stand behind the message, and what does it want done if not?
 * (RFC 9989)
 *
 * SPF and DKIM have said which domains are proven; one of them must be the domain in From, or, unless
 * its record is strict, belong to the same organization. What the domain asks for is demanded of the
 * verdict; the administrator's own exceptions go before it.
 *
 * Trouble with DNS never refuses: without the record there is no policy, and when the one proof that
 * would fit could not be looked at, the message is to come again. */
#include <stdio.h>
#include <string.h>

#include "filters/arc.h"
#include "filters/check.h"
#include "filters/dmarc_walk.h"
#include "filters/from.h"

struct author { /* the domain in From */
	const char *domain;
	struct dmarc_walk walk;
};

/* -- From */

static const char *const from_trouble[] = {
	[FROM_NONE] = "no address",
	[FROM_SEVERAL] = "more than one address",
	[FROM_UNREADABLE] = "an address that can be read in several ways",
	[FROM_NO_DOMAIN] = "an address without a domain name",
};

static enum check_status
refuse_from(struct judge *j, const char *has)
{
	judge_hit(j, "dmarc", "permerror", NULL, 0,
	    "The message must have one From field with one address; it has %s", has);
	judge_method(j, "dmarc=permerror");
	judge_demand(j, VERDICT_REFUSE,
	    pool_printf(j->pool,
		"550 5.7.1 The message must have one From field with one address (RFC 5322 3.6.2); "
		"it has %s",
		has),
	    pool_printf(j->pool, "From holds %s", has));
	return CHECK_DONE;
}

/* The domain, in the pool; NULL: there is none, and *trouble says why (NULL: no From at all). */
static const char *
author_domain(struct judge *j, const char **trouble)
{
	const struct mime_field *f = NULL;
	size_t n = judge_field(j, "From", &f);
	char domain[FROM_DOMAIN_SIZE];
	enum from_status status;

	*trouble = n == 0 ? NULL : "several From fields";
	if (n != 1)
		return NULL;
	status = from_domain(f->value, domain);
	if (status != FROM_OK) {
		*trouble = from_trouble[status];
		return NULL;
	}
	*trouble = "an address that does not fit into memory";
	return pool_text(j->pool, slice_of(domain));
}

/* -- alignment (RFC 9989 4.4) */

enum alignment { ALIGN_WAITS, ALIGN_NO, ALIGN_UNKNOWN, ALIGN_YES };

static bool
is_at_or_below(const char *name, const char *top)
{
	size_t n = strlen(name), m = strlen(top);

	return n >= m && slice_eq_nocase(slice_of(name + n - m), slice_of(top)) &&
	       (n == m || name[n - m - 1] == '.');
}

static const char *
lower_name(struct judge *j, const char *name)
{
	char *copy = pool_text(j->pool, slice_of(name));
	size_t n;

	if (copy == NULL)
		return "";
	for (char *c = copy; *c != '\0'; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
	n = strlen(copy);
	if (n > 0 && copy[n - 1] == '.')
		copy[n - 1] = '\0';
	return copy;
}

static enum alignment
align(struct judge *j, const struct author *author, const struct proof *p)
{
	const struct dmarc_record *record = &author->walk.record;
	bool strict = strcmp(p->by, "spf") == 0 ? record->strict_spf : record->strict_dkim;
	const char *name = lower_name(j, p->domain);
	enum alignment yes = p->unknown ? ALIGN_UNKNOWN : ALIGN_YES;
	struct dmarc_walk walk;

	if (strcmp(name, author->domain) == 0)
		return yes;
	/* what is not below the organization cannot belong to it: no question for those */
	if (strict || !is_at_or_below(name, author->walk.organization))
		return ALIGN_NO;
	switch (dmarc_walk(j, name, &walk)) {
	case WALK_WAITS:
		return ALIGN_WAITS;
	case WALK_TEMPERROR:
		return ALIGN_UNKNOWN;
	case WALK_DONE:
		break;
	}
	return strcmp(walk.organization, author->walk.organization) == 0 ? yes : ALIGN_NO;
}

/* The best of all proofs; *which is the one. Reports want to know of each, so all are waited for. */
static enum alignment
align_all(struct judge *j, const struct author *author, const struct proof **which)
{
	enum alignment best = ALIGN_NO;
	bool waits = false;

	for (size_t i = 0; i < j->n_proofs; i++) {
		enum alignment a = align(j, author, &j->proofs[i]);

		waits = waits || a == ALIGN_WAITS;
		if (a == ALIGN_YES && strcmp(j->proofs[i].by, "spf") == 0)
			j->seen.spf = true;
		else if (a == ALIGN_YES)
			j->seen.dkim = true;
		if (a > best) {
			best = a;
			*which = &j->proofs[i];
		}
	}
	return waits ? ALIGN_WAITS : best;
}

/* -- policy (RFC 9989 4.7, 5.4) */

/* Does the name exist (RFC 9989, "non-existent domains"; RFC 8020)? Any type does for the question: a name
 * that is there has an answer or none of that type, one that is not has NXDOMAIN. CHECK_WAIT: not known
 * yet. */
static enum check_status
name_exists(struct judge *j, const char *name, bool *exists)
{
	const struct answer *a = judge_dns(j, name, RR_A);

	*exists = a == NULL || a->status != DNS_NXDOMAIN;
	return a == NULL ? CHECK_WAIT : CHECK_DONE;
}

static enum check_status
published_policy(struct judge *j, const struct author *author, enum dmarc_policy *out)
{
	const struct dmarc_record *r = &author->walk.record;
	bool exists = true;

	if (strcmp(author->walk.at, author->domain) == 0) {
		*out = r->p;
		return CHECK_DONE;
	}
	if (r->np != r->sp && name_exists(j, author->domain, &exists) == CHECK_WAIT)
		return CHECK_WAIT;
	*out = exists ? r->sp : r->np;
	return CHECK_DONE;
}

/* One step milder while the domain only tests (t=y). */
static enum dmarc_policy
wanted_policy(const struct author *author, enum dmarc_policy published)
{
	return author->walk.record.testing && published > DMARC_NONE ? published - 1 : published;
}

/* Why the administrator takes the message all the same, and *type, what a report calls that; NULL: no
 * reason. */
static const char *
exception(struct judge *j, const char *author, const char **type)
{
	const char *sealer = arc_vouches(j, author);
	const struct conf_strings *domains = &j->conf->dmarc.allow_domains;

	*type = "trusted_forwarder";
	if (conf_networks_hold(&j->conf->dmarc.allow_networks, j->facts.ip))
		return "the client is in dmarc.allow_networks";
	for (size_t i = 0; i < domains->n; i++)
		for (size_t k = 0; k < j->n_proofs; k++)
			if (!j->proofs[k].unknown &&
			    is_at_or_below(j->proofs[k].domain, domains->at[i]))
				return "it comes through one of dmarc.allow_domains";
	*type = "local_policy";
	return sealer == NULL ? NULL : pool_printf(j->pool, "%s of arc.trusted saw DMARC pass", sealer);
}

/* -- for the reports that the domain wants */

static void
note_seen(struct judge *j, const struct author *author, const char *disposition)
{
	const struct dmarc_record *r = &author->walk.record;
	struct policy_seen *seen = &j->seen;

	seen->from = author->domain;
	seen->domain = author->walk.at;
	seen->organization = author->walk.organization;
	seen->rua = judge_clean(j, r->rua, 2000);
	seen->disposition = disposition;
	snprintf(seen->policy, sizeof(seen->policy), "%s %s %s %c %c %c", dmarc_policy_name(r->p),
	    dmarc_policy_name(r->sp), dmarc_policy_name(r->np), r->strict_dkim ? 's' : 'r',
	    r->strict_spf ? 's' : 'r', r->testing ? 'y' : 'n');
	seen->known = true;
}

static void
note_reason(struct judge *j, const char *type, const char *comment)
{
	j->seen.reason = type;
	j->seen.comment = comment;
}

/* -- results */

/* `comment` is "" or what follows the result, with a blank before it; `policy` what the domain's record
 * comes to for this message, or NULL: there is none (the property stands in the registry of RFC 8601). */
static void
tell_method(struct judge *j, const char *result, const char *comment, const char *domain,
    const char *policy)
{
	const char *line = pool_printf(j->pool, "dmarc=%s%s header.from=%s%s%s", result, comment,
	    judge_quote(j, domain), policy != NULL ? " policy.dmarc=" : "", policy != NULL ? policy : "");

	if (line != NULL)
		judge_method(j, line);
}

static enum check_status
tell_pass(struct judge *j, const struct author *author, const struct proof *proof,
    enum dmarc_policy published)
{
	judge_hit(j, "dmarc", "pass", "DMARC_PASS", -500, "%s stands behind the message (%s of %s)",
	    author->domain, strcmp(proof->by, "spf") == 0 ? "SPF" : "DKIM", proof->domain);
	tell_method(j, "pass", "", author->domain,
	    dmarc_policy_name(wanted_policy(author, published)));
	note_seen(j, author, published == DMARC_NONE ? "none" : "pass");
	return CHECK_DONE;
}

static void
demand_policy(struct judge *j, const struct author *author, enum dmarc_policy policy)
{
	const char *domain = author->domain;

	if (policy == DMARC_QUARANTINE)
		judge_demand(j, VERDICT_JUNK, "",
		    pool_printf(j->pool,
			"%s wants mail that it does not stand behind in Junk (DMARC)", domain));
	else if (policy == DMARC_REJECT)
		judge_demand(j, VERDICT_REFUSE,
		    pool_printf(j->pool,
			"550 5.7.1 %s wants mail that it does not stand behind refused (DMARC "
			"p=reject): "
			"neither SPF nor DKIM proves that it comes from there",
			domain),
		    pool_printf(j->pool,
			"%s wants mail that it does not stand behind refused (DMARC)", domain));
}

static enum check_status
tell_fail(struct judge *j, const struct author *author, enum dmarc_policy published)
{
	enum dmarc_policy policy = wanted_policy(author, published);
	const char *domain = author->domain, *type, *why = exception(j, domain, &type);
	const char *comment;

	if (policy == DMARC_NONE)
		why = NULL;
	judge_hit(j, "dmarc", "fail", "DMARC_FAIL", why == NULL ? 800 : 0,
	    "Neither SPF nor DKIM proves that the message comes from %s, whose policy is "
	    "p=%s%s%s%s",
	    domain, dmarc_policy_name(published), published != policy ? " (in test)" : "",
	    why != NULL ? "; it is taken since " : "", why != NULL ? why : "");
	if (why != NULL)
		note_reason(j, type, why);
	else if (policy != published)
		note_reason(j, "policy_test_mode", "the record says that the policy is being tested");
	if (why != NULL)
		policy = DMARC_NONE;
	note_seen(j, author, dmarc_policy_name(policy));
	/* the form that most receivers write: what the domain publishes, what is done */
	comment = pool_printf(j->pool, " (p=%s dis=%s)%s", dmarc_policy_name(published),
	    dmarc_policy_name(policy), judge_reason(j, why != NULL ? why : ""));
	tell_method(j, "fail", comment == NULL ? "" : comment, domain,
	    dmarc_policy_name(wanted_policy(author, published)));
	demand_policy(j, author, policy);
	return CHECK_DONE;
}

/* The proof that would fit could not be looked at. */
static enum check_status
tell_unknown(struct judge *j, const struct author *author, const struct proof *proof,
    enum dmarc_policy published)
{
	const char *type;

	judge_hit(j, "dmarc", "temperror", NULL, 0,
	    "DNS did not answer when %s of %s was looked at, so nobody knows whether %s stands "
	    "behind the "
	    "message",
	    strcmp(proof->by, "spf") == 0 ? "SPF" : "DKIM", proof->domain, author->domain);
	tell_method(j, "temperror", "", author->domain,
	    dmarc_policy_name(wanted_policy(author, published)));
	note_seen(j, author, "none");
	if (wanted_policy(author, published) != DMARC_NONE &&
	    exception(j, author->domain, &type) == NULL)
		judge_demand(j, VERDICT_DEFER,
		    pool_printf(j->pool,
			"451 4.7.1 DNS did not answer when %s was to be proven (DMARC); please try "
			"again later",
			author->domain),
		    "DNS did not answer, so DMARC could not be decided");
	return CHECK_DONE;
}

static enum check_status
tell_none(struct judge *j, const struct author *author)
{
	bool broken = author->walk.has_record;

	judge_hit(j, "dmarc", broken ? "permerror" : "none", NULL, 0,
	    broken ? "The DMARC record of %s is broken" : "%s publishes no DMARC policy",
	    author->domain);
	tell_method(j, broken ? "permerror" : "none", "", author->domain, NULL);
	return CHECK_DONE;
}

/* Nobody is named, so nobody is forged; the score says what it thinks of that. */
static enum check_status
tell_nobody(struct judge *j)
{
	judge_hit(j, "dmarc", "none", NULL, 0, "The message names no author (From)");
	judge_method(j, "dmarc=none");
	return CHECK_DONE;
}

enum check_status
check_dmarc(struct judge *j)
{
	const struct proof *proof = NULL;
	enum dmarc_policy published;
	struct author author = { 0 };
	const char *trouble;
	enum alignment a;

	author.domain = author_domain(j, &trouble);
	if (author.domain == NULL)
		return trouble == NULL ? tell_nobody(j) : refuse_from(j, trouble);
	switch (dmarc_walk(j, author.domain, &author.walk)) {
	case WALK_WAITS:
		return CHECK_WAIT;
	case WALK_TEMPERROR:
		judge_hit(j, "dmarc", "temperror", NULL, 0,
		    "DNS did not answer for the DMARC policy of %s", author.domain);
		tell_method(j, "temperror", "", author.domain, NULL);
		return CHECK_DONE;
	case WALK_DONE:
		break;
	}
	/* only now: the policy's questions leave first, before a hostile SPF record can use up all that
	 * one message may ask */
	if (!check_is_done(j, "spf") || !check_is_done(j, "dkim") || !check_is_done(j, "arc"))
		return CHECK_WAIT;
	if (!author.walk.has_record || author.walk.record.broken)
		return tell_none(j, &author);
	a = align_all(j, &author, &proof);
	if (a == ALIGN_WAITS || published_policy(j, &author, &published) == CHECK_WAIT)
		return CHECK_WAIT;
	if (a == ALIGN_YES)
		return tell_pass(j, &author, proof, published);
	return a == ALIGN_UNKNOWN ? tell_unknown(j, &author, proof, published)
				  : tell_fail(j, &author, published);
}
