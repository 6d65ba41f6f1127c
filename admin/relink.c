/* relink - the links between the roles: made when one starts, made anew when one ended between two
 * that live
 *
 * A link ends when its peer dies, and then the peer's next life brings a new one. It also ends when
 * one side sent a bad frame, or when its descriptor never arrived. Both sides tell us then
 * (LINK_LOST), with the id of that very link: what is said of a link that has been replaced
 * meanwhile counts for nothing.
 *
 * A pair that keeps breaking waits longer each time: 0.1 s, doubled up to 30 s while its links
 * break young. */
#include <stdlib.h>

#include "admin/supervisor.h"
#include "base/clock.h"
#include "base/log.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_MOST_MS 30000
#define YOUNG (60 * CLOCK_SECOND)	/* breaking earlier than this makes the pause grow */

struct broken {			/* a pair whose link broke once; at most one for each pair */
	struct broken *next;
	struct child *a, *b;
	struct event *timer;
	unsigned pause_ms;
	int64_t made;		/* clock_mono: its present link */
	uint32_t id;		/* the link that the timer is to replace */
};

static struct broken *all_broken;
static uint32_t ids[CHILDREN_MAX][CHILDREN_MAX];	/* of the present links; 0: none */

static uint32_t *
id_of(const struct child *a, const struct child *b)
{
	size_t i = (size_t)(a - supervisor.children), k = (size_t)(b - supervisor.children);

	return i < k ? &ids[i][k] : &ids[k][i];
}

static struct broken *
broken_find(const struct child *a, const struct child *b)
{
	struct broken *p = all_broken;

	while (p != NULL && !(p->a == a && p->b == b) && !(p->a == b && p->b == a))
		p = p->next;
	return p;
}

static void replace_after_pause(struct child *a, struct child *b);

static void
pair_link(struct child *a, struct child *b)
{
	int64_t id = setup_link(a, b);
	struct broken *p = broken_find(a, b);

	*id_of(a, b) = id > 0 ? (uint32_t)id : 0;
	if (p != NULL)
		p->made = clock_mono();
	if (id == -1)
		replace_after_pause(a, b);
}

static void
on_pause_end(evutil_socket_t fd, short what, void *arg)
{
	struct broken *p = arg;

	(void)fd;
	(void)what;
	/* one of them died, or was started anew and linked */
	if (supervisor.stopping || p->a->link == NULL || p->b->link == NULL ||
	    *id_of(p->a, p->b) != p->id)
		return;
	log_warning("%s %u and %s %u lost their link; they get a new one",
	    processes[p->a->role].name, p->a->number, processes[p->b->role].name, p->b->number);
	pair_link(p->a, p->b);
}

static struct broken *
broken_new(struct child *a, struct child *b)
{
	struct broken *p = calloc(1, sizeof *p);

	if (p == NULL || (p->timer = event_new(supervisor.base, -1, 0, on_pause_end, p)) == NULL) {
		log_error("no memory to link %s and %s again", processes[a->role].name,
		    processes[b->role].name);
		free(p);
		return NULL;
	}
	p->a = a;
	p->b = b;
	p->next = all_broken;
	all_broken = p;
	return p;
}

static void
replace_after_pause(struct child *a, struct child *b)
{
	struct broken *p = broken_find(a, b);
	struct timeval tv;

	if (p == NULL && (p = broken_new(a, b)) == NULL)
		return;
	if (event_pending(p->timer, EV_TIMEOUT, NULL) && p->id == *id_of(a, b))
		return;		/* the other side said it already */
	p->id = *id_of(a, b);
	if (p->pause_ms == 0 || clock_mono() - p->made > YOUNG)
		p->pause_ms = PAUSE_FIRST_MS;
	else
		p->pause_ms = p->pause_ms * 2 < PAUSE_MOST_MS ? p->pause_ms * 2 : PAUSE_MOST_MS;
	tv = (struct timeval){ p->pause_ms / 1000, (p->pause_ms % 1000) * 1000 };
	event_add(p->timer, &tv);
}

void
relink_all(struct child *c)
{
	for (unsigned i = 0; i < supervisor.n_children; i++)
		if (&supervisor.children[i] != c)
			pair_link(c, &supervisor.children[i]);
}

void
relink_lost(struct child *c, uint64_t peer, uint64_t number, uint32_t id)
{
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		struct child *b = &supervisor.children[i];

		if (b == c || b->role != peer || b->number != number || *id_of(c, b) != id ||
		    id == 0)
			continue;
		if (!supervisor.stopping)
			replace_after_pause(c, b);
		return;
	}
}
