/* channel_out - output of a channel: a write is tried at once, and only what the kernel does not take
 * is kept, up to the ceiling */
#include <errno.h>

#include "smtp/proto/channel_inner.h"

static bool
can_send(const struct channel *c)
{
	return !c->failed && !c->connecting &&
	       (c->tls == TLS_OFF || c->tls == TLS_DRAINING || c->tls == TLS_ON);
}

void
channel_flush(struct channel *c)
{
	size_t n;

	if (!can_send(c))
		return;
	while (c->out.len > 0) {
		n = channel_transmit(c, buf_all(&c->out));
		if (c->failed)
			return;
		if (n == 0) {
			c->waited = true;
			if (!c->write_wants_read)
				channel_want_write(c);
			return;
		}
		buf_consume(&c->out, n);
	}
	buf_free(&c->out);
	if (c->tls == TLS_DRAINING)
		channel_handshake_begin(c);
}

int
channel_write(struct channel *c, struct slice bytes)
{
	size_t n;

	if (c->failed)
		return 0;
	if (bytes.len > c->out.ceiling - c->out.len)
		return -1;
	if (!c->corked && c->out.len == 0 && can_send(c)) {
		while (bytes.len > 0 && (n = channel_transmit(c, bytes)) > 0)
			bytes = slice_skip(bytes, n);
		if (bytes.len == 0 || c->failed)
			return 0;
	}
	if (buf_slice(&c->out, bytes) == -1) {
		channel_fail(c, ENOMEM, 0);
		return 0;
	}
	if (!c->corked) {
		c->waited = true;
		if (can_send(c) && !c->write_wants_read)
			channel_want_write(c);
	}
	return 0;
}

int
channel_text(struct channel *c, const char *text)
{
	return channel_write(c, slice_of(text));
}

void
channel_cork(struct channel *c)
{
	c->corked = true;
}

void
channel_uncork(struct channel *c)
{
	c->corked = false;
	if (c->out.len > 0)
		channel_flush(c);
}

size_t
channel_pending(const struct channel *c)
{
	return c->out.len;
}
