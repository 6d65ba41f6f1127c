/* relay_policy - what TLS has to achieve on the way to one host, and what it did achieve
 *
 * A policy is made once for each host that is tried, held by the sessions with it, and never changes. */
#ifndef DELIVERY_RELAY_POLICY_H
#define DELIVERY_RELAY_POLICY_H

#include "base/slice.h"
#include "delivery/route.h"

#define TLSA_MAX 32		/* records of one host; more are left out */
#define POLICY_LINES 4000	/* bytes of its text */

enum policy_kind {
	POLICY_NONE,		/* plain text: the configuration says so */
	POLICY_OPPORTUNISTIC,
	POLICY_REQUIRED,	/* encrypted, whoever it is */
	POLICY_VERIFIED,	/* encrypted, and a certificate for the host's name */
	POLICY_STS_TESTING,	/* RFC 8461 5: failures are counted, mail goes on */
	POLICY_STS,
	POLICY_DANE_UNUSABLE,	/* TLSA records, none of which says anything to us: encrypted (RFC 7672 2.1) */
	POLICY_DANE
};

/* What has to prove who the host is. */
enum proof { PROOF_NONE, PROOF_PKIX, PROOF_DANE };

/* How a session's TLS went, as RFC 8460 4.3 calls it. */
enum tls_result {
	TLS_FINE,
	TLS_NOT_SUPPORTED,	/* "starttls-not-supported" and so on */
	TLS_HOST_MISMATCH, TLS_EXPIRED, TLS_NOT_TRUSTED, TLS_VALIDATION_FAILURE,
	TLS_TLSA_INVALID, TLS_DNSSEC_INVALID, TLS_DANE_REQUIRED,
	TLS_STS_FETCH_ERROR, TLS_STS_INVALID, TLS_STS_WEBPKI,
	TLS_RESULTS
};

struct tlsa {
	uint8_t usage, selector, matching;
	struct slice data;
};

struct tls_policy {
	unsigned refs;
	enum policy_kind kind;
	bool mandatory;			/* no mail without what the kind demands */
	char domain[256];		/* the recipients'; or the name of the route's host */
	char base[256];			/* DANE: where the records stand; the name to ask for (SNI) */
	char key[80];			/* equal keys: a session under the one also satisfies the other */
	char *lines;			/* the policy as published, a line each (RFC 8460 4.2: policy-string); "" or at most POLICY_LINES */
	struct tlsa *tlsa;		/* usable ones; their data stands behind them */
	size_t n;
};

/* By the configuration alone, for a route; `kind` as route->tls says. NULL: no memory. Whoever makes it holds it. */
struct tls_policy *policy_new(const struct route *route);
struct tls_policy *policy_hold(struct tls_policy *p);
/* Sets *p to NULL; accepts NULL. */
void policy_drop(struct tls_policy **p);
/* It becomes one by DANE: `rdata` are the records at `base`. false: no memory. */
bool policy_set_dane(struct tls_policy *p, const char *base, const struct slice *rdata, size_t n);
/* It becomes one by MTA-STS, unless the configuration demands more than one in testing. `text`: the policy as fetched. */
void policy_set_sts(struct tls_policy *p, bool testing, const char *text);

bool policy_wants_tls(const struct tls_policy *p);
enum proof policy_proof(const struct tls_policy *p);
/* "DANE", "MTA-STS"; for reasons in words. */
const char *policy_words(const struct tls_policy *p);
/* RFC 8460 4.2: "tlsa", "sts", "no-policy-found". */
const char *policy_type(const struct tls_policy *p);
/* RFC 8460 4.3: "certificate-expired"; "" when it went well. */
const char *tls_result_name(enum tls_result result);

#endif
