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
#include "smtp/proto/channel.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define SCRATCH_SIZE (64 * 1024)

enum tls_state { TLS_OFF, TLS_DRAINING /* plain output first */, TLS_HANDSHAKE, TLS_ON };

struct channel {
	struct event_base *base;
	channel_fn *fn;
	void *arg;
	SSL *ssl;
	struct event ev_read, ev_write, ev_timer;
	struct buf in, out;
	size_t in_at; /* bytes of `in` consumed already */
	size_t in_max;
	struct slice fresh; /* unread bytes still in the shared buffer; only while the owner runs */
	int64_t deadline;   /* 0: none */
	int64_t armed;      /* when the timer will fire; 0: it will not */
	unsigned long tls_error;
	int sys_error;
	int fd;
	enum tls_state tls;
	unsigned depth; /* callbacks under way */
	bool connecting;
	bool corked;
	bool paused;
	bool reading; /* ev_read is added */
	bool kicked;  /* INPUT is owed for what was there already */
	bool ended;   /* nothing more will be read */
	bool failed, failure_told;
	bool waited; /* output had to wait: DRAINED is owed */
	bool read_wants_write, write_wants_read;
	bool gone; /* freed inside a callback */
};

static char scratch[SCRATCH_SIZE];

/* -- life */

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_timer(evutil_socket_t fd, short what, void *arg);

static void
release(struct channel *c)
{
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

/* Calls the owner; true when it freed the channel. */
static bool
tell(struct channel *c, enum channel_event event)
{
	c->depth++;
	c->fn(c, event, c->arg);
	c->depth--;
	if (!c->gone)
		return false;
	if (c->depth == 0)
		release(c);
	return true;
}

static void
reading_off(struct channel *c)
{
	if (c->reading)
		event_del(&c->ev_read);
	c->reading = false;
}

static size_t
unread(const struct channel *c)
{
	return c->fresh.len + c->in.len - c->in_at;
}

/* Let the owner have INPUT for what is there already. */
static void
kick(struct channel *c)
{
	c->kicked = true;
	event_active(&c->ev_read, EV_READ, 0);
}

static void
reading_on(struct channel *c)
{
	if (c->reading || c->paused || c->ended || c->failed || c->connecting ||
	    unread(c) >= c->in_max)
		return;
	c->reading = event_add(&c->ev_read, NULL) == 0;
	if (c->tls == TLS_ON &&
	    SSL_pending(c->ssl) > 0) /* the socket may never become readable for it */
		kick(c);
}

static void
want_write(struct channel *c)
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
		want_write(c);
	else
		reading_on(c);
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
	if (c->ssl != NULL) {
		ERR_clear_error();
		if (c->tls == TLS_ON && !c->failed)
			SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
		ERR_clear_error();
	}
	close(c->fd);
	c->gone = true;
	if (c->depth == 0)
		release(c);
}

/* -- failures */

static void
fail(struct channel *c, int sys, unsigned long tls)
{
	if (c->failed)
		return;
	c->failed = true;
	c->sys_error = sys;
	c->tls_error = tls;
	buf_free(&c->out);
	reading_off(c);
	event_active(&c->ev_write, EV_WRITE, 0); /* tell it from the loop */
}

