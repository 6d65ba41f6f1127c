/* relay_job_state - what a job is, for relay_jobs.c (frames, lists) and relay_job.c (the way to the peer) */
#ifndef DELIVERY_RELAY_JOB_STATE_H
#define DELIVERY_RELAY_JOB_STATE_H

#include "base/envelope.h"
#include "base/link.h"
#include "delivery/relay_connect.h"
#include "delivery/relay_mail.h"

struct job_rcpt {
	struct job_rcpt *next;		/* only while they are read */
	uint64_t number;
	const char *to, *orcpt;
	unsigned notify;		/* enum notify */
	bool decided;
	bool dsn;			/* the host that took it reports its delivery */
	enum step_status status;
	unsigned code;
	char enhanced[12];
	const char *text;		/* in the pool */
};

struct job {
	struct job *next, **at;		/* in a list of relay_jobs.c */
	struct reply_to asker;
	uint64_t number;
	struct pool *pool;
	size_t bytes;			/* of the pool's ceiling that count for JOBS_BYTES_MAX */
	const char *from, *domain, *envid;
	unsigned flags;
	bool utf8_header;
	struct slice prefix;
	struct slice seven_prefix;	/* takes its place when the message is converted to seven bits */
	struct body body;
	struct cut cuts[ENVELOPE_CUTS_MAX];
	size_t n_cuts;
	struct job_rcpt *rcpts;
	size_t n, undecided;
	struct route route;
	struct hosts *hosts;
	struct target target;		/* the one that is tried */
	struct tls_policy *policy;	/* its policy, held */
	bool have_target, plain_only;
	bool fresh_only;		/* no more idle sessions: one was dead */
	bool reused;			/* the present session was idle before */
	struct race *race;		/* connecting: there is no session yet */
	struct session *session;
	struct mail mail;
	struct seven *seven;		/* converts the message for hosts that take less; NULL: was not needed yet */
	struct event *think;		/* goes on with finding out how */
	size_t map[MAIL_RCPTS_MAX];	/* the mail's recipients in `rcpts` */
	struct result why;		/* strongest failure so far */
	char host[400];			/* the last one spoken to */
	char tls[160];			/* what was negotiated with it, in words */
	char why_host[400];		/* the one that `why` is about, or "" */
};

/* -- relay_job.c */
/* Set off; it ends with job_ended(), maybe at once. */
void job_start(struct job *job);
/* The session is ready: the next recipients. */
void job_send(struct job *job);
/* The result of a recipient, unless it has one. */
void rcpt_decide(struct job *job, struct job_rcpt *r, const struct result *result);
void decide_rest(struct job *job, const struct result *result);

/* -- relay_convert.c */
/* Bring the message into a form that the session's peer takes: fills in mail.seven and mail.flags. false: that takes time, and job_send()
 * is called again then. Recipients are decided when it cannot be done. */
bool job_convert(struct job *job);
void job_forget_conversion(struct job *job);
/* Both prefixes, from the queue's. -1: memory is gone. */
int job_prefixes(struct job *job, struct slice prefix);

/* -- relay_jobs.c */
/* Every recipient is decided: answer, and free it. */
void job_ended(struct job *job);

#endif
