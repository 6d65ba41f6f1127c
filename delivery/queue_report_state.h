/* queue_report_state - a report in the making: shared by queue_report.c (who is told, and its commit) and queue_report_text.c */
#ifndef DELIVERY_QUEUE_REPORT_STATE_H
#define DELIVERY_QUEUE_REPORT_STATE_H

#include "delivery/bounce.h"
#include "delivery/queue_report.h"

struct told_rcpt {
	struct entry *e; /* NULL: only delayed */
	uint32_t n;      /* its number in the store */
	struct outcome o;
	char to[ADDRESS_MAX + 1], original[ADDRESS_MAX + 1];
	char host[256], enhanced[32], text[1200];
	bool last;
};

struct report {
	struct op op;
	struct report *next; /* among those that wait for the directory */
	struct item *item;   /* the mail; NULL once nothing of it is needed */
	uint64_t id;         /* of the report; op.qid is the mail's */
	enum bounce_kind kind;
	int64_t until;
	unsigned flags;    /* enum envelope_flag of the report */
	bool to_postmaster; /* since nobody else can be told */
	bool owed;          /* that it is to be made is on disk (queue_owed.c) */
	bool unread;        /* it waits for its mail to be read */
	char why_not[100]; /* no report is made */
	char *sender;
	struct told_rcpt *rcpts;
	size_t n, size;
	struct content *content; /* the report as a message */
	struct item *message;
};

/* Its text, in the pool of the new message; r->flags say what it holds. Empty: no memory. */
struct slice report_body(struct report *r, struct pool *pool);

/* Ask the directory where its sender is, and go on. */
void report_ask(struct report *r);

/* -- queue_owed: a BOUNCE_RELAYED */

/* Put on disk that it is owed, then ask. */
void owed_note(struct report *r);
/* It cannot be made now: its recipients are begun with anew later. The report itself stays yours. */
void owed_wait(const struct report *r);

#endif
