/* spf - may this client send for this domain? (RFC 7208) */
#ifndef FILTERS_SPF_H
#define FILTERS_SPF_H

#include "filters/judge.h"

enum spf_result {
	SPF_IS_WAITING, /* a DNS answer is not there yet; ask again */
	SPF_IS_NONE,
	SPF_IS_NEUTRAL,
	SPF_IS_PASS,
	SPF_IS_FAIL,
	SPF_IS_SOFTFAIL,
	SPF_IS_TEMPERROR,
	SPF_IS_PERMERROR
};
const char *spf_result_name(enum spf_result r);

/* `sender` is "local@domain". *why is a reason in words or ""; for a fail it is what the
 * domain itself says to it. */
enum spf_result spf_evaluate(struct judge *j, const struct ip *client, const char *helo,
    const char *sender, const char **why);

#endif
