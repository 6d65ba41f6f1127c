/* channel_inner - what the parts of a channel share: its state, and the calls between them
 *
 * Private to smtp/proto/channel*.c: channel.c has its life, failures, readiness and the deadline,
 * channel_in.c and channel_out.c the bytes that wait, channel_io.c the descriptor, channel_tls.c
 * OpenSSL. */
#ifndef SMTP_PROTO_CHANNEL_INNER_H
#define SMTP_PROTO_CHANNEL_INNER_H

#include <event2/event_struct.h>

#include "smtp/proto/channel.h"

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

/* -- channel.c */

/* Calls the owner; true when it freed the channel. */
bool channel_tell(struct channel *c, enum channel_event event);
/* The memory of one that is gone, when no callback of it is under way any more. */
void channel_release(struct channel *c);
/* It is broken, by an errno or an error of OpenSSL; the owner is told from the loop. */
void channel_fail(struct channel *c, int sys, unsigned long tls);
/* Let the owner have INPUT for what is there already. */
void channel_kick(struct channel *c);
void channel_reading_off(struct channel *c);
/* Wait for input, unless there is a reason not to. */
void channel_reading_on(struct channel *c);
void channel_want_write(struct channel *c);

/* -- channel_in.c */

size_t channel_unread(const struct channel *c);
/* Read and tell, until there is nothing more for now. The channel may be gone afterwards. */
void channel_read_all(struct channel *c);

/* -- channel_out.c */

/* Send what waits, as far as the kernel takes it. */
void channel_flush(struct channel *c);

/* -- channel_io.c */

/* > 0: bytes read; 0: none now; -1: end or failure. */
ssize_t channel_receive(struct channel *c, char *at, size_t room);
/* Bytes that left; 0: none now, or it failed. */
size_t channel_transmit(struct channel *c, struct slice s);

/* -- channel_tls.c */

ssize_t channel_tls_read(struct channel *c, char *at, size_t room);
size_t channel_tls_write(struct channel *c, struct slice s);
void channel_handshake_begin(struct channel *c);
void channel_handshake(struct channel *c);
/* Say goodbye if it can go out at once, and forget the keys. */
void channel_tls_end(struct channel *c);

#endif
