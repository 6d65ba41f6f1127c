/* listen - the listening sockets, opened by the supervisor and never read by it
 *
 * Each smtpd gets a socket of its own per address (SO_REUSEPORT), so the kernel spreads the
 * connections. The supervisor keeps them all: connections that arrive while an smtpd is being
 * replaced wait in the backlog, or the old and the new one both accept. A reload carries the
 * sockets of an address over, opens new ones first, and closes what nobody wants any more last. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/supervisor.h"
#include "base/log.h"

#define LISTENING_MAX 512
#define BACKLOG 4096

static struct listening {
	int fd;
	unsigned seat;		/* of the smtpd it is for; ALL: for each */
	enum listener_kind kind;
	char *name, *address;	/* copies: the configuration may be replaced */
	/* while smtpd is replaced: the ones of the old configuration only, of the new one only */
	bool old, fresh;
} listening[LISTENING_MAX];
static unsigned n_listening;

#define ALL 9999u

static int
keep(int fd, unsigned seat, const struct conf_listen *l, const char *address, struct err *err)
{
	struct listening *at = &listening[n_listening];

	if (n_listening == LISTENING_MAX) {
		close(fd);
		return err_set(err, ERR_USAGE, "more than %d listening sockets", LISTENING_MAX);
	}
	*at = (struct listening){ fd, seat, (enum listener_kind)l->kind,
		slice_dup(slice_of(l->name)), slice_dup(slice_of(address)), false, true };
	if (fd >= 0 && at->name != NULL && at->address != NULL) {
		n_listening++;
		return 0;
	}
	free(at->name);
	free(at->address);
	if (fd < 0)
		return err_sys(err, "listen \"%s\": %s", l->name, address);
	close(fd);
	return err_set(err, ERR_TEMPORARY, "no memory for a listener");
}

static void
drop(struct listening *l)
{
	close(l->fd);
	free(l->name);
	free(l->address);
	*l = listening[--n_listening];
}

static bool
address_of(const char *text, struct sockaddr_storage *sa, socklen_t *len)
{
	char host[256];
	uint16_t port;
	struct sockaddr_in *v4 = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)sa;

	memset(sa, 0, sizeof *sa);
	if (!conf_host_port(text, 25, host, &port))
		return false;
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof *v4;
		return true;
	}
	if (host[0] != '\0' && strcmp(host, "*") != 0 &&
	    inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
		return false;
	/* none: every address, IPv4 ones too */
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	*len = sizeof *v6;
	return true;
}

static int
bound(const struct sockaddr_storage *sa, socklen_t len, bool shared)
{
	const struct in6_addr *ip6 = &((const struct sockaddr_in6 *)sa)->sin6_addr;
	int fd = socket(sa->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, zero = 0;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (sa->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
		    IN6_IS_ADDR_UNSPECIFIED(ip6) ? &zero : &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)sa, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	one = errno;
	close(fd);
	errno = one;
	return -1;
}

/* Without IPv6 in the kernel, "every address" means every IPv4 one. */
static void
without_ipv6(struct sockaddr_storage *sa, socklen_t *len)
{
	uint16_t port = ((struct sockaddr_in6 *)sa)->sin6_port;

	memset(sa, 0, sizeof *sa);
	((struct sockaddr_in *)sa)->sin_family = AF_INET;
	((struct sockaddr_in *)sa)->sin_port = port;
	*len = sizeof(struct sockaddr_in);
}

static bool
have_port(const char *address)
{
	char host[256];
	uint16_t port, ours;

	if (!conf_host_port(address, 25, host, &port))
		return false;
	for (unsigned i = 0; i < n_listening; i++)
		if (listening[i].address[0] != '/' &&
		    conf_host_port(listening[i].address, 25, host, &ours) && ours == port)
			return true;
	return false;
}

static int
listen_inet(const struct conf_listen *l, const char *address, unsigned smtpds, struct err *err)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	if (!address_of(address, &sa, &len))
		return err_set(err, ERR_USAGE, "listen \"%s\": %s is no address; "
		    "write it as 192.0.2.1:25, [2001:db8::1]:25 or :25", l->name, address);
	/* first without SO_REUSEPORT, which would let two servers share a port unnoticed; where we
	 * are already nobody else can be */
	fd = bound(&sa, len, have_port(address));
	if (fd < 0 && errno == EAFNOSUPPORT && sa.ss_family == AF_INET6) {
		without_ipv6(&sa, &len);
		fd = bound(&sa, len, false);
	}
	if (fd < 0)
		return err_sys(err, "listen \"%s\": cannot listen on %s%s", l->name, address,
		    errno == EADDRINUSE ?
		    " (another mail server runs there; stop it, or choose another port)" :
		    errno == EACCES ? " (ports below 1024 need root)" : "");
	close(fd);
	for (unsigned i = 0; i < smtpds; i++) {
		fd = bound(&sa, len, true);
		if (fd < 0)
			return err_sys(err, "listen \"%s\": cannot listen on %s", l->name, address);
		if (keep(fd, i, l, address, err) == -1)
			return -1;
	}
	return 0;
}

/* A unix socket; names below the state directory, where we are, are used without it (paths may be
 * long). */
