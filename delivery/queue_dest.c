/* queue_dest - destinations in turn, each with its limit
 *
 * Destinations that have something ready and may have a session stand in a ring and get one job a turn, so one with a
 * thousand messages delays nobody else. There are two rings: of those that answered when we spoke to them last, and of
 * those that did not, or are new. All of the doubtful ones together get DOUBTFUL_MAX of the sessions, so that any number
 * of dead hosts, each of which holds a session until its time is out, leaves room for the living.
 *
 * How many sessions one may have (its window):
 *
 *	at first		WINDOW_FIRST
 *	took mail, window full	+1 for each session until the first failure, then +1 for each round of them
 *	busy, or away once	half, at least 1; once for all sessions of the same round
 *	away again		1
 *	ceiling			relay.concurrency
 *
 * A host that was away AWAY_MAX times in a row, and has no session left, is paused: its mail stays ready, and one message
 * tries again when the pause is over. Pauses double from the first step of the retry schedule to the last one (an hour
 * at the most), each up to a tenth shorter or longer, so that mail of one hour does not come back in one second. */
#include "delivery/queue_clock.h"
#include "delivery/queue_dest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/qid.h"
#include "delivery/queue_report.h"

#define ONE 64 /* session, in units of a window */
#define WINDOW_FIRST 4
#define DOUBTFUL_MAX 384
#define AWAY_MAX 2
#define PAUSE_FIRST_MAX (300 * CLOCK_SECOND)
#define PAUSE_MAX (3600 * CLOCK_SECOND)
#define SAID_MAX 400
#define OLD_EVERY (5 * CLOCK_SECOND)
#define OLD_AT_ONCE 100 /* reports begun in one go */

static struct {
	struct dest_list ring[2], paused; /* ring[1]: the doubtful */
	unsigned turn;
	unsigned n_doubtful; /* sessions */
	unsigned n_suspended, n_paused;
	int64_t looked_at_old;
	bool made;
} dests;

static void
lists_make(void)
{
	if (dests.made)
		return;
	TAILQ_INIT(&dests.ring[0]);
	TAILQ_INIT(&dests.ring[1]);
	TAILQ_INIT(&dests.paused);
	dests.made = true;
}

/* -- the rings */

static unsigned
ceiling(void)
{
	int64_t most = role_conf()->relay.concurrency;

	return most < 1 ? 1 : (unsigned)most;
}

static unsigned
window_of(const struct dest *d)
{
	return d->window == 0 ? WINDOW_FIRST * ONE : d->window;
}

unsigned
dest_limit(const struct dest *d)
{
	unsigned limit = window_of(d) / ONE;

	return limit > ceiling() ? ceiling() : limit;
}

void
dest_consider(struct dest *d)
{
	lists_make();
	if (d->linked || d->paused || d->suspended != NULL || TAILQ_EMPTY(&d->ready) ||
	    d->active >= dest_limit(d))
		return;
	d->linked = true;
	d->ring = !d->proven;
	TAILQ_INSERT_TAIL(&dests.ring[d->ring], d, link);
}

static void
leave(struct dest *d)
{
	if (d->linked)
		TAILQ_REMOVE(&dests.ring[d->ring], d, link);
	if (d->paused) {
		TAILQ_REMOVE(&dests.paused, d, link);
		dests.n_paused--;
	}
	d->linked = d->paused = false;
}

void
dest_ready(struct entry *e)
{
	TAILQ_INSERT_TAIL(&e->dest->ready, e, link);
	dest_consider(e->dest);
}

void
dest_pull(struct entry *e)
{
	struct dest *d = e->dest;

	TAILQ_REMOVE(&d->ready, e, link);
	if (TAILQ_EMPTY(&d->ready) && !d->paused)
		leave(d);
}

struct dest *
dest_next(void)
{
	struct dest *d = NULL;

	lists_make();
	for (unsigned i = 0; i < 2 && d == NULL; i++) {
		unsigned ring = ++dests.turn % 2;

		if (ring == 0 || dests.n_doubtful < DOUBTFUL_MAX)
			d = TAILQ_FIRST(&dests.ring[ring]);
	}
	if (d != NULL)
		leave(d);
	return d;
}

bool
dest_begin(struct dest *d)
{
	d->active++;
	if (d->proven)
		return false;
	dests.n_doubtful++;
	return true;
}

void
dest_end(struct dest *d, bool doubtful)
{
	d->active--;
	dests.n_doubtful -= doubtful;
	dest_consider(d);
	index_settle_dest(queue.index, d);
}

/* -- learning */

static void
grow(struct dest *d)
{
	unsigned window = window_of(d);

	if (d->active < dest_limit(d)) /* it was not even used up */
		return;
	window += d->threshold == 0 || window < d->threshold ? ONE : ONE * ONE / window;
	d->window = window > ceiling() * ONE ? ceiling() * ONE : window;
}

static void
shrink(struct dest *d, int64_t began)
{
	if (d->shrunk_at != 0 && began < d->shrunk_at) /* of the round that was punished already */
		return;
	d->window = window_of(d) / 2 > ONE ? window_of(d) / 2 : ONE;
	d->threshold = d->window;
	d->shrunk_at = clock_mono();
	if (d->linked && d->active >= dest_limit(d))
		leave(d);
}

