/* queue_clock - what a jump of the system's clock must not do to mail that waits
 *
 * A clock that is set forward by days would end the lifetime of all that waits, one that is set back would let it wait for days. So
 * the loop compares the clock with one that only runs, and moves by the same step what was planned. What was planned by an earlier
 * life of the process is looked at when it is loaded. */
#ifndef DELIVERY_QUEUE_CLOCK_H
#define DELIVERY_QUEUE_CLOCK_H

#include <stdint.h>

/* Ten times a second: us by which the clock was set since the last call, 0 when it ran as it should. `now` and `mono` are its
 * reading and that of the other one. */
int64_t queue_clock_jump(int64_t now, int64_t mono);
/* When a message came, on the clock as it is set now. */
int64_t queue_clock_created(uint64_t qid);
/* A time read from the disk, `longest` us at most from now in good order. */
int64_t queue_clock_due(int64_t due, int64_t now, int64_t longest);

#endif
