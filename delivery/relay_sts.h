/* relay_sts - the MTA-STS policy of a recipient's domain (RFC 8461), kept, renewed and shared by all who ask */
#ifndef DELIVERY_RELAY_STS_H
#define DELIVERY_RELAY_STS_H

#include "delivery/relay_policy.h"
#include "delivery/sts_text.h"

struct sts_view {		/* valid only inside the callback, or until the return to the loop */
	enum sts_mode mode;	/* STS_NONE: there is no policy */
	const char *text;	/* for sts_names() */
	enum tls_result fault;	/* a policy was announced, but could not be had just now: why */
	const char *why;
};
typedef void sts_fn(void *arg, const struct sts_view *view);

struct sts_query;
/* The policy of `domain`. When it is known *view is filled in and the result is NULL; else the callback comes once, later, at the
 * latest when DNS and the policy's server had their time. */
struct sts_query *sts_ask(const char *domain, sts_fn *fn, void *arg, struct sts_view *view);
/* The callback will not come. Sets *q to NULL; accepts NULL. */
void sts_cancel(struct sts_query **q);

#endif
