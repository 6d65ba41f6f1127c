/* queue_report_state - a report in the making: shared by queue_report.c (what is collected, who is told),
 * queue_report_text.c, queue_report_full.c, queue_report_commit.c and queue_owed.c */
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
	bool full_tried;     /* whether the whole mail comes back is decided */
	const char *why_cut; /* it was asked to, and does not; NULL: it does, or need not */
	int file;            /* with file_size > 0: the report itself, a spool file, open for reading */
	uint64_t file_size;
	struct content *content; /* the report as a message */
	struct item *message;
};

/* What a recipient's event is called, by kind. */
extern const enum trace_event report_events[];

/* It is made, or none is: forget it. */
void report_over(struct report *r);
/* Something that it needs is away: it is gone on with later (report_retry, or queue_owed). */
void report_wait(struct report *r);

/* Ask the directory where its sender is, and go on. */
void report_ask(struct report *r);

/* -- queue_report_text */

#define REPORT_ODD_LINES "some of its bytes or lines may\r\nnot be sent that way"
#define REPORT_NO_COPY "there is no room for a copy now"

/* Its text, in the pool of the new message; r->flags say what it holds. Empty: no memory. */
struct slice report_body(struct report *r, struct pool *pool);

/* Is its text, with the whole mail, a file's matter (then report_full_begin)? Sets why_cut. */
bool report_needs_file(struct report *r);
/* What stands before and behind the mail in such a file; r->flags are set. */
void report_around(struct report *r, bool eight, struct buf *head, struct buf *tail);

/* -- queue_report_commit */

/* Make it a message for these recipients, in this pool (now its own), and commit it. */
void report_write(struct report *r, struct pool *pool, struct rcpt *rcpts, size_t n);

/* -- queue_report_full */

/* Threads write the file; report_write is called again with file_size or why_cut. false: it could not begin. */
bool report_full_begin(struct report *r, struct pool *pool, struct rcpt *rcpts, size_t n);

/* -- queue_owed: a BOUNCE_RELAYED */

/* Put on disk that it is owed, then ask. */
void owed_note(struct report *r);
/* It cannot be made now: its recipients are begun with anew later. The report itself stays yours. */
void owed_wait(const struct report *r);

#endif
