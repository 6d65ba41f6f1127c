/* spf_explain - what a domain says to those whom it does not let send its mail (RFC 7208 6.2) */
#ifndef FILTERS_SPF_EXPLAIN_H
#define FILTERS_SPF_EXPLAIN_H

#include "filters/check.h"

/* The explanation that `spec`, the value of exp= in the record of `domain`, leads to; in the pool, ""
 * when there is none or it is no good. CHECK_WAIT: ask again. */
enum check_status spf_explain(struct judge *j, const struct ip *client, const char *helo,
    const char *sender, const char *domain, struct slice spec, const char **text);

#endif
