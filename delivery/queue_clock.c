/* queue_clock - see queue_clock.h */
#include "delivery/queue_clock.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/qid.h"

#define JUMP (10 * CLOCK_SECOND)
#define JUMPS_MAX 16

static struct {
	bool begun;
	int64_t offset; /* of the clock to the one that only runs */
	struct {
		int64_t before, by;
	} forward[JUMPS_MAX]; /* when, by the old setting, and how far */
	unsigned n;
} state;

int64_t
queue_clock_jump(int64_t now, int64_t mono)
{
	int64_t offset = now - mono, by = offset - state.offset;

	state.offset = offset;
	if (!state.begun || llabs(by) < JUMP) {
		state.begun = true;
		return 0;
	}
	log_warning("the clock was set %s by %lld s: what waits in the queue keeps its turn",
	    by > 0 ? "forward" : "back", (long long)(llabs(by) / CLOCK_SECOND));
	if (by > 0 && state.n < JUMPS_MAX) {
		state.forward[state.n].before = now - by;
		state.forward[state.n++].by = by;
	}
	return by;
}

int64_t
queue_clock_created(uint64_t qid)
{
	int64_t created = qid_time(qid);

	for (unsigned i = 0; i < state.n; i++)
		if (created <= state.forward[i].before)
			created += state.forward[i].by;
	return created;
}

int64_t
queue_clock_due(int64_t due, int64_t now, int64_t longest)
{
	return due - now > longest ? now : due;
}
