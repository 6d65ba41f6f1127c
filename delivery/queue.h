/* queue - what the files of the queue program share: its one state, and who calls whom
 *
 *   smtpd -> queue_spool, queue_intake -> writer -> queue_flow -> queue_local -> mda
 *                                                              -> queue_remote, queue_job -> relay
 *   mda, relay -> queue_flow (what became of a recipient) -> writer;  failures -> queue_report ->
 * writer -> queue_flow
 */
#ifndef DELIVERY_QUEUE_H
#define DELIVERY_QUEUE_H

#include "base/admin.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/link.h"
#include "base/role.h"
#include "base/worker.h"
#include "conf/conf.h"
#include "delivery/queue_content.h"
#include "delivery/queue_index.h"
#include "delivery/queue_writer.h"
#include "delivery/schedule.h"

struct queue {
	struct index *index;
	struct writer *writer;
	struct workers *workers;
	int spool_dir;
	bool no_space; /* below limits.min_free */
	bool stopping;
	unsigned unreadable; /* stretches of queue.db, at start */
	uint64_t accepted, delivered, relayed, bounced, deferred; /* since the start */
	uint64_t held;                                            /* now */
};
extern struct queue queue;

/* A message that a role had when it died: so often blamed it is sent alone, so often it is held. */
#define CRASHES_ALONE 2
#define CRASHES_MAX 5 /* two in company, three alone */

/* When mail to this destination (NULL: here) is tried again, and how long. */
struct schedule queue_schedule(const struct dest *d);
/* Any number: to spread what would happen at once. */
uint32_t queue_dice(void);
/* May so many bytes more come in without going below limits.min_free? They are counted as used. */
bool queue_has_space(uint64_t bytes);

/* -- queue_flow: from a committed message to what became of each recipient */

/* A message is committed (or was found at start): let its recipients go on. */
void flow_begin(struct item *it);
/* A recipient may be tried now: to the ready list of its kind. */
void flow_ready(struct entry *e);
/* Those whose time has come. */
void flow_wake(int64_t now);
/* Fill what room there is. Called after each round of results. */
void flow_pump(void);

struct outcome {              /* what a peer said, or we found */
	const char *host;     /* who said it, or "" */
	unsigned code;        /* SMTP reply, or 0 */
	const char *enhanced; /* or "" */
	const char *text;
};
/* The recipient has it. */
void flow_done(struct entry *e, enum trace_event event, const char *text);
/* Not now: later, or given up when its time is over. `failed` collects what is given up for one
 * report (queue_report.h). */
struct report;
void flow_defer(struct entry *e, const struct outcome *o, struct report **failed);
/* Has it waited so long that its sender should hear? Once a message. */
bool flow_is_late(const struct entry *e, int64_t now);
/* He is told of all recipients that still wait. */
void flow_warn(struct item *it);
/* Never. */
void flow_fail(struct entry *e, const struct outcome *o, struct report **failed);
/* Until the administrator says so. */
void flow_hold(struct entry *e, const char *reason);
/* Its row is gone: the end of the entry, and of the message with the last one. */
void flow_ended(struct entry *e);
/* Forget a message when no recipient and no user is left. */
void flow_over(struct item *it);
/* The administrator: out of what it waits in, before something else is done with it. false: it is
 * in flight. */
bool flow_pull(struct entry *e);
/* Let one that was pulled go on: now, or at the time it had. */
void flow_go_on(struct entry *e, bool now);
/* "host said: 550 5.1.1 text" as one line. */
void outcome_text(const struct outcome *o, char *out, size_t size);
struct reason { /* such a line taken apart again */
	struct outcome o;
	char host[256], enhanced[12], text[1000];
};
void reason_read(const char *line, struct reason *out);

/* -- queue_local */
void local_ready(struct item *it);
void local_publish(struct entry *e); /* is ENTRY_STAGED */
void local_pump(void);
/* The message is over: out of the list. */
void local_forget(struct item *it);
void local_set_crashes(struct item *it, unsigned crashes);
void local_link_up(struct link *l);
void local_link_down(struct link *l);
void local_on_staged(struct frame *f);
void local_on_published(struct frame *f);
void local_on_unstaged(struct frame *f);
unsigned local_in_flight(void);

/* -- queue_remote */
void remote_pump(void);
void remote_link_up(struct link *l);
void remote_link_down(struct link *l);
void remote_on_sent(struct frame *f);
unsigned remote_in_flight(void);

/* -- queue_intake, queue_spool */
void intake_on_rcpts(struct frame *f);
void intake_on_put(struct frame *f);
void intake_link_down(struct link *l);
/* May mail be taken in? PUT_OK, or why not. */
enum put_status intake_open(const char **why);
/* The spool file of this message is durable now (or not: err). */
void intake_spooled(uint64_t qid, const struct err *err);

void spool_on_data(struct frame *f);
void spool_on_end(struct frame *f);
void spool_on_drop(struct frame *f);
void spool_link_down(struct link *l);
enum spool_claim { SPOOL_NONE, SPOOL_PENDING, SPOOL_READY };
/* A QUEUE_PUT names the file: READY (and *fd, yours, or -1), PENDING (intake_spooled will be
 * called), NONE. */
enum spool_claim spool_claim(struct link *l, uint64_t qid, uint64_t size, int *fd);
/* The message was not taken: the file goes (not when its row may be on disk after all). */
void spool_unclaim(uint64_t qid, bool remove);

/* -- queue_suspend */
/* At start: what is suspended. */
int suspend_load(struct queue_store *store, struct err *err);
/* queue.suspend, queue.resume; answered when it is on disk, unless -1 + err. */
int suspend_change(struct frame *f, const struct admin_request *rq, bool suspend, struct err *err);
/* queue.destinations: a row each (`domain`: that one; `notable`: only those that get nothing just now). */
void suspend_list(struct frame *f, const struct admin_request *rq);

/* -- queue_admin */
void admin_on_request(struct frame *f);

#endif
