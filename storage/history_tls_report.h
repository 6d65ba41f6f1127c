/* history_tls_report - from the sessions that relay counted (history_tls.h) to reports of RFC 8460; in history.db
 *
 * A report takes the rows of its domain and day out of tls_session into its own, and they go when it was told. So
 * it is the same report, with the same number, however often it has to be begun. */
#ifndef STORAGE_HISTORY_TLS_REPORT_H
#define STORAGE_HISTORY_TLS_REPORT_H

#include "storage/history_tls.h"

#define TLS_REPORT_ROWS_MAX 1000 /* what is above is left out */

struct tls_report {
	int64_t id, start, until, tries; /* s since 1970; `until` is the first second not in it */
	const char *domain;
	struct tls_count *rows;          /* by policy (type and lines); day and domain are not set */
	size_t n;
};

/* The report that is due first (at `now`, s), in the pool. Days are over at midnight UTC and a time that differs
 * from domain to domain; `at_once`: today's sessions count, too. 1, 0: none is; -1 + err. */
int history_tls_due(struct history *h, int64_t now, bool at_once, struct pool *pool, struct tls_report *r,
    struct err *err);
/* It is told, or nobody wants it. */
int history_tls_told(struct history *h, int64_t id, struct err *err);
/* Not now: it is due again at `next` (s); `why` is words for the administrator. */
int history_tls_later(struct history *h, int64_t id, int64_t next, const char *why, struct err *err);

#endif
