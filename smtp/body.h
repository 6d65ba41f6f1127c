/* body - where the bytes of a message go, whether DATA or BDAT brings them
 *
 * Up to 32 KiB they are gathered in memory; when there are more, all of them go to queue piece by
 * piece, as fast as queue takes them, so a large message costs smtpd no more than a small one. A
 * message that is bad (see dot.h) or too big is kept nowhere: its bytes are swallowed, within bounds,
 * until it can be refused. What is kept never holds a bare CR or LF. */
#ifndef SMTP_BODY_H
#define SMTP_BODY_H

#include "smtp/session.h"

/* The message gets its id, and its first byte is awaited. mode: of dot.h, without DOT_NORMALISE, which
 * is for the clients in normalize_line_ends. */
void body_begin(struct session *s, unsigned mode);
/* Take at most `max` bytes from the client, as many as there is room for; how many it were. */
size_t body_feed(struct session *s, uint64_t max);
/* Between chunks it is not the client's bytes that are waited for. */
void body_wait(struct transaction *t, bool between);
/* How long (ms) the client may be silent within the body, so that it comes in at limits.data_rate; is
 * it too slow for that? */
int64_t body_patience(const struct session *s);
bool body_is_slow(const struct session *s);
/* Can it only be refused? */
bool body_is_bad(const struct transaction *t);
/* Refuse what is bad before its end is there: one reply, and the rest is not wanted any more. */
void body_refuse(struct session *s);
/* The last byte is here: refuse it, or go on to submit_begin. */
void body_end(struct session *s);
/* Most bytes that are read of a message, good or bad. */
uint64_t body_read_max(void);

#endif
