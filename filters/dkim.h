/* dkim - verifies DKIM signatures (RFC 6376, 8301, 8463) through libopendkim */
#ifndef FILTERS_DKIM_H
#define FILTERS_DKIM_H

#include "filters/judge.h"

#define DKIM_SIGNATURES_MAX 10 /* of one message; more are not looked at */

enum dkim_result {
	DKIM_IS_NONE,
	DKIM_IS_PASS,
	DKIM_IS_FAIL,
	DKIM_IS_POLICY,
	DKIM_IS_TEMPERROR,
	DKIM_IS_PERMERROR
};

struct dkim_signature { /* texts live in the judge's pool */
	enum dkim_result result;
	const char *domain, *selector, *algorithm; /* "" when they cannot be read */
	const char *identity;			   /* i=, "@" and the domain when it does not say */
	const char *why;			   /* "" for a pass */
	bool testing;				   /* its key says t=y */
};

const char *dkim_result_name(enum dkim_result r);
/* -1: waits for a DNS answer. Else how many of `out` were filled. */
int dkim_evaluate(struct judge *j, struct dkim_signature out[static DKIM_SIGNATURES_MAX]);

#endif
