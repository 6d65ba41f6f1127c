/* queue_job - a job for relay: one message for up to 100 recipients of one destination, under one sender */
#ifndef DELIVERY_QUEUE_JOB_H
#define DELIVERY_QUEUE_JOB_H

#include "delivery/queue_dest.h"

#define JOBS_MAX 512 /* at a time */
#define JOB_RCPTS 100

struct job_out {
	uint64_t id;
	struct dest *dest;
	struct item *item;
	struct link *relay; /* NULL: being loaded */
	struct entry *entries[JOB_RCPTS];
	unsigned n;
	const struct rcpt *alias; /* it is sent on from this one of its content; or NULL */
	char *from;               /* under this sender; NULL: its own */
	bool doubtful;            /* see queue_dest.c */
	int64_t began;            /* clock_mono */
};

struct jobs {
	struct job_out *at[JOBS_MAX]; /* NULL: free */
	unsigned n;
	struct job_out *alone; /* the suspect's: while there is one, no other suspect is sent */
};
extern struct jobs jobs;

/* The first ready message of the destination goes out, with all of its recipients there. false: no memory. */
bool job_start(struct dest *d);
/* The one that relay names; NULL: it is over. */
struct job_out *job_find(uint64_t id);
/* What is still ENTRY_SENDING of it is tried again then ... */
void job_back(struct job_out *j, int64_t when);
/* ... or held. */
void job_hold(struct job_out *j, const char *why);
/* Its entries have been seen to: free it, and let go of the message. */
void job_end(struct job_out *j);

#endif
