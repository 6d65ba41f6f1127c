/* mda_usage - MDA_USAGE: how full is a mailbox */
#ifndef DELIVERY_MDA_USAGE_H
#define DELIVERY_MDA_USAGE_H

#include "base/link.h"
#include "base/worker.h"

/* `root`: the mail directory, stays the caller's. `wake` is called on the loop when usage_start may have more to do. */
void usage_open(int root, void (*wake)(void));
/* A question: answered later, or at once with "not known" when too many wait. */
void usage_ask(struct frame *f);
/* Give what waits to a thread, unless one is counting. */
void usage_start(struct workers *workers);

#endif