static void
tell_failure(struct channel *c)
{
	if (c->failed && !c->failure_told) {
		c->failure_told = true;
		c->deadline = 0;
		tell(c, CHANNEL_FAILED);
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

/* -- bytes in and out of the descriptor: > 0 done, 0 not now, -1 end or failure */

/* What SSL_get_error means for us; *wants is set when the other direction must become ready. */
static int
tls_outcome(struct channel *c, int rc, int natural, bool *wants)
{
	int sys = errno;
	int why = SSL_get_error(c->ssl, rc);

	if (why == natural)
		return 0;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
		*wants = true;
		return 0;
	}
	if (why == SSL_ERROR_ZERO_RETURN) {
		c->ended = true;
		return -1;
	}
	if (why == SSL_ERROR_SYSCALL)
		fail(c, sys != 0 ? sys : ECONNRESET, 0);
	else
		fail(c, 0, ERR_peek_last_error());
	ERR_clear_error();
	return -1;
}

static ssize_t
receive(struct channel *c, size_t room)
{
	ssize_t n;

	if (c->tls == TLS_ON) {
		ERR_clear_error();
		errno = 0;
		n = SSL_read(c->ssl, scratch, (int)room);
		if (n > 0)
			return n;
		return tls_outcome(c, (int)n, SSL_ERROR_WANT_READ, &c->read_wants_write);
	}
	n = recv(c->fd, scratch, room, 0);
	if (n > 0)
		return n;
	if (n == 0)
		c->ended = true;
	else if (errno == EAGAIN || errno == EINTR)
		return 0;
	else
		fail(c, errno, 0);
	return -1;
}

/* Bytes that left; 0: none now, or it failed. */
static size_t
transmit(struct channel *c, struct slice s)
{
	ssize_t n;

	if (s.len > INT32_MAX)
		s.len = INT32_MAX;
	if (c->tls == TLS_ON) {
		ERR_clear_error();
		errno = 0;
		n = SSL_write(c->ssl, s.at, (int)s.len);
		if (n > 0)
			return (size_t)n;
		tls_outcome(c, (int)n, SSL_ERROR_WANT_WRITE, &c->write_wants_read);
		return 0;
	}
	n = send(c->fd, s.at, s.len, MSG_NOSIGNAL);
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != EINTR)
		fail(c, errno, 0);
	return 0;
}

/* -- output */

static bool
can_send(const struct channel *c)
{
	return !c->failed && !c->connecting &&
	       (c->tls == TLS_OFF || c->tls == TLS_DRAINING || c->tls == TLS_ON);
}

static void
handshake_begin(struct channel *c)
{
	c->tls = TLS_HANDSHAKE;
	event_active(&c->ev_write, EV_WRITE, 0);
}

/* Send what waits, as far as the kernel takes it. */
static void
flush(struct channel *c)
{
	size_t n;

	if (!can_send(c))
		return;
	while (c->out.len > 0) {
		n = transmit(c, buf_all(&c->out));
		if (c->failed)
			return;
		if (n == 0) {
			c->waited = true;
			if (!c->write_wants_read)
				want_write(c);
			return;
		}
		buf_consume(&c->out, n);
	}
	buf_free(&c->out);
	if (c->tls == TLS_DRAINING)
		handshake_begin(c);
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
		while (bytes.len > 0 && (n = transmit(c, bytes)) > 0)
			bytes = slice_skip(bytes, n);
		if (bytes.len == 0 || c->failed)
			return 0;
	}
	if (buf_slice(&c->out, bytes) == -1) {
		fail(c, ENOMEM, 0);
		return 0;
	}
	if (!c->corked) {
		c->waited = true;
		if (can_send(c) && !c->write_wants_read)
			want_write(c);
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
		flush(c);
}

size_t
channel_pending(const struct channel *c)
{
	return c->out.len;
}

/* -- input */

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
	reading_on(c);
}

size_t
channel_discard(struct channel *c)
{
	size_t n = unread(c);

	c->fresh = (struct slice){ NULL, 0 };
	buf_free(&c->in);
	c->in_at = 0;
	reading_on(c);
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
		fail(c, ENOMEM, 0);
}

/* The shared buffer is about to be used by others: keep what the owner left. */
static void
keep(struct channel *c)
{
	struct slice rest = c->fresh;

	c->fresh = (struct slice){ NULL, 0 };
	if (rest.len > 0 && buf_slice(&c->in, rest) == -1)
		fail(c, ENOMEM, 0);
}

/* One read and its callback; false when there is no reason to read on at once, or the channel is
 * gone. */
static bool
read_once(struct channel *c)
{
	size_t room = c->in_max - unread(c);
	ssize_t n;

	if (room > sizeof(scratch))
		room = sizeof(scratch);
	n = receive(c, room);
	if (n == 0 && c->read_wants_write)
		want_write(c);
	if (n < 0) {
		reading_off(c);
		if (c->ended && !c->failed)
			tell(c, CHANNEL_EOF);
		return false;
	}
	if (n == 0)
		return false;
	offer(c, (size_t)n);
	if (tell(c, CHANNEL_INPUT))
		return false;
	keep(c);
	return c->ssl != NULL && c->tls == TLS_ON && SSL_pending(c->ssl) > 0;
}

