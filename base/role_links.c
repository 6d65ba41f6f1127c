/* role_links - the links of a role to its peers
 *
 * The supervisor makes them and hands over this side's end (SETUP_LINK). Those that come before the
 * role runs are only kept. A link that ends is reported back: the supervisor knows whether the peer
 * died. */
#include "base/role_state.h"

#include <string.h>
#include <unistd.h>

#include "base/process.h"

#define PEERS_MAX 64		/* processes of one role */

struct waiting_link {
	int fd;
	enum role peer;
	unsigned number;
	uint32_t setup;		/* id of its SETUP_LINK */
};
struct peer {
	struct link *link;
	uint32_t setup;
};

static struct waiting_link early[ROLE_COUNT * PEERS_MAX];
static unsigned n_early;
static struct peer peers[ROLE_COUNT][PEERS_MAX];
static unsigned n_peers[ROLE_COUNT];

struct link *
role_link(enum role peer)
{
	struct link *best = NULL;

	if (peer == ROLE_TEGAMID)
		return role_self.supervisor;
	for (unsigned i = 0; i < n_peers[peer]; i++)
		if (best == NULL || link_pending(peers[peer][i].link) < link_pending(best))
			best = peers[peer][i].link;
	return best;
}

struct link *
role_link_at(enum role peer, unsigned i)
{
	return i < n_peers[peer] ? peers[peer][i].link : NULL;
}

/* The supervisor knows whether the peer died; if it did not, both get a new link. */
static void
tell_lost(const struct link *l, uint32_t setup)
{
	static struct buf frame;

	frame_begin_in(&frame, MSG_LINK_LOST, setup);
	wire_put_u64(&frame, link_peer(l));
	wire_put_u64(&frame, link_peer_number(l));
	link_send_buf(role_self.supervisor, &frame, -1);
}

static void
on_peer_end(struct link *l)
{
	enum role peer = link_peer(l);

	for (unsigned i = 0; i < n_peers[peer]; i++) {
		if (peers[peer][i].link != l)
			continue;
		tell_lost(l, peers[peer][i].setup);
		memmove(&peers[peer][i], &peers[peer][i + 1],
		    (n_peers[peer] - i - 1) * sizeof(struct peer));
		n_peers[peer]--;
		if (role_self.ops->link_down != NULL)
			role_self.ops->link_down(l);
		return;
	}
}

static void
peer_add(const struct waiting_link *w)
{
	enum role peer = w->peer;
	struct link *l;

	/* a new process takes the place of a dead one whose end was not seen yet; what that one
	 * still said counts */
	for (unsigned i = 0; i < n_peers[peer]; i++) {
		if (link_peer_number(peers[peer][i].link) == w->number) {
			link_finish(peers[peer][i].link);
			break;
		}
	}
	if (n_peers[peer] == PEERS_MAX) {
		close(w->fd);
		return;
	}
	l = link_new(role_self.base, w->fd, role_self.ops->role, peer, w->number,
	    role_self.ops->handlers, on_peer_end);
	if (l == NULL)
		return;
	peers[peer][n_peers[peer]++] = (struct peer){ l, w->setup };
	if (role_self.ops->link_up != NULL)
		role_self.ops->link_up(l);
}

void
role_on_link(struct frame *f)
{
	uint64_t peer = wire_u64(&f->in), peer_number = wire_u64(&f->in);
	struct waiting_link w = { frame_take_fd(f), (enum role)peer, (unsigned)peer_number, f->id };

	if (peer >= ROLE_COUNT || (processes[role_self.ops->role].peers & 1u << peer) == 0) {
		close(w.fd);
		return;
	}
	if (role_self.running)
		peer_add(&w);
	else if (n_early < COUNT(early))
		early[n_early++] = w;
	else
		close(w.fd);
}

void
role_links_begin(void)
{
	for (unsigned i = 0; i < n_early; i++)
		peer_add(&early[i]);
}
