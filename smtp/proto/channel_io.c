/* channel_io - bytes in and out of a channel's descriptor */
#include <errno.h>
#include <sys/socket.h>

#include "smtp/proto/channel_inner.h"

ssize_t
channel_receive(struct channel *c, char *at, size_t room)
{
	ssize_t n;

	if (c->tls == TLS_ON)
		return channel_tls_read(c, at, room);
	n = recv(c->fd, at, room, 0);
	if (n > 0)
		return n;
	if (n == 0)
		c->ended = true;
	else if (errno == EAGAIN || errno == EINTR)
		return 0;
	else
		channel_fail(c, errno, 0);
	return -1;
}

size_t
channel_transmit(struct channel *c, struct slice s)
{
	ssize_t n;

	if (c->tls == TLS_ON)
		return channel_tls_write(c, s);
	n = send(c->fd, s.at, s.len, MSG_NOSIGNAL);
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != EINTR)
		channel_fail(c, errno, 0);
	return 0;
}
