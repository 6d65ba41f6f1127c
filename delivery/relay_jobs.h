/* relay_jobs - the work that queue gives: a message for recipients of one domain each, from RELAY_SEND to RELAY_SENT */
#ifndef DELIVERY_RELAY_JOBS_H
#define DELIVERY_RELAY_JOBS_H

#include "base/link.h"

#define JOBS_ACTIVE_MAX 1000	/* each has at most one session */
#define JOBS_WAITING_MAX 2000
#define JOBS_BYTES_MAX (64 * 1024 * 1024) /* of bodies in memory */

/* The handler of MSG_RELAY_SEND. RELAY_SENT is sent once for every job, unless the asker is gone. */
void job_from_frame(struct frame *f);
/* Drop the jobs of an asker that is gone, but for those whose message has left already. */
void jobs_drop(uint64_t link_serial);
/* Drop all that have not sent their message yet; `done` is called when none is left. */
void jobs_stop(void (*done)(void));
unsigned jobs_count(void);

#endif
