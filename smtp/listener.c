/* listener - the sockets that clients connect to
 *
 * Each wake-up accepts what is there, up to a batch, so that one busy listener does not starve the
 * others. Every process of smtpd waits on the same sockets. When descriptors run out, accepting
 * rests for a moment instead of spinning. */
#include "smtp/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/clients.h"
#include "smtp/pressure.h"
#include "smtp/proto/ip.h"
#include "smtp/proxied.h"
#include "smtp/rates.h"
#include "smtp/session.h"

#define LISTENERS_MAX 64
#define BATCH 32
#define REST_MS 100

static struct listener {
	int fd;
	enum listener_kind kind;
	char name[128], address[256];
	struct event *ready, *rested;
} listeners[LISTENERS_MAX];
static unsigned n_listeners;
static bool started;

/* -- who calls */

static void
inet_peer(struct peer *p, const struct sockaddr_storage *from)
{
	const struct sockaddr_in *v4 = (const void *)from;
	const struct sockaddr_in6 *v6 = (const void *)from;

	if (from->ss_family == AF_INET && ip_text_of(AF_INET, &v4->sin_addr, p->ip))
		p->port = ntohs(v4->sin_port);
	else if (from->ss_family == AF_INET6 && ip_text_of(AF_INET6, &v6->sin6_addr, p->ip))
		p->port = ntohs(v6->sin6_port);
}

static int
local_peer(struct peer *p, int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == -1)
		return -1;
	p->uid = who.uid;
	return 0;
}

/* Does this listener want to hear from its proxies who calls? */
static bool
wants_header(const struct listener *l)
{
	const struct conf *conf = role_conf();

	for (size_t i = 0; i < conf->n_listen; i++)
		if (strcmp(conf->listen[i].name, l->name) == 0)
			return conf->listen[i].proxy_protocol;
	return false;
}

/* There is overload. */
static void
turn_away(int fd, const struct peer *peer, const char *why)
{
	session_turn_away(fd, peer, "4.3.2", why);
	clients_count_fate(CLIENTS_TURNED);
}

/* Who hands mail over by LMTP is a part of this mail system: a program that the socket's mode lets
 * in, one on this machine, or one of a network that is trusted. */
bool
listener_may_hand_over(const char *ip)
{
	static char *loopback[] = { (char *)(uintptr_t) "127.0.0.0/8", (char *)(uintptr_t) "::1" };
	static const struct conf_strings own = { loopback, COUNT(loopback) };

	return ip[0] == '\0' || conf_networks_hold(&own, ip) ||
	       conf_networks_hold(&role_conf()->trusted_networks, ip);
}

static bool
is_unwanted(int fd, const struct peer *peer)
{
	if (peer->kind != LISTEN_LMTP || listener_may_hand_over(peer->ip))
		return false;
	session_turn_away(fd, peer, "4.7.0", "LMTP is for this machine and trusted_networks only");
	return true;
}

/* Count it and begin, or turn it away. */
static void
admit(int fd, const struct peer *peer, uint64_t most_per_client, proxied_fn *begin)
{
	bool trusted = conf_networks_hold(&role_conf()->trusted_networks, peer->ip);
	uint32_t slot = peer->ip[0] != '\0' ? clients_slot(peer->ip) : clients_slot_uid(peer->uid);
	const char *why = rates_connect(peer, slot);

	if (why != NULL) {
		session_turn_away(fd, peer, "4.7.0", why);
		return;
	}
	pressure_look();
	if (!pressure_has_memory(pressure_is_reserved(peer->kind, trusted))) {
		turn_away(fd, peer, "This server is short of memory; please try again later");
		return;
	}
	switch (clients_enter(slot, pressure_most(peer->kind, trusted), most_per_client)) {
	case CLIENTS_FINE:
		begin(fd, peer, slot);
		break;
	case CLIENTS_TOO_MANY:
		turn_away(fd, peer, "This server has too many connections; please try again later");
		break;
	case CLIENTS_TOO_MANY_FROM_ONE:
		session_turn_away(fd, peer, "4.7.0",
		    "You have too many connections to this server; please close some");
		break;
	}
}

