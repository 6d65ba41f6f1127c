/* dot - the body of DATA on the wire: dot-stuffed, ended by CR LF . CR LF (RFC 5321 4.5.2, 2.3.8)
 *
 * The decoder is strict so that no two servers can read one stream as different messages: only CR
 * LF . CR LF ends a body. A bare LF, a bare CR or a NUL makes the message bad; the rest is
 * swallowed up to the true end, and nothing that looks like an end to a looser reader is ever taken
 * for one. Both ways work on pieces of any size, without a copy. */
#ifndef SMTP_PROTO_DOT_H
#define SMTP_PROTO_DOT_H

#include "base/slice.h"

enum dot_state { /* what was read last */
	DOT_LINE_START,
	DOT_TEXT,
	DOT_CR,
	DOT_DOT, /* a dot at the start of a line */
	DOT_DOT_CR,
	DOT_END
};

enum dot_fault { DOT_FINE, DOT_BARE_LF, DOT_BARE_CR, DOT_NUL };

struct dot {
	enum dot_state state;
	enum dot_fault fault; /* the first one */
};

void dot_init(struct dot *d);
/* The next run of body bytes: borrowed from *in (or a constant), *in moves on. False when *in is
 * used up or the end is there (dot_ended): what is left in *in then belongs to the next command.
 * After a fault no more runs come. */
bool dot_next(struct dot *d, struct slice *in, struct slice *run);
bool dot_ended(const struct dot *d);
/* In words, for the reply. */
const char *dot_why(enum dot_fault fault);

/* The other way: zero it, feed it a body with CR LF line ends, send every run and at last
 * dot_tail(). */
struct dot_stuffer {
	bool midline; /* the last byte sent did not end a line */
	bool stuffed; /* the dot of the line that begins was sent */
};
bool dot_stuff(struct dot_stuffer *d, struct slice *in, struct slice *run);
struct slice dot_tail(const struct dot_stuffer *d);

#endif
