/* channel - a stream connection on the event loop, plain or TLS
 *
 * All channels share one receive buffer: bytes are read into it, the owner is called, and only what
 * it leaves unread is copied to memory of the channel's own, which is given back once it is
 * consumed. An idle channel so owns this struct and nothing else. Callbacks come from the event
 * loop only, never out of a call that the owner makes.
 *
 * Failures are told once, as CHANNEL_FAILED; until then writes are taken and dropped, so that the
 * owner needs no check at every write. The deadline is kept as a time; the timer behind it is moved
 * only when it would fire too late, which makes a new deadline per command free. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "smtp/proto/channel_inner.h"

#define TLS_BYTES (16 * 1024) /* about what OpenSSL keeps for a connection at rest */

/* -- life */

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_timer(evutil_socket_t fd, short what, void *arg);

void
channel_release(struct channel *c)
{
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

bool
channel_tell(struct channel *c, enum channel_event event)
{
	c->depth++;
	c->fn(c, event, c->arg);
	c->depth--;
	if (!c->gone)
		return false;
	if (c->depth == 0)
		channel_release(c);
	return true;
}

void
channel_reading_off(struct channel *c)
{
	if (c->reading)
		event_del(&c->ev_read);
	c->reading = false;
}

void
channel_kick(struct channel *c)
{
	c->kicked = true;
	event_active(&c->ev_read, EV_READ, 0);
}

void
channel_reading_on(struct channel *c)
{
	if (c->reading || c->paused || c->ended || c->failed || c->connecting ||
	    channel_unread(c) >= c->in_max)
		return;
	c->reading = event_add(&c->ev_read, NULL) == 0;
	if (c->tls == TLS_ON &&
	    SSL_has_pending(c->ssl) == 1) /* the socket may never become readable for it */
		channel_kick(c);
}

void
channel_want_write(struct channel *c)
{
	event_add(&c->ev_write, NULL);
}

struct channel *
channel_new(struct event_base *base, int fd, bool connecting, size_t in_max, size_t out_max,
    channel_fn *fn, void *arg)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->base = base;
	c->fn = fn;
	c->arg = arg;
	c->fd = fd;
	c->in_max = in_max;
	c->connecting = connecting;
	buf_init(&c->in, in_max);
	buf_init(&c->out, out_max);
	event_assign(&c->ev_read, base, fd, EV_READ | EV_PERSIST, on_readable, c);
	event_assign(&c->ev_write, base, fd, EV_WRITE, on_writable, c);
	evtimer_assign(&c->ev_timer, base, on_timer, c);
	if (connecting)
		channel_want_write(c);
	else
		channel_reading_on(c);
	return c;
}

void
channel_free(struct channel **cp)
{
	struct channel *c = *cp;

	*cp = NULL;
	if (c == NULL || c->gone)
		return;
	event_del(&c->ev_read);
	event_del(&c->ev_write);
	event_del(&c->ev_timer);
	channel_tls_end(c);
	close(c->fd);
	c->gone = true;
	if (c->depth == 0)
		channel_release(c);
}

size_t
channel_memory(const struct channel *c)
{
	return sizeof(*c) + c->in.size + c->out.size + (c->ssl != NULL ? TLS_BYTES : 0);
}

/* -- failures */

void
channel_fail(struct channel *c, int sys, unsigned long tls)
{
	if (c->failed)
		return;
	c->failed = true;
	c->sys_error = sys;
	c->tls_error = tls;
	buf_free(&c->out);
	channel_reading_off(c);
	event_active(&c->ev_write, EV_WRITE, 0); /* tell it from the loop */
}

static void
tell_failure(struct channel *c)
{
	if (c->failed && !c->failure_told) {
		c->failure_told = true;
		c->deadline = 0;
		channel_tell(c, CHANNEL_FAILED);
	}
}

const char *
channel_error(const struct channel *c)
{
	static char text[200];
	long verify = c->ssl != NULL ? SSL_get_verify_result(c->ssl) : X509_V_OK;
	const char *reason = c->tls_error != 0 ? ERR_reason_error_string(c->tls_error) : NULL;

	if (c->tls_error != 0 && verify != X509_V_OK &&
	    ERR_GET_REASON(c->tls_error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		snprintf(text, sizeof(text), "TLS: %s", X509_verify_cert_error_string(verify));
	else if (c->tls_error != 0)
		snprintf(text, sizeof(text), "TLS: %s", reason != NULL ? reason : "unknown error");
	else if (c->sys_error != 0)
		snprintf(text, sizeof(text), "%s", strerror(c->sys_error));
	else
		snprintf(text, sizeof(text), "connection closed");
	return text;
}

/* -- readiness */

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd;
	(void)what;
	if (c->tls == TLS_HANDSHAKE) {
		channel_handshake(c);
		return;
	}
	if (c->write_wants_read) {
		c->write_wants_read = false;
		channel_flush(c);
	}
	channel_read_all(c);
}

static void
connected(struct channel *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	c->connecting = false;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0) {
		channel_fail(c, error, 0);
		return;
	}
	channel_reading_on(c);
	if (!channel_tell(c, CHANNEL_CONNECTED))
		channel_flush(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd;
	(void)what;
	if (c->failed) {
		tell_failure(c);
		return;
	}
	if (c->connecting) {
		connected(c);
		return;
	}
	if (c->tls == TLS_HANDSHAKE) {
		channel_handshake(c);
		return;
	}
	if (!c->corked)
		channel_flush(c);
	if (c->read_wants_write) {
		c->read_wants_write = false;
		channel_kick(c);
	}
	if (c->waited && c->out.len == 0 && !c->failed) {
		c->waited = false;
		channel_tell(c, CHANNEL_DRAINED);
	}
}

/* -- the deadline */

static void
arm(struct channel *c, int64_t now)
{
	int64_t left = c->deadline > now ? c->deadline - now : 1;
	struct timeval tv = { left / CLOCK_SECOND, left % CLOCK_SECOND };

	c->armed = evtimer_add(&c->ev_timer, &tv) == 0 ? c->deadline : 0;
}

void
channel_deadline(struct channel *c, int64_t ms)
{
	int64_t now;

	if (ms <= 0) {
		c->deadline = 0;
		return;
	}
	now = clock_mono();
	c->deadline = now + ms * 1000;
	if (c->armed == 0 || c->deadline < c->armed)
		arm(c, now);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;
	int64_t now = clock_mono();

	(void)fd;
	(void)what;
	c->armed = 0;
	if (c->deadline == 0 || c->failed)
		return;
	if (now < c->deadline) {
		arm(c, now);
		return;
	}
	c->deadline = 0;
	channel_tell(c, CHANNEL_TIMEOUT);
}

int
channel_fd(const struct channel *c)
{
	return c->fd;
}
