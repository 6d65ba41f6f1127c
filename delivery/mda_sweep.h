/* mda_sweep - remove staged files that no row of the queue names
 *
 * Once at each start of queue's link, before the first new message: what is left then belongs to
 * attempts that died. */
#ifndef DELIVERY_MDA_SWEEP_H
#define DELIVERY_MDA_SWEEP_H

#include "delivery/mda_place.h"

struct keep { /* staged names in use, "STAGE/FILE" */
	char **names;
	size_t n, room, bytes;
	bool overflow; /* more than we can hold: then nothing may be removed */
};

/* Loop's thread. Past the ceiling (or without memory) only notes the overflow. */
void keep_add(struct keep *k, struct slice name);
void keep_free(struct keep *k);

/* Remove all others, in mail_dir's stage folder and in those of homes on other devices. Sorts
 * `k`. -1 + err: some could not be read or removed (the rest was). */
int sweep(int root, const struct stage *common, struct keep *k, uint64_t *removed, struct err *err);

#endif
