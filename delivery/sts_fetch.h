/* sts_fetch - get a domain's MTA-STS policy over HTTPS (RFC 8461 3.3), on the event loop */
#ifndef DELIVERY_STS_FETCH_H
#define DELIVERY_STS_FETCH_H

#include "base/err.h"
#include "delivery/relay_policy.h"

#define STS_BODY_MAX (64 * 1024)	/* RFC 8461 3.2 advises so */
#define STS_FETCH_S 30			/* in all, names aside */

struct sts_fetched {		/* valid only inside the callback */
	enum tls_result result;	/* TLS_FINE, TLS_STS_FETCH_ERROR or TLS_STS_WEBPKI */
	struct slice body;
	const char *why;
};
typedef void sts_fetched_fn(void *arg, const struct sts_fetched *f);

/* The callback comes exactly once, later; it cannot be stopped. -1: too many are under way, no callback. */
int sts_fetch(const char *domain, sts_fetched_fn *fn, void *arg);

#endif
