/* history_tls - what TLS with other servers came to, and the policies they published (MTA-STS, RFC 8461); in history.db
 *
 * tls_session is what a report of RFC 8460 is made of: a day (since 1970, UTC), whose mail, under which policy, how many sessions, and
 * of those that failed where and why. sts_policy keeps fetched policies over restarts: forgetting one would open the door that it
 * shuts. */
#ifndef STORAGE_HISTORY_TLS_H
#define STORAGE_HISTORY_TLS_H

#include "base/pool.h"
#include "storage/history.h"

#define TLS_DAYS 14		/* kept */
#define STS_POLICIES_MAX 20000	/* kept; those that end first go */

struct tls_count {		/* one row of tls_session */
	int64_t day;
	const char *domain, *type, *lines;	/* policy: "tlsa", "sts", "no-policy-found"; as published */
	const char *host, *ip, *own_ip;		/* "" in rows of what went well */
	const char *result, *why;		/* RFC 8460 4.3, "" when it went well; in words */
	int64_t sessions;
};
/* All of them or none; sessions of equal rows add up. */
int history_tls_add(struct history *h, const struct tls_count *counts, size_t n, struct err *err);

struct sts_kept {
	const char *domain, *id, *text;
	int64_t fetched, expires;	/* us since 1970 */
};
/* With text "": forget it. */
int history_sts_put(struct history *h, const struct sts_kept *policy, struct err *err);
/* 1: found (texts in the pool), 0: none that is still good, -1 + err. */
int history_sts_get(struct history *h, const char *domain, int64_t now, struct pool *pool, struct sts_kept *policy, struct err *err);

#endif
