/* queue_writer - the one thread that touches queue.db: group commit, reads, checkpoints
 *
 * The event loop submits operations; everything that arrives while one commit runs shares the next.
 * Results come back on the event loop. After any failure of a commit or checkpoint nothing is
 * written until a truncating checkpoint succeeded, tried every second; the same holds at start. */
#ifndef DELIVERY_QUEUE_WRITER_H
#define DELIVERY_QUEUE_WRITER_H

#include <event2/event.h>

#include "storage/queue_store.h"

enum op_kind {
	OP_READ,   /* outside a transaction; its own failure is its own business */
	OP_INTAKE, /* when the commit fails it is told so at once */
	OP_WORK /* when the commit fails it is tried again, until it succeeds: its effect stands in
		   the world already */
};

#define QUEUE_JOURNAL_LONG (16 * 1024 * 1024) /* bytes; checkpoint then. The file is made so long at once. */

struct op { /* put it first in your own struct; the memory stays yours */
	enum op_kind kind;
	size_t bytes; /* of body it writes */
	bool unlink;  /* after the commit the spool file of `qid` goes */
	uint64_t qid;
	/* In the thread. May be called more than once; -1 + err fails the whole batch (but for
	 * OP_READ). */
	int (*run)(struct op *op, struct queue_store *s, struct err *err);
	/* On the loop. `err` is NULL when it was committed (read); OP_WORK gets an error only when
	 * its row is damaged. */
	void (*done)(struct op *op, const struct err *err);
	struct op *next; /* the rest is the writer's own */
	unsigned failures;
	struct err err;
};

struct writer;

/* Takes the store over; `healthy`: its journal was just emptied. `spool_dir` is for unlinking.
 * `idle` is called on the loop after each round of results. */
struct writer *writer_new(struct event_base *base, struct queue_store *store, bool healthy,
    int spool_dir, void (*idle)(void), struct err *err);
/* Queue it; ops run in the order of submission. */
void writer_submit(struct writer *w, struct op *op);
/* May mail be taken in? When not, *why says so (ERR_FULL or ERR_TEMPORARY). */
bool writer_healthy(const struct writer *w, const struct err **why);
/* Operations submitted and not yet done, and the bytes in them. */
unsigned writer_pending(const struct writer *w);
size_t writer_pending_bytes(const struct writer *w);
/* Finish the commit under way, drop what waits, end the thread, close the store. Sets *w to NULL.
 */
void writer_free(struct writer **w);

#endif
