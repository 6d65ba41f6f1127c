/* queue_writer_state - what the loop's half (queue_writer.c) and the thread's (queue_writer_thread.c) of the writer
 * share, and which of them owns what */
#ifndef DELIVERY_QUEUE_WRITER_STATE_H
#define DELIVERY_QUEUE_WRITER_STATE_H

#include <pthread.h>

#include "delivery/queue_writer.h"

#define BATCH_OPS 4096 /* operations of one commit, at most */

struct op_list {
	struct op *first, **last;
};

struct batch {
	struct op_list ops;
	bool full; /* a list was handed over */
	bool failed;
	struct err err;
};

struct writer {
	struct queue_store *store; /* the thread's own */
	int spool_dir;
	int wake_fd; /* thread -> loop */
	struct event *wake, *hand_over;
	void (*idle)(void);

	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond; /* there is a batch, or `stop` */
	/* under the mutex: */
	struct batch batch, finished;
	bool healthy, stop, wal_alarm;
	struct err unhealthy; /* why; valid while not healthy */

	/* the loop's own */
	struct op_list waiting;
	bool busy; /* a batch is with the thread */
	bool seen_healthy, seen_alarm;
	struct err seen_why;
	unsigned pending;
	size_t pending_bytes;
};

static inline void
op_list_init(struct op_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static inline void
op_list_add(struct op_list *l, struct op *op)
{
	op->next = NULL;
	*l->last = op;
	l->last = &op->next;
}

/* The first one; NULL: there is none. */
static inline struct op *
op_list_take(struct op_list *l)
{
	struct op *op = l->first;

	if (op != NULL && (l->first = op->next) == NULL)
		l->last = &l->first;
	return op;
}

/* Start the thread; it runs until `stop` is set. */
int writer_thread_start(struct writer *w, struct err *err);

#endif
