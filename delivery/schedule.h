/* schedule - when a recipient that could not be reached is tried again */
#ifndef DELIVERY_SCHEDULE_H
#define DELIVERY_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schedule {
	const int64_t
	    *steps; /* milliseconds after the 1st, 2nd ... failed attempt; the last repeats */
	size_t n_steps;
	int64_t lifetime; /* milliseconds from acceptance until it is given up */
	int64_t warn_after; /* and until its sender is told that it is late; 0: never */
};

/* Microseconds since 1970 of the next attempt after `attempts` (>= 1) failed ones, the last at
 * `now`. `dice` is any number: it moves the time by up to a tenth either way, so that mail of one
 * hour does not come back in one second. The last attempt falls on the end of the lifetime. */
int64_t schedule_next(
    const struct schedule *s, int64_t created, unsigned attempts, int64_t now, uint32_t dice);
/* Has it been tried long enough? */
bool schedule_over(const struct schedule *s, int64_t created, int64_t now);
/* "5 days", "90 seconds": the largest unit that says it exactly enough. `out` holds 40 bytes. */
void schedule_span(int64_t ms, char out[static 40]);

#endif
