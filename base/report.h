/* report - what another server said of our mail: DMARC aggregate reports (RFC 9990, 7489) and TLS
 * reports (RFC 8460), as `filter` reads them and `control` keeps them
 *
 * Both are a head and rows; a row is a number of messages (or sessions) and texts. Every text has
 * been checked: UTF-8 without control characters, at most REPORT_TEXT_MAX bytes. */
#ifndef BASE_REPORT_H
#define BASE_REPORT_H

#include "base/wire.h"

#define REPORT_TEXT_MAX 500
#define REPORT_ROWS_MAX 20000 /* of one report */
#define REPORT_COUNT_MAX INT64_C(1000000000000)
#define REPORT_TEXTS 9

enum report_kind { REPORT_DMARC, REPORT_TLS, REPORT_KINDS };

/* The texts of a row, by kind. */
enum report_dmarc {
	DMARC_IP,
	DMARC_DISPOSITION, /* none, quarantine, reject */
	DMARC_DKIM,        /* aligned: pass, fail */
	DMARC_SPF,
	DMARC_REASON, /* why the policy was not followed: "forwarded, mailing_list" */
	DMARC_HEADER_FROM,
	DMARC_ENVELOPE_FROM,
	DMARC_DKIM_AUTH, /* as checked: "example.test/selector=pass, other.test=fail" */
	DMARC_SPF_AUTH
};
enum report_tls {
	TLS_POLICY, /* tlsa, sts, no-policy-found */
	TLS_DOMAIN, /* whose policy */
	TLS_MX,     /* hosts that the policy names */
	TLS_RESULT, /* "": sessions that went well; else RFC 8460 4.3 */
	TLS_SENDER_IP,
	TLS_HOST, /* of ours */
	TLS_HOST_IP,
	TLS_REASON, /* failure-reason-code */
	TLS_INFO    /* additional-information */
};

struct report_row {
	int64_t count;
	const char *text[REPORT_TEXTS];
};

struct report {
	enum report_kind kind;
	uint64_t qid;       /* of the message that brought it */
	const char *sender; /* domain of that message's From */
	bool proven;        /* ... which SPF or DKIM proves */
	const char *org, *contact, *id, *domain;
	int64_t begins, ends; /* seconds since 1970 */
	const char *policy;   /* as the reporter saw it: "p=none sp=none" */
	const char *note;     /* what is odd about it, in words; "" */
	struct report_row *rows;
	size_t n;
};

struct report_part { /* of a report that takes several frames */
	size_t first; /* number of its first row */
	bool last;
};

/* Put the report's head and as many rows from `part->first` on as a frame holds; sets part->last.
 * Says how many rows went. */
size_t report_put(struct buf *b, const struct report *r, struct report_part *part);
/* The same way back: texts and rows in the pool. -1: it does not hold together. */
int report_get(struct wire *in, struct pool *pool, struct report *r, struct report_part *part);

#endif
