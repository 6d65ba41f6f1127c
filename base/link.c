/* link - frames between two processes over a SOCK_SEQPACKET socketpair
 *
 * Here is the life of a link. Frames leave in link_out.c, come in link_in.c; link_ask.c keeps who
 * waits for which answer.
 *
 * A link may end while a handler of it runs: everything but its memory goes at once, the memory
 * when no dispatch is left (`busy`). */
#include "base/link_state.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_BUFFER (1024 * 1024)

static struct link *links;
static uint64_t last_serial;

struct link *
link_new(struct event_base *base, int fd, enum role me, enum role peer, unsigned peer_number,
    const struct msg_handler *handlers, void (*on_end)(struct link *))
{
	struct link *l = calloc(1, sizeof *l);
	int size = SOCKET_BUFFER;

	if (l == NULL)
		goto fail;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == -1)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	*l = (struct link){ .fd = fd, .me = me, .peer = peer, .peer_number = peer_number,
		.handlers = handlers, .on_end = on_end, .serial = ++last_serial, .next = links };
	l->tail = &l->first;
	l->readable = event_new(base, fd, EV_READ | EV_PERSIST, link_on_readable, l);
	l->writable = event_new(base, fd, EV_WRITE, link_on_writable, l);
	if (l->readable == NULL || l->writable == NULL || event_add(l->readable, NULL) == -1)
		goto fail_events;
	links = l;
	return l;
fail_events:
	if (l->readable != NULL)
		event_free(l->readable);
	if (l->writable != NULL)
		event_free(l->writable);
	free(l);
fail:
	close(fd);
	return NULL;
}

void
link_release(struct link *l)
{
	if (!l->dead || l->busy > 0)
		return;
	free(l->answers);
	free(l);
}

/* Everything but the memory: no more events, queue dropped, askers told. */
static void
link_close(struct link *l)
{
	l->dead = true;
	event_free(l->readable);
	event_free(l->writable);
	close(l->fd);
	link_drop_out(l);
	link_answer_none(l);
	for (struct link **at = &links; *at != NULL; at = &(*at)->next) {
		if (*at == l) {
			*at = l->next;
			break;
		}
	}
}

void
link_end(struct link *l)
{
	if (l->dead)
		return;
	l->busy++;
	link_close(l);
	if (l->on_end != NULL)
		l->on_end(l);
	l->busy--;
	link_release(l);
}

void
link_free(struct link **lp)
{
	struct link *l = *lp;

	*lp = NULL;
	if (l == NULL || l->dead)
		return;
	l->busy++;
	link_close(l);
	l->busy--;
	link_release(l);
}

/* ---- which one it is, and what its owner keeps with it ---- */

struct link *
link_of_serial(uint64_t serial)
{
	struct link *l = links;

	while (l != NULL && l->serial != serial)
		l = l->next;
	return l;
}

struct link *
link_by_serial(uint64_t serial)
{
	struct link *l = link_of_serial(serial);

	return l != NULL && !l->dead ? l : NULL;
}

uint64_t
link_serial(const struct link *l)
{
	return l->serial;
}

enum role
link_peer(const struct link *l)
{
	return l->peer;
}

unsigned
link_peer_number(const struct link *l)
{
	return l->peer_number;
}

int
link_fd(const struct link *l)
{
	return l->fd;
}

unsigned
link_pending(const struct link *l)
{
	return l->pending;
}

size_t
link_backlog(const struct link *l)
{
	return l->backlog;
}

void
link_set_data(struct link *l, void *data)
{
	l->data = data;
}

void *
link_data(const struct link *l)
{
	return l->data;
}
