/* control_clients - control.sock: who may ask, and how much at once
 *
 * The socket's mode lets root and its group in; what the kernel says of the peer is checked once
 * more here: root, the owner of the state directory, or a member of tegami-admin. A client is a
 * link like any other, so a bad frame ends it and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/log.h"

#define CLIENTS_MAX 32
#define GROUPS_MAX 256
#define ADMIN_GROUP "tegami-admin"

static uid_t owner;
static gid_t admins = (gid_t)-1;
static struct event *acceptor;
static struct link *clients[CLIENTS_MAX];
static bool allowed[CLIENTS_MAX];

/* Names are looked up before confinement: afterwards /etc/group is out of reach. */
int
clients_open(struct err *err)
{
	struct group *g = getgrnam(ADMIN_GROUP);
	struct stat st;

	if (stat(".", &st) == -1)
		return err_sys(err, "state directory");
	owner = st.st_uid;
	if (g != NULL)
		admins = g->gr_gid;
	return 0;
}

static bool
in_admin_group(int fd, gid_t primary)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (admins == (gid_t)-1)
		return false;
	if (primary == admins)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == admins)
			return true;
	return false;
}

static bool
may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		return false;
	return peer.uid == 0 || peer.uid == owner || in_admin_group(fd, peer.gid);
}

static void
on_request(struct frame *f)
{
	unsigned slot = link_peer_number(f->link);

	if (!allowed[slot])
		request_refuse(f, "you may not administrate this server: become root, or join the "
				  "group " ADMIN_GROUP);
	else
		request_start(f);
}

static const struct msg_handler handlers[] = { { MSG_ADMIN, on_request }, { MSG_NONE, NULL } };

static void
on_end(struct link *l)
{
	clients[link_peer_number(l)] = NULL;
}

static void
client_add(int fd)
{
	unsigned slot = 0;

	while (slot < CLIENTS_MAX && clients[slot] != NULL)
		slot++;
	if (slot == CLIENTS_MAX) {
		log_warning(
		    "%d administrators' commands at once; one was turned away", CLIENTS_MAX);
		close(fd);
		return;
	}
	allowed[slot] = may_ask(fd);
	clients[slot] =
	    link_new(role_base(), fd, ROLE_CONTROL, ROLE_CONTROL, slot, handlers, on_end);
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
	(void)what;
	(void)arg;
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		client_add(fd);
	}
}

/* On a descriptor of our own: a reload hands the socket over again and closes the first one. */
int
clients_start(int handed, struct err *err)
{
	int listener = fcntl(handed, F_DUPFD_CLOEXEC, 3);

	if (listener < 0 || fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK) == -1)
		return err_sys(err, "control socket");
	acceptor = event_new(role_base(), listener, EV_READ | EV_PERSIST, on_accept, NULL);
	if (acceptor == NULL || event_add(acceptor, NULL) == -1)
		return err_set(err, ERR_TEMPORARY, "cannot listen on the control socket");
	return 0;
}

void
clients_stop(void)
{
	if (acceptor != NULL)
		event_free(acceptor);
	acceptor = NULL;
}
