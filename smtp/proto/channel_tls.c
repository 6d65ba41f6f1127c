/* channel_tls - TLS on a channel: handshake, records, the end
 *
 * OpenSSL runs on the descriptor itself. Either direction may need the other to become ready
 * (read_wants_write, write_wants_read). */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

#include "smtp/proto/channel_inner.h"

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
	if (why == SSL_ERROR_ZERO_RETURN && natural == SSL_ERROR_WANT_READ) {
		c->ended = true;
		return -1;
	}
	/* a write that fails after the peer's close_notify is called "zero return", too */
	if (why == SSL_ERROR_SYSCALL || why == SSL_ERROR_ZERO_RETURN)
		channel_fail(c, sys != 0 ? sys : ECONNRESET, 0);
	else
		channel_fail(c, 0, ERR_peek_last_error());
	ERR_clear_error();
	return -1;
}

ssize_t
channel_tls_read(struct channel *c, char *at, size_t room)
{
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_read(c->ssl, at, (int)room);
	if (n > 0)
		return n;
	return tls_outcome(c, n, SSL_ERROR_WANT_READ, &c->read_wants_write);
}

size_t
channel_tls_write(struct channel *c, struct slice s)
{
	int n;

	if (s.len > INT32_MAX)
		s.len = INT32_MAX;
	ERR_clear_error();
	errno = 0;
	n = SSL_write(c->ssl, s.at, (int)s.len);
	if (n > 0)
		return (size_t)n;
	tls_outcome(c, n, SSL_ERROR_WANT_WRITE, &c->write_wants_read);
	return 0;
}

void
channel_handshake_begin(struct channel *c)
{
	c->tls = TLS_HANDSHAKE;
	event_active(&c->ev_write, EV_WRITE, 0);
}

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
	channel_reading_off(c);
	if (c->out.len > 0) {
		c->tls = TLS_DRAINING;
		if (!c->corked)
			channel_want_write(c);
	} else {
		channel_handshake_begin(c);
	}
	return 0;
}

void
channel_handshake(struct channel *c)
{
	int rc, sys, why;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(c->ssl);
	sys = errno;
	if (rc == 1) {
		c->tls = TLS_ON;
		channel_reading_on(c);
		if (SSL_has_pending(c->ssl) == 1) /* was read with the handshake's last record */
			channel_kick(c);
		if (!channel_tell(c, CHANNEL_SECURED))
			channel_flush(c);
		return;
	}
	why = SSL_get_error(c->ssl, rc);
	if (why == SSL_ERROR_WANT_READ)
		channel_reading_on(c);
	else if (why == SSL_ERROR_WANT_WRITE)
		channel_want_write(c);
	else if (why == SSL_ERROR_SSL)
		channel_fail(c, 0, ERR_peek_last_error());
	else
		channel_fail(c, sys != 0 ? sys : ECONNRESET, 0);
	ERR_clear_error();
}

void
channel_finish(struct channel *c)
{
	ERR_clear_error();
	if (c->tls == TLS_ON && !c->failed)
		SSL_shutdown(c->ssl);
	ERR_clear_error();
	shutdown(c->fd, SHUT_WR);
}

void
channel_tls_end(struct channel *c)
{
	if (c->ssl == NULL)
		return;
	ERR_clear_error();
	if (c->tls == TLS_ON && !c->failed)
		SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	ERR_clear_error();
}

SSL *
channel_ssl(const struct channel *c)
{
	return c->tls == TLS_ON ? c->ssl : NULL;
}

SSL *
channel_ssl_early(const struct channel *c)
{
	return c->ssl;
}
