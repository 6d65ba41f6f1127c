/* channel_in - input of a channel: the shared receive buffer, what the owner left unread, pauses */
#include <errno.h>

#include "smtp/proto/channel_inner.h"

#define SCRATCH_SIZE (64 * 1024)

static char scratch[SCRATCH_SIZE];

size_t
channel_unread(const struct channel *c)
{
	return c->fresh.len + c->in.len - c->in_at;
}

struct slice
channel_input(const struct channel *c)
{
	if (c->fresh.len > 0)
		return c->fresh;
	return slice_skip(buf_all(&c->in), c->in_at);
}

void
channel_consume(struct channel *c, size_t n)
{
	if (c->fresh.len > 0) {
		c->fresh = slice_skip(c->fresh, n);
	} else {
		c->in_at += n;
		if (c->in_at >= c->in.len) {
			buf_free(&c->in);
			c->in_at = 0;
		}
	}
	channel_reading_on(c);
}

size_t
channel_discard(struct channel *c)
{
	size_t n = channel_unread(c);

	c->fresh = (struct slice){ NULL, 0 };
	buf_free(&c->in);
	c->in_at = 0;
	channel_reading_on(c);
	return n;
}

/* Put `n` received bytes where the owner finds them: in place if nothing stands before them. */
static void
offer(struct channel *c, size_t n)
{
	if (c->in.len == 0) {
		c->fresh = (struct slice){ scratch, n };
		return;
	}
	buf_consume(&c->in, c->in_at);
	c->in_at = 0;
	if (buf_append(&c->in, scratch, n) == -1)
		channel_fail(c, ENOMEM, 0);
}

/* The shared buffer is about to be used by others: keep what the owner left. */
static void
keep(struct channel *c)
{
	struct slice rest = c->fresh;

	c->fresh = (struct slice){ NULL, 0 };
	if (rest.len > 0 && buf_slice(&c->in, rest) == -1)
		channel_fail(c, ENOMEM, 0);
}

/* One read and its callback; false when there is no reason to read on at once, or the channel is
 * gone. */
static bool
read_once(struct channel *c)
{
	size_t room = c->in_max - channel_unread(c);
	ssize_t n;

	if (room > sizeof(scratch))
		room = sizeof(scratch);
	n = channel_receive(c, scratch, room);
	if (n == 0 && c->read_wants_write)
		channel_want_write(c);
	if (n < 0) {
		channel_reading_off(c);
		if (c->ended && !c->failed)
			channel_tell(c, CHANNEL_EOF);
		return false;
	}
	if (n == 0)
		return false;
	offer(c, (size_t)n);
	if (channel_tell(c, CHANNEL_INPUT))
		return false;
	keep(c);
	return c->ssl != NULL && c->tls == TLS_ON && SSL_has_pending(c->ssl) == 1;
}

static bool
may_read(const struct channel *c)
{
	return !c->paused && !c->ended && !c->failed && (c->tls == TLS_OFF || c->tls == TLS_ON);
}

void
channel_read_all(struct channel *c)
{
	/* A kick is for bytes that were there before: they come first. */
	if (c->kicked) {
		c->kicked = false;
		if (!c->paused && channel_unread(c) > 0 && channel_tell(c, CHANNEL_INPUT))
			return;
		if (c->ssl == NULL) {
			channel_reading_on(c);
			return;
		}
	}
	c->depth++; /* so that `c` outlives the loop */
	while (!c->gone && may_read(c) && channel_unread(c) < c->in_max && read_once(c))
		;
	c->depth--;
	if (c->gone) {
		if (c->depth == 0)
			channel_release(c);
		return;
	}
	if (c->paused || channel_unread(c) >= c->in_max)
		channel_reading_off(c);
	else
		channel_reading_on(c);
}

void
channel_pause(struct channel *c)
{
	c->paused = true;
	channel_reading_off(c);
}

void
channel_resume(struct channel *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	channel_reading_on(c);
	if (channel_unread(c) > 0)
		channel_kick(c);
}
