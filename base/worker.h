/* worker - threads that do what would block, with their results back on the event loop
 *
 * A job's `run` is called in a thread, its `done` later on the loop's thread. Jobs hold no pointer
 * into the loop's data that may go away meanwhile. */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include <event2/event.h>

#include "base/err.h"

struct workers;

struct job {			/* put it first in your own struct; the memory stays yours */
	void (*run)(struct job *job);
	void (*done)(struct job *job);
	struct job *next;
};

/* `n` threads with `stack` bytes of stack each (0: the system's default); at most `most` jobs wait.
 * After confinement only. */
struct workers *workers_new(struct event_base *base, unsigned n, size_t stack, unsigned most,
    struct err *err);
/* -1: `most` jobs are waiting already; nothing was queued. */
int workers_submit(struct workers *w, struct job *job);
/* Jobs not yet done. */
unsigned workers_pending(const struct workers *w);
/* Finish the jobs under way, end the threads; `done` is not called any more. Sets *w to NULL. */
void workers_free(struct workers **w);

#endif