static bool
may_read(const struct channel *c)
{
	return !c->paused && !c->ended && !c->failed && (c->tls == TLS_OFF || c->tls == TLS_ON);
}

static void
read_all(struct channel *c)
{
	/* A kick is for bytes that were there before: they come first. */
	if (c->kicked) {
		c->kicked = false;
		if (!c->paused && unread(c) > 0 && tell(c, CHANNEL_INPUT))
			return;
		if (c->ssl == NULL) {
			reading_on(c);
			return;
		}
	}
	c->depth++; /* so that `c` outlives the loop */
	while (!c->gone && may_read(c) && unread(c) < c->in_max && read_once(c))
		;
	c->depth--;
	if (c->gone) {
		if (c->depth == 0)
			release(c);
		return;
	}
	if (c->paused || unread(c) >= c->in_max)
		reading_off(c);
	else
		reading_on(c);
}

void
channel_pause(struct channel *c)
{
	c->paused = true;
	reading_off(c);
}

void
channel_resume(struct channel *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	reading_on(c);
	if (unread(c) > 0)
		kick(c);
}

/* -- TLS */

int
channel_start_tls(struct channel *c, SSL_CTX *ctx, bool server, const char *name)
{
	ERR_clear_error();
	if (c->ssl != NULL || (c->ssl = SSL_new(ctx)) == NULL)
		return -1;
	if (SSL_set_fd(c->ssl, c->fd) != 1)
		return -1;
	if (server) {
		if (name != NULL && SSL_set_session_id_context(c->ssl, (const unsigned char *)name,
					(unsigned)strlen(name)) != 1)
			return -1;
		SSL_set_accept_state(c->ssl);
	} else {
		SSL_set_connect_state(c->ssl);
		if (name != NULL && (SSL_set_tlsext_host_name(c->ssl, name) != 1 ||
					SSL_set1_host(c->ssl, name) != 1))
			return -1;
	}
	reading_off(c);
	if (c->out.len > 0) {
		c->tls = TLS_DRAINING;
		if (!c->corked)
			want_write(c);
	} else {
		handshake_begin(c);
	}
	return 0;
}

static void
handshake_go_on(struct channel *c)
{
	int rc, sys, why;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(c->ssl);
	sys = errno;
	if (rc == 1) {
		c->tls = TLS_ON;
		reading_on(c);
		if (!tell(c, CHANNEL_SECURED))
			flush(c);
		return;
	}
	why = SSL_get_error(c->ssl, rc);
	if (why == SSL_ERROR_WANT_READ)
		reading_on(c);
	else if (why == SSL_ERROR_WANT_WRITE)
		want_write(c);
	else if (why == SSL_ERROR_SSL)
		fail(c, 0, ERR_peek_last_error());
	else
		fail(c, sys != 0 ? sys : ECONNRESET, 0);
	ERR_clear_error();
}

/* -- readiness */

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd;
	(void)what;
	if (c->tls == TLS_HANDSHAKE) {
		handshake_go_on(c);
		return;
	}
	if (c->write_wants_read) {
		c->write_wants_read = false;
		flush(c);
	}
	read_all(c);
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
		fail(c, error, 0);
		return;
	}
	reading_on(c);
	if (!tell(c, CHANNEL_CONNECTED))
		flush(c);
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
		handshake_go_on(c);
		return;
	}
	if (!c->corked)
		flush(c);
	if (c->read_wants_write) {
		c->read_wants_write = false;
		kick(c);
	}
	if (c->waited && c->out.len == 0 && !c->failed) {
		c->waited = false;
		tell(c, CHANNEL_DRAINED);
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
	tell(c, CHANNEL_TIMEOUT);
}

SSL *
channel_ssl(const struct channel *c)
{
	return c->tls == TLS_ON ? c->ssl : NULL;
}

int
channel_fd(const struct channel *c)
{
	return c->fd;
}
