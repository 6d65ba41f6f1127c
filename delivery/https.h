/* https - one request over HTTPS, on the event loop of relay: a policy is fetched, a report is handed in */
#ifndef DELIVERY_HTTPS_H
#define DELIVERY_HTTPS_H

#include "base/err.h"
#include "base/slice.h"

enum https_end {
	HTTPS_ANSWERED,        /* with a status, whatever it is */
	HTTPS_BAD_CERTIFICATE, /* it does not verify */
	HTTPS_TOO_LONG,        /* the answer passed `most` */
	HTTPS_FAILED
};

struct https_answer { /* valid only inside the callback */
	enum https_end end;
	long status; /* of HTTP; also with TOO_LONG and FAILED when it had come; else 0 */
	const char *type;
	struct slice body;
	const char *why; /* in words, unless ANSWERED */
};
typedef void https_fn(void *arg, const struct https_answer *a);

struct https_request {
	const char *url;
	struct slice post; /* copied; empty: GET */
	const char *type;  /* of what is posted */
	size_t most;       /* bytes of the answer's body */
	unsigned seconds;  /* in all, names aside */
};

/* Before confinement. */
int https_setup(struct err *err);
/* The callback comes exactly once, later; it cannot be stopped. -1 + err, and no callback: ERR_PERMANENT when the
 * URL is none that is asked (not https, an address or a user in it), ERR_TEMPORARY when too many are under way. */
int https_ask(const struct https_request *request, https_fn *fn, void *arg, struct err *err);

#endif
