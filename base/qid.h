/* qid - queue ids, unique over time, workers and nodes
 *
 * 50 bits microseconds since 2020, 8 bits of a hash of the host name, 6 bits of the worker that
 * made it. As text: 13 characters of Crockford's base 32, so ids sort by age and survive being read
 * aloud. */
#ifndef BASE_QID_H
#define BASE_QID_H

#include "base/slice.h"

#define QID_TEXT 14			/* with the NUL */
#define QID_WORKER_QUEUE 63		/* ids of mail that the queue writes itself */

/* Who makes ids in this process. */
void qid_setup(struct slice hostname, unsigned worker);
/* A new id, larger than every one before it from this process. Never 0. */
uint64_t qid_new(void);
void qid_text(uint64_t qid, char out[static QID_TEXT]);
/* Reads either case, O as 0 and I, L as 1; false when it is no id. */
bool qid_parse(struct slice text, uint64_t *qid);
/* When it was made: microseconds since 1970. */
int64_t qid_time(uint64_t qid);

#endif
