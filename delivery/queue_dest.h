/* queue_dest - destinations (domains of remote recipients): whose turn it is, how many sessions each may have, which is left alone for a
 * while, and which the administrator has suspended */
#ifndef DELIVERY_QUEUE_DEST_H
#define DELIVERY_QUEUE_DEST_H

#include "delivery/queue.h"

/* How one session went, as far as the host is concerned. */
enum dest_verdict {	/* the best first */
	DEST_TOOK,	/* it had time for us: it took mail, or refused it for good */
	DEST_BUSY,	/* we come too often or with too many sessions */
	DEST_ANSWERED,	/* it said "later", for reasons of its own; or we could not try */
	DEST_AWAY	/* no session came about, or it broke */
};

/* The recipient waits for its destination's turn; and no more. */
void dest_ready(struct entry *e);
void dest_pull(struct entry *e);
/* The next that has mail and may have one more session; NULL: none. Give it back with dest_consider once its turn is used. */
struct dest *dest_next(void);
void dest_consider(struct dest *d);
/* A session begins (true: with a host that has not answered yet, see DOUBTFUL_MAX) and ends. */
bool dest_begin(struct dest *d);
void dest_end(struct dest *d, bool doubtful);
/* What the session taught that began at `began` (clock_mono, us); before dest_end. `said`: its last words. */
void dest_learn(struct dest *d, enum dest_verdict verdict, int64_t began, const char *said);
/* Sessions it may have now. */
unsigned dest_limit(const struct dest *d);
/* The administrator wants it tried: a pause ends. */
void dest_wake(struct dest *d);
/* Pauses that are over end; now and then, mail that has grown old while it waits for its turn is seen to. */
void dests_tick(int64_t now);
/* The clock was set: pauses keep their length. */
void dests_clock_jumped(int64_t by);
/* "suspended", "paused" or "": why nothing is sent to it just now, and in words (`out`: 700 bytes). */
const char *dest_state(const struct dest *d, char *out);

/* -- suspended by the administrator: kept in queue.db by queue_suspend.c */

/* From now on (or again) nothing is sent to this domain. -1: no memory. */
int dest_suspend(const char *domain, int64_t since, const char *why);
/* false: it was not. */
bool dest_resume(const char *domain);
unsigned dests_suspended(void);
unsigned dests_paused(void);

#endif
