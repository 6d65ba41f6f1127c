/* dot - the body of a message on the wire: of DATA, dot-stuffed and ended by CR LF . CR LF (RFC 5321
 * 4.5.2, 2.3.8), or of BDAT, in chunks of known length (RFC 3030)
 *
 * The decoder is strict so that no two servers can read one stream as different messages: only CR
 * LF . CR LF ends the body of DATA. A bare LF, a bare CR or a NUL makes the message bad; the rest is
 * swallowed up to the true end, and nothing that looks like an end to a looser reader is ever taken
 * for one: it is remembered, since whoever wrote it meant the bytes behind it to be commands.
 * Both ways work on pieces of any size, without a copy. */
#ifndef SMTP_PROTO_DOT_H
#define SMTP_PROTO_DOT_H

#include "base/slice.h"

enum dot_state {           /* what was read last */
	DOT_TEXT,          /* within a line */
	DOT_LINE_START,    /* CR LF, or nothing yet */
	DOT_LOOSE_START,   /* a line end for loose readers: bare LF, bare CR */
	DOT_TAINTED_START, /* CR CR LF: a strict end behind a loose one */
	DOT_CR,
	DOT_CR_CR,
	DOT_DOT, /* a dot at the start of a line, strictly; and so on */
	DOT_LOOSE_DOT,
	DOT_TAINTED_DOT,
	DOT_DOT_CR,
	DOT_LOOSE_DOT_CR,
	DOT_TAINTED_DOT_CR,
	DOT_END,
	DOT_STATES
};

enum dot_fault { DOT_FINE, DOT_BARE_LF, DOT_BARE_CR, DOT_NUL, DOT_FALSE_END };

enum dot_mode {
	DOT_CHUNKS = 1, /* BDAT: a dot is a dot, and the body ends when the caller says so */
	DOT_NORMALISE =
	    2 /* a bare LF or CR is a line end, and is handed out as CR LF. It ends no message:
			     that only CR LF . CR LF does */
};

struct dot {
	enum dot_state state;
	enum dot_fault fault; /* the first one */
	unsigned mode;
	bool false_end; /* a dot stood alone between line ends that are not both CR LF */
};

void dot_init(struct dot *d, unsigned mode);
/* The next run of body bytes: borrowed from *in (or a constant), *in moves on. False when *in is
 * used up or the end is there (dot_ended): what is left in *in then belongs to the next command.
 * After a fault no more runs come. With DOT_NORMALISE there may be up to twice as many bytes out as in. */
bool dot_next(struct dot *d, struct slice *in, struct slice *run);
bool dot_ended(const struct dot *d);
/* DOT_CHUNKS: the last chunk is over. A CR at its end was a bare one; what that leaves to hand out. */
struct slice dot_finish(struct dot *d);
/* In words, for the reply. */
const char *dot_why(const struct dot *d);

/* The other way: zero it, feed it a body with CR LF line ends, send every run and at last
 * dot_tail(). */
struct dot_stuffer {
	bool midline; /* the last byte sent did not end a line */
	bool stuffed; /* the dot of the line that begins was sent */
};
bool dot_stuff(struct dot_stuffer *d, struct slice *in, struct slice *run);
struct slice dot_tail(const struct dot_stuffer *d);

#endif
