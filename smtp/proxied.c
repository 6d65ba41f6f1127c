/* proxied - connections of trusted proxies that have yet to say who their client is
 *
 * Bytes are looked at before they are taken (MSG_PEEK): as long as the grammar says that all there is belongs to the
 * header, all is taken, so the socket never stays readable without progress. */
#include "smtp/proxied.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/role.h"
#include "smtp/clients.h"
#include "smtp/proto/proxy.h"

#define HEADER_S 10

struct proxied {
	struct proxied *next, **at; /* all of them */
	struct event *readable, *deadline;
	proxied_fn *fn;
	struct peer peer;
	uint32_t slot;
	int fd;
	size_t n; /* bytes taken */
	char in[PROXY_MAX];
};

static struct proxied *all;

static void
take_out(struct proxied *p)
{
	*p->at = p->next;
	if (p->next != NULL)
		p->next->at = p->at;
	if (p->readable != NULL)
		event_free(p->readable);
	if (p->deadline != NULL)
		event_free(p->deadline);
	free(p);
}

static void
give_up(struct proxied *p, const char *why)
{
	if (why != NULL)
		log_warning("%s, a trusted proxy, %s; the connection was closed", p->peer.ip, why);
	close(p->fd);
	clients_leave(p->slot);
	take_out(p);
}

/* It is known who calls. */
static void
hand_over(struct proxied *p, const struct proxy_header *header)
{
	struct peer peer = p->peer;
	uint32_t slot = p->slot;
	proxied_fn *fn = p->fn;
	int fd = p->fd;

	peer.proxied = true;
	peer.unnamed = header->source == PROXY_UNNAMED;
	if (header->source == PROXY_CLIENT) {
		memcpy(peer.ip, header->ip, sizeof(peer.ip));
		peer.port = header->port;
	}
	take_out(p);
	fn(fd, &peer, slot);
}

/* Takes `n` bytes that were looked at; false when they are gone. */
static bool
take(struct proxied *p, size_t n)
{
	ssize_t got = n > 0 ? recv(p->fd, p->in + p->n, n, 0) : 0;

	if (got < 0 || (size_t)got != n)
		return false;
	p->n += n;
	return true;
}

static void
look(struct proxied *p)
{
	ssize_t got = recv(p->fd, p->in + p->n, sizeof(p->in) - p->n, MSG_PEEK);
	struct proxy_header header;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		give_up(p, p->n > 0 ? "went away within its PROXY header" : NULL);
		return;
	}
	switch (proxy_read((struct slice){ p->in, p->n + (size_t)got }, &header)) {
	case PROXY_MORE:
		if (!take(p, (size_t)got))
			give_up(p, "cannot be read");
		return;
	case PROXY_DONE:
		if (take(p, header.length - p->n))
			hand_over(p, &header);
		else
			give_up(p, "cannot be read");
		return;
	default:
		give_up(p, "sent no valid PROXY header");
		return;
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct proxied *p = arg;

	(void)fd;
	(void)what;
	give_up(p, p->n > 0 ? "did not finish its PROXY header" : "sent no PROXY header");
}

void
proxied_start(int fd, const struct peer *proxy, uint32_t slot, proxied_fn *fn)
{
	static const struct timeval deadline = { HEADER_S, 0 };
	struct proxied *p = malloc(sizeof(*p));

	if (p == NULL) {
		close(fd);
		clients_leave(slot);
		return;
	}
	*p = (struct proxied){ .next = all, .at = &all, .fn = fn, .slot = slot, .fd = fd };
	p->peer = *proxy;
	if (all != NULL)
		all->at = &p->next;
	all = p;
	/* two events, or each byte would begin the time anew */
	p->readable = event_new(role_base(), fd, EV_READ | EV_PERSIST, on_readable, p);
	p->deadline = evtimer_new(role_base(), on_deadline, p);
	if (p->readable == NULL || p->deadline == NULL || event_add(p->readable, NULL) == -1 ||
	    event_add(p->deadline, &deadline) == -1)
		give_up(p, NULL);
}

unsigned
proxied_count(void)
{
	unsigned n = 0;

	for (const struct proxied *p = all; p != NULL; p = p->next)
		n++;
	return n;
}

void
proxied_stop_all(void)
{
	while (all != NULL)
		give_up(all, NULL);
}
