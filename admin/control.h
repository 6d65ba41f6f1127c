/* control - the program that keeps the log and the history, and answers the administrator
 *
 * Its parts:
 *   control_main.c     the role: tables, start, stop
 *   control_clients.c  control.sock: who may ask, and their requests
 *   control_request.c  one request: its steps, asked of the owners
 *   control_own.c      requests that control answers itself (trace, spam.stats, status, check)
 *   control_learn.c    spam.learn
 *   control_dkim.c     the records of our DKIM keys, watched in DNS (control_dkim.h)
 *   control_log.c      log lines of all roles, written to stderr
 *   control_tls.c      TLS with other servers: sessions counted, policies kept
 *   control_reports.c  reports that other servers sent
 *   control_dmarc.c    DMARC results that filter saw, and
 *   control_tell.c     the reports made of them, sent to who asked for them (control_tell.h)
 *   control_events.c   events of all roles, kept in history.db
 * One thread (the keeper) touches history.db and score.db, in the order in which jobs are given to
 * it. */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include "admin/verbs.h"
#include "base/link.h"
#include "base/role.h"
#include "base/worker.h"
#include "storage/history.h"
#include "storage/score.h"

#define REQUESTS_MAX 64 /* under way, of all clients together */
#define ANSWER_BACKLOG_MAX (LINK_QUEUE_MAX - (1 << 20))

extern struct control {
	struct history *history; /* keeper's thread only, from start on */
	struct score *score;     /* likewise */
	struct workers *keeper;
	int64_t started; /* us since 1970 */
	unsigned requests;
} control;

/* -- a request under way; its memory lives until its end was sent */
struct request {
	struct job job; /* for those who work in the keeper's thread */
	struct reply_to to;
	struct pool *pool;
	struct admin_request rq; /* texts in the pool; rq.fd is -1 */
	int fd;                  /* a message file, or -1; closed at the end */
	struct verb_plan plan;
	size_t step;
	bool undoing; /* the answer awaited is that of an undo */
	struct err err;
	int rc;
	void *own; /* what a verb of our own keeps; freed at the end */
};

/* Take a frame from a client. Always answers, now or later. */
void request_start(struct frame *f);
/* Refuse it without reading it. */
void request_refuse(struct frame *f, const char *why);
/* Send a row; false when the asker reads too slowly or is gone: stop. */
bool request_row(struct request *r, const struct admin_word *words, size_t n);
/* Send the end (err NULL: done) and forget the request. */
void request_end(struct request *r, const struct err *err);
/* Ask `role`; fn gets the rows and the end, or NULL. -1 + err: it is not there. */
int request_ask(enum role role, const struct admin_request *rq, int fd, answer_fn *fn, void *arg,
    struct err *err);
/* The (kind, why) of an ADMIN_END frame, or of a peer that went away (NULL). 0 or -1. */
int request_outcome(struct frame *f, enum role role, struct err *err);

/* A verb of control's own: it answers by request_end. */
void own_start(struct request *r);
void learn_start(struct request *r);

/* -- control.sock */
int clients_open(struct err *err);
int clients_start(int listener, struct err *err);
void clients_stop(void);

/* -- log lines */
int logger_start(struct err *err);
/* A line for the log, from any role. */
void logger_line(enum log_level level, enum role role, unsigned number, const char *line);
/* A process came (or its pid is wanted again): ask tegamid who is who. */
void logger_learn_pids(void);
uint64_t logger_dropped(void);
/* Call `done` once all lines taken so far are written (or have had their time). */
void logger_finish(void (*done)(void));
/* One event as a line. */
void logger_event(const struct history_event *e, unsigned number);

/* -- TLS with other servers */
void tls_take_counts(struct frame *f);
void tls_take_policy(struct frame *f);
void tls_tell_policy(struct frame *f);

/* -- reports of other servers */
void reports_take(struct frame *f);
void reports_take_bad(struct frame *f);

/* -- events */
int events_start(struct err *err);
/* An EVENT frame of any role. */
void events_take(struct frame *f);
/* Give what was gathered to the keeper now. */
void events_flush(void);
uint64_t events_dropped(void);
/* Is there something that is not in history.db yet? */
bool events_pending(void);

#endif
