/* channel - a stream connection on the event loop: buffered, with a ceiling each way, plain or TLS
 *
 * Shared by smtpd (server side) and relay (client side). It knows nothing of SMTP. OpenSSL runs on
 * the descriptor itself (SSL_set_fd); libevent gives readiness and timers only. A write is tried at
 * once; only what the kernel does not take is kept. */
#ifndef SMTP_PROTO_CHANNEL_H
#define SMTP_PROTO_CHANNEL_H

#include <event2/event.h>
#include <openssl/ssl.h>

#include "base/buf.h"

struct channel;

enum channel_event {
	CHANNEL_INPUT,     /* there is (more) input: channel_input() */
	CHANNEL_DRAINED,   /* all output has left, after some had to wait */
	CHANNEL_SECURED,   /* the TLS handshake is done */
	CHANNEL_CONNECTED, /* a connect() that was under way succeeded */
	CHANNEL_TIMEOUT,   /* the deadline passed */
	CHANNEL_EOF,       /* the peer closed its side */
	CHANNEL_FAILED     /* read, write, connect or TLS error: channel_error() */
};
/* May call any channel function, also channel_free. After EOF, FAILED, TIMEOUT no further event
 * comes by itself. */
typedef void channel_fn(struct channel *c, enum channel_event event, void *arg);

/* Takes the (non-blocking) descriptor over. in_max: most bytes kept unread (reading pauses there);
 * out_max: most bytes that wait. `connecting`: wait for CHANNEL_CONNECTED first. NULL when memory
 * is gone (fd is closed). */
struct channel *channel_new(struct event_base *base, int fd, bool connecting, size_t in_max,
    size_t out_max, channel_fn *fn, void *arg);
/* Closes the descriptor (with a TLS close_notify if it can go out at once). Sets *c to NULL; safe
 * inside the callback. */
void channel_free(struct channel **c);
/* Unread input, borrowed until the next consume or return to the loop. */
struct slice channel_input(const struct channel *c);
void channel_consume(struct channel *c, size_t n);
/* Forget all unread input (before STARTTLS: what was sent ahead in plain text must not count). Says
 * how much there was. */
size_t channel_discard(struct channel *c);
/* -1: out_max would be passed, nothing was taken. */
int channel_write(struct channel *c, struct slice bytes);
int channel_text(struct channel *c, const char *text);
/* Hold writes back (cork) so that a few small ones leave as one; uncork sends. Calls nest no deeper
 * than one. */
void channel_cork(struct channel *c);
void channel_uncork(struct channel *c);
size_t channel_pending(const struct channel *c); /* output that waits */
/* When nothing waits and nothing more will be said: the peer sees the end (with a close_notify in
 * TLS), and can still be read. */
void channel_finish(struct channel *c);
/* Bytes of memory that it holds; of OpenSSL's, what an idle connection has. */
size_t channel_memory(const struct channel *c);
void channel_pause(struct channel *c);           /* read no more */
void channel_resume(struct channel *c);          /* again; INPUT comes if some is there */
/* Absolute deadline `ms` from now; 0: none. One per channel. */
void channel_deadline(struct channel *c, int64_t ms);
/* Start TLS on it (after pending output has left). client: connect with SNI `name` (may be NULL).
 * server: accept, and resume only sessions that were begun with the same `name` (at most 32 bytes;
 * NULL: any). */
int channel_start_tls(struct channel *c, SSL_CTX *ctx, bool server, const char *name);
SSL *channel_ssl(const struct channel *c); /* NULL in plain text */
/* The same from channel_start_tls on: to say what the handshake, which begins in the loop, has to prove. */
SSL *channel_ssl_early(const struct channel *c);
int channel_fd(const struct channel *c);
const char *channel_error(const struct channel *c); /* in words */

#endif