/* A proxy said who its client is: that one counts from now on. */
static void
on_proxied(int fd, const struct peer *peer, uint32_t slot)
{
	bool named = peer->ip[0] != '\0' && clients_slot(peer->ip) != slot;

	if (is_unwanted(fd, peer)) {
		clients_leave(slot);
		return;
	}
	if (!named) {
		session_start(fd, peer, slot);
		return;
	}
	clients_leave(slot);
	admit(fd, peer, (uint64_t)role_conf()->limits.connections_per_client, session_start);
}

static void
on_proxy(int fd, const struct peer *peer, uint32_t slot)
{
	proxied_start(fd, peer, slot, on_proxied);
}

/* Connections that this client may have; mail systems behind an LMTP socket are one of ours. */
static uint64_t
most_of(const struct peer *peer)
{
	const struct conf *conf = role_conf();

	if (peer->ip[0] != '\0')
		return (uint64_t)conf->limits.connections_per_client;
	return peer->kind == LISTEN_LOCAL ? (uint64_t)conf->limits.connections_per_user
					  : UINT32_MAX;
}

static void
welcome(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	const struct conf *conf = role_conf();
	struct peer peer = { .kind = l->kind };

	inet_peer(&peer, from);
	if (l->kind == LISTEN_LOCAL && local_peer(&peer, fd) == -1) {
		close(fd);
		return;
	}
	if (is_unwanted(fd, &peer))
		return;
	/* a proxy's connections belong to many clients */
	if (conf_networks_hold(&conf->trusted_proxies, peer.ip)) {
		admit(fd, &peer, UINT32_MAX, wants_header(l) ? on_proxy : session_start);
	} else {
		peer.header_due = wants_header(l);
		admit(fd, &peer, most_of(&peer), session_start);
	}
}

/* -- accepting */

static void
rest(struct listener *l)
{
	static const struct timeval pause = { 0, REST_MS * 1000 };

	log_warning("no connection can be accepted for a moment: %s", strerror(errno));
	event_del(l->ready);
	evtimer_add(l->rested, &pause);
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	event_add(l->ready, NULL);
}

static void
on_ready(evutil_socket_t listening, short what, void *arg)
{
	struct listener *l = arg;

	(void)what;
	for (int i = 0; i < BATCH; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t len = sizeof(from);
		int fd = accept4(
		    listening, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			welcome(l, fd, &from);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			rest(l);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* -- life */

static void
start(struct listener *l)
{
	l->ready = event_new(role_base(), l->fd, EV_READ | EV_PERSIST, on_ready, l);
	l->rested = evtimer_new(role_base(), on_rested, l);
	if (l->ready == NULL || l->rested == NULL || event_add(l->ready, NULL) == -1)
		log_error("a listener cannot be started: memory is gone");
}

void
listener_add(int fd, enum listener_kind kind, const char *name, const char *address)
{
	struct listener *l = &listeners[n_listeners];
	int on = 1;

	/* a reload may send the ones that we have */
	for (unsigned i = 0; i < n_listeners; i++) {
		if (listeners[i].kind == kind && strcmp(listeners[i].address, address) == 0) {
			close(fd);
			return;
		}
	}
	if (n_listeners == LISTENERS_MAX || kind > LISTEN_LOCAL || role_stopping()) {
		log_error("listener \"%s\" (%s) cannot be served", name, address);
		close(fd);
		return;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	/* accepted sockets inherit it, which saves a call for each */
	if (address[0] != '/')
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	l->fd = fd;
	l->kind = kind;
	slice_copy(slice_of(name), l->name, sizeof(l->name));
	slice_copy(slice_of(address), l->address, sizeof(l->address));
	n_listeners++;
	if (started)
		start(l);
}

void
listeners_start(void)
{
	started = true;
	for (unsigned i = 0; i < n_listeners; i++)
		start(&listeners[i]);
}

void
listeners_stop(void)
{
	for (unsigned i = 0; i < n_listeners; i++) {
		if (listeners[i].ready != NULL)
			event_free(listeners[i].ready);
		if (listeners[i].rested != NULL)
			event_free(listeners[i].rested);
		close(listeners[i].fd);
	}
	n_listeners = 0;
}
