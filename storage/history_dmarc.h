/* history_dmarc - how mail fared under its domains' DMARC policies, until they were told; in history.db
 *
 * dmarc_seen is a report to be: a policy domain and a time; dmarc_seen_row are its rows, equal messages
 * added up. Both go when the report is with the queue. report_sent names what each destination has
 * got, so that a report that goes to several is not sent twice to one of them; TLS reports use it, too.
 *
 * Ceilings: what comes above them is only counted (`dropped`). */
#ifndef STORAGE_HISTORY_DMARC_H
#define STORAGE_HISTORY_DMARC_H

#include "base/pool.h"
#include "storage/history.h"

#define DMARC_DOMAINS_MAX 5000     /* reports to be */
#define DMARC_ROWS_MAX 100000      /* in all of them */
#define DMARC_DOMAIN_ROWS_MAX 2000 /* in one */
#define DMARC_REPORT_ROWS_MAX 500  /* told at once: more rows are more reports */

struct dmarc_seen { /* one message */
	int64_t time;               /* us since 1970 */
	const char *domain;         /* where the policy was found */
	const char *organization;
	/* its p, sp, np ("none", "quarantine", "reject"), adkim, aspf ("r", "s"), t ("y", "n"), with
	 * blanks between */
	const char *policy;
	const char *rua;            /* as published */
	const char *ip;
	const char *disposition;    /* "none", "pass", "quarantine", "reject" */
	const char *dkim, *spf;     /* aligned: "pass", "fail" */
	const char *reasons;        /* a line each: type, TAB, comment */
	const char *header_from;    /* domains */
	const char *envelope_from;  /* "": there was no sender */
	/* a line each: "dkim", domain, selector, result, comment, or "spf", domain, "mfrom", result,
	 * comment, with TABs between */
	const char *results;
	int64_t messages;           /* in a report; not read by history_dmarc_add */
	int64_t id;                 /* likewise */
};

/* All of them or none. `interval` (s) is the time of a report, told at its end and some seconds more that
 * differ from domain to domain. *dropped grows by the messages above the ceilings that belong to no report. */
int history_dmarc_add(struct history *h, const struct dmarc_seen *seen, size_t n, int64_t interval,
    uint64_t *dropped, struct err *err);

struct dmarc_report {
	int64_t id, start, until;   /* s since 1970; `until` is the first second not in it */
	const char *domain, *organization, *policy, *rua;
	int64_t dropped, tries;
	struct dmarc_seen *rows;    /* time, domain, organization, policy and rua are not set */
	size_t n;                   /* DMARC_REPORT_ROWS_MAX at most */
};

/* The report that is due first (at `now`, s), in the pool. 1, 0: none is; -1 + err. */
int history_dmarc_due(struct history *h, int64_t now, struct pool *pool, struct dmarc_report *r,
    struct err *err);
/* It is told up to the row `last`: forget these, and the report when no row is left. */
int history_dmarc_told(struct history *h, int64_t id, int64_t last, struct err *err);
/* Not now: it is due again at `next` (s), and has been tried once more; `why` is words for the administrator. */
int history_dmarc_later(struct history *h, int64_t id, int64_t next, const char *why, struct err *err);

/* `report` (its id) is with the queue for `destination`. Forgets what was told long ago. */
int history_report_sent(struct history *h, const char *report, const char *destination, int64_t now,
    struct err *err);
/* 1: it has been; 0: not yet; -1 + err. */
int history_report_was_sent(
    struct history *h, const char *report, const char *destination, struct err *err);

#endif