static int
listen_unix(int type, const char *path, mode_t mode, struct err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const char *state = supervisor.conf->state_dir;
	size_t n = strlen(state);
	int fd;

	if (strncmp(path, state, n) == 0 && path[n] == '/')
		path += n + 1;
	if (!slice_copy(slice_of(path), sa.sun_path, sizeof sa.sun_path))
		return err_set(err, ERR_USAGE, "the path of the socket %s is longer than %zu bytes",
		    path, sizeof sa.sun_path - 1);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(sa.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) == -1 ||
	    chmod(sa.sun_path, mode) == -1 || listen(fd, BACKLOG) == -1) {
		err_sys(err, "cannot listen on the socket %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* For members of the group tegami-lmtp: a socket is made with the group of its maker, so no right
 * to change owners is needed. */
static int
listen_lmtp(const char *path, struct err *err)
{
	struct group *group = geteuid() == 0 ? getgrnam("tegami-lmtp") : NULL;
	int fd;

	if (group == NULL && geteuid() == 0)
		log_warning("there is no group tegami-lmtp: only root can use %s; "
		    "make it with conf/accounts", path);
	if (group != NULL)
		setfsgid(group->gr_gid);
	fd = listen_unix(SOCK_STREAM, path, 0660, err);
	if (group != NULL)
		setfsgid(getegid());
	return fd;
}

static int
listen_one(const struct conf_listen *l, const char *address, unsigned smtpds, struct err *err)
{
	int fd;

	if (address[0] != '/')
		return listen_inet(l, address, smtpds, err);
	if (l->kind == LISTEN_LOCAL)
		fd = listen_unix(SOCK_STREAM, address, 0666, err);
	else
		fd = listen_lmtp(address, err);
	return fd < 0 ? -1 : keep(fd, ALL, l, address, err);
}

static int
control_open(struct err *err)
{
	struct group *admins = geteuid() == 0 ? getgrnam("tegami-admin") : NULL;

	supervisor.control_socket =
	    listen_unix(SOCK_SEQPACKET, "control.sock", admins != NULL ? 0660 : 0600, err);
	if (supervisor.control_socket < 0)
		return -1;
	if (admins != NULL && chown("control.sock", 0, admins->gr_gid) == -1)
		return err_sys(err, "cannot give control.sock to the group tegami-admin");
	return 0;
}

/* The sockets of this address go on under the new configuration; false when there are none. */
static bool
carry_on(const struct conf_listen *l, const char *address, unsigned before, struct err *err)
{
	bool found = false;

	for (unsigned i = 0; i < before; i++) {
		struct listening *o = &listening[i];

		/* a path's mode goes by its kind */
		if (strcmp(o->address, address) != 0 ||
		    (address[0] == '/' && o->kind != (enum listener_kind)l->kind))
			continue;
		found = true;
		if (keep(fcntl(o->fd, F_DUPFD_CLOEXEC, 0), o->seat, l, address, err) == -1)
			return true;
	}
	return found;
}

int
listen_change(const struct conf *conf, unsigned smtpds, struct err *err)
{
	unsigned before = n_listening;
	struct err why = { 0 };

	for (unsigned i = 0; i < before; i++)
		listening[i].old = true;
	for (size_t i = 0; i < conf->n_listen && why.kind == ERR_NONE; i++)
		for (size_t k = 0; k < conf->listen[i].address.n && why.kind == ERR_NONE; k++) {
			const char *address = conf->listen[i].address.at[k];

			if (!carry_on(&conf->listen[i], address, before, &why))
				listen_one(&conf->listen[i], address, smtpds, &why);
		}
	if (why.kind == ERR_NONE)
		return 0;
	listen_settle(false);
	return err_set(err, why.kind, "%s", why.text);
}

static bool
is_new(const char *address)
{
	for (unsigned i = 0; i < n_listening; i++)
		if (listening[i].fresh && strcmp(listening[i].address, address) == 0)
			return true;
	return false;
}

/* A socket's name goes with its last listener. */
static void
forget_path(const struct listening *l)
{
	if (l->address[0] == '/' && !is_new(l->address))
		unlink(l->address);
}

void
listen_settle(bool changed)
{
	for (unsigned i = n_listening; i-- > 0;) {
		struct listening *l = &listening[i];

		if (changed && l->old)
			forget_path(l);
		if (changed ? l->old : l->fresh)
			drop(l);
	}
	for (unsigned i = 0; i < n_listening; i++)
		listening[i].old = listening[i].fresh = false;
}

int
listen_open(const struct conf *conf, unsigned smtpds, struct err *err)
{
	if (listen_change(conf, smtpds, err) == -1)
		return -1;
	listen_settle(true);
	return control_open(err);
}

void
listen_send(struct link *l, unsigned seat, bool fresh)
{
	for (unsigned i = 0; i < n_listening; i++) {
		struct buf *out;

		if ((listening[i].seat != seat && listening[i].seat != ALL) ||
		    (fresh ? listening[i].old : listening[i].fresh))
			continue;
		out = frame_begin(MSG_SETUP_LISTENER, 0);
		wire_put_u64(out, listening[i].kind);
		wire_put_text(out, listening[i].name);
		wire_put_text(out, listening[i].address);
		link_send(l, listening[i].fd);
	}
}
