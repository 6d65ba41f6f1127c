/* sts_fetch - get a domain's MTA-STS policy over HTTPS (RFC 8461 3.3), on the event loop
 *
 * https.c says what is not done for it; a bad server costs its own domain a policy. */
#include "delivery/sts_fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/role.h"
#include "conf/conf.h"
#include "delivery/https.h"

struct fetch {
	sts_fetched_fn *fn;
	void *arg;
};

static struct sts_fetched
result_of(const struct https_answer *a, char *why, size_t size)
{
	struct sts_fetched f = { TLS_STS_FETCH_ERROR, a->body, a->why };

	if (a->end == HTTPS_BAD_CERTIFICATE) {
		f.result = TLS_STS_WEBPKI;
	} else if (a->end == HTTPS_TOO_LONG) {
		f.why = "the policy is too large";
	} else if (a->end == HTTPS_ANSWERED && a->status != 200) {
		snprintf(why, size, "the server answered %ld", a->status);
		f.why = why;
	} else if (a->end == HTTPS_ANSWERED && !slice_starts_nocase(slice_of(a->type), SLICE("text/plain"))) {
		f.why = "what the server sent is not text/plain";
	} else if (a->end == HTTPS_ANSWERED) {
		f.result = TLS_FINE;
	}
	return f;
}

static void
answered(void *arg, const struct https_answer *a)
{
	struct fetch *f = arg;
	char why[200];
	struct sts_fetched got = result_of(a, why, sizeof(why));

	f->fn(f->arg, &got);
	free(f);
}

int
sts_fetch(const char *domain, sts_fetched_fn *fn, void *arg)
{
	struct fetch *f = strlen(domain) <= 240 ? calloc(1, sizeof(*f)) : NULL;
	char url[400];
	struct https_request request = { .url = url, .most = STS_BODY_MAX, .seconds = STS_FETCH_S };
	struct err err;

	if (f == NULL)
		return -1;
	*f = (struct fetch){ fn, arg };
	snprintf(url, sizeof(url), "https://mta-sts.%.240s:%u/.well-known/mta-sts.txt", domain,
	    (unsigned)role_conf()->relay.sts_port);
	if (https_ask(&request, answered, f, &err) == 0)
		return 0;
	free(f);
	return -1;
}