static int64_t
pause_length(const struct dest *d)
{
	struct schedule s = queue_schedule(d);
	int64_t first = s.n_steps > 0 ? s.steps[0] * 1000 : PAUSE_FIRST_MAX;
	int64_t most = s.n_steps > 0 ? s.steps[s.n_steps - 1] * 1000 : PAUSE_MAX;
	int64_t length;

	if (first > PAUSE_FIRST_MAX)
		first = PAUSE_FIRST_MAX;
	if (most > PAUSE_MAX)
		most = PAUSE_MAX;
	length = first << (d->pauses < 12 ? d->pauses : 12);
	if (length > most)
		length = most > first ? most : first;
	return length - length / 10 + (int64_t)((double)length * (queue_dice() % 1001) / 5000.0);
}

static void
pause_it(struct dest *d)
{
	leave(d);
	d->paused = true;
	d->paused_until = clock_now() + pause_length(d);
	if (d->pauses < UINT8_MAX)
		d->pauses++;
	TAILQ_INSERT_TAIL(&dests.paused, d, link);
	dests.n_paused++;
}

static void
keep_words(struct dest *d, const char *said)
{
	char *copy = strndup(said, SAID_MAX);

	if (copy == NULL)
		return;
	free(d->said);
	d->said = copy;
}

void
dest_learn(struct dest *d, enum dest_verdict verdict, int64_t began, const char *said)
{
	if (verdict == DEST_AWAY) {
		keep_words(d, said);
		shrink(d, began);
		d->proven = false;
		if (d->failures < UINT32_MAX)
			d->failures++;
		if (d->failures >= AWAY_MAX)
			d->window = ONE;
		/* this session still counts */
		if (d->failures >= AWAY_MAX && d->active <= 1 && !d->paused && d->suspended == NULL)
			pause_it(d);
		return;
	}
	d->failures = d->pauses = 0;
	d->proven = true;
	if (d->linked && d->ring == 1)
		leave(d); /* dest_end puts it among the others */
	free(d->said);
	d->said = NULL;
	if (verdict == DEST_BUSY)
		shrink(d, began);
	else if (verdict == DEST_TOOK)
		grow(d);
}

/* -- pauses and suspension */

void
dest_wake(struct dest *d)
{
	if (!d->paused)
		return;
	leave(d);
	dest_consider(d);
}

void
dests_clock_jumped(int64_t by)
{
	struct dest *d;

	lists_make();
	TAILQ_FOREACH(d, &dests.paused, link)
	{
		d->paused_until += by;
	}
}

static void
unpause(int64_t now)
{
	struct dest *d, *next;

	for (d = TAILQ_FIRST(&dests.paused); d != NULL; d = next) {
		next = TAILQ_NEXT(d, link);
		if (d->paused_until > now)
			continue;
		leave(d);
		dest_consider(d);
		index_settle_dest(queue.index, d);
	}
}

int
dest_suspend(const char *domain, int64_t since, const char *why)
{
	struct dest *d = index_dest(queue.index, slice_of(domain), true);
	char *copy = d != NULL ? strdup(why) : NULL;

	if (copy == NULL) {
		if (d != NULL)
			index_settle_dest(queue.index, d);
		return -1;
	}
	lists_make();
	dests.n_suspended += d->suspended == NULL;
	free(d->suspended);
	d->suspended = copy;
	d->suspended_since = since;
	leave(d);
	return 0;
}

bool
dest_resume(const char *domain)
{
	struct dest *d = index_dest(queue.index, slice_of(domain), false);

	if (d == NULL || d->suspended == NULL)
		return false;
	free(d->suspended);
	d->suspended = NULL;
	dests.n_suspended--;
	dest_consider(d);
	index_settle_dest(queue.index, d);
	return true;
}

unsigned
dests_suspended(void)
{
	return dests.n_suspended;
}

unsigned
dests_paused(void)
{
	return dests.n_paused;
}

const char *
dest_state(const struct dest *d, char *out)
{
	out[0] = '\0';
	if (d->suspended != NULL) {
		snprintf(out, 700, "the administrator has suspended mail to %.255s%s%.200s", d->domain,
		    d->suspended[0] != '\0' ? ": " : "", d->suspended);
		return "suspended";
	}
	if (d->paused) {
		snprintf(out, 700, "the mail host of %.255s cannot be reached just now%s%.400s", d->domain,
		    d->said != NULL ? ": " : "", d->said != NULL ? d->said : "");
		return "paused";
	}
	return "";
}

/* -- mail that grows old while it waits for its turn */

struct old {
	int64_t now;
	unsigned begun;
};

/* Given up after its lifetime, but not while it is suspended: then it is not the other side's fault. */
static void
give_up(struct entry *e)
{
	struct dest *d = e->dest;
	struct outcome o = { "", 0, "4.4.1", d->said != NULL ? d->said : "it was never its turn" };
	struct report *failed = NULL;

	TAILQ_REMOVE(&d->ready, e, link);
	flow_defer(e, &o, &failed);
	report_go(&failed);
}

static void
look_at_old(void *arg, struct dest *d)
{
	struct old *old = arg;
	struct schedule s = queue_schedule(d);
	struct entry *e, *next;

	for (e = TAILQ_FIRST(&d->ready); e != NULL && old->begun < OLD_AT_ONCE; e = next) {
		int64_t created = queue_clock_created(e->item->qid);

		next = TAILQ_NEXT(e, link);
		if (d->paused && schedule_over(&s, created, old->now)) {
			old->begun++;
			give_up(e);
		} else if (flow_is_late(e, old->now)) {
			old->begun++;
			flow_warn(e->item);
		}
	}
}

void
dests_tick(int64_t now)
{
	struct old old = { .now = now };

	lists_make();
	unpause(now);
	if (now < dests.looked_at_old + OLD_EVERY && now >= dests.looked_at_old)
		return;
	dests.looked_at_old = now;
	index_each_dest(queue.index, look_at_old, &old);
}
