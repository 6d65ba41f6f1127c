/* mda_batch - stage and publish many messages behind one barrier
 *
 * Runs in a lane's thread; touches nothing of the event loop. */
#ifndef DELIVERY_MDA_BATCH_H
#define DELIVERY_MDA_BATCH_H

#include "base/link.h"
#include "delivery/mda_place.h"
#include "delivery/mda_text.h"

struct result { /* of one recipient's step */
	uint64_t qid, rcpt;
	enum step_status status;
	uint64_t size;
	char text[MAILDIR_NAME]; /* the staged name, or why not */
	/* inside the batch: */
	bool staged;
	struct place *place;
};

struct item { /* one MDA_STAGE or MDA_PUBLISH frame that waits */
	struct item *next;
	enum msg type;
	struct reply_to to;
	uint64_t qid;
	int fd;                 /* ours; -1: the body is in the fields */
	unsigned n;             /* recipients */
	struct result *results; /* n of them */
	size_t len;
	char fields[]; /* as they came, shape checked by the link */
};

/* A copy of the frame, its descriptor taken over. NULL: no memory. */
struct item *item_new(struct frame *f);
void item_free(struct item *item);
/* Fill in every result with this error. */
void item_refuse(struct item *item, const struct err *err);

struct batch {
	struct places *places;
	char *work;   /* BATCH_WORK bytes */
	bool spooled; /* the lane of long messages: fsync each, for few of them are enough work */
	unsigned number; /* of this lane's batches, counted up by batch_run */
	struct item *items;
	char trouble[MAILDIR_NAME]; /* a barrier failed: why, else "" */
};
#define BATCH_WORK (2 * MDA_CHUNK + 64)
#define BATCH_FEW 4 /* files up to which single fsyncs are cheaper than syncfs */

/* Do all of it; every result is filled in, and what it says is durable. */
void batch_run(struct batch *b);
/* A file `maildirsize` has come into being somewhere (any thread). */
void batch_quota_made(void);

#endif
