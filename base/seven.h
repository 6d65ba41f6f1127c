/* seven - a message for hosts that take only lines of seven bits (no 8BITMIME, RFC 6152), or no
 * binary mail (RFC 3030)
 *
 * Bodies of its parts are put into quoted-printable or base64 (RFC 2045), which means the same to
 * who reads them. The message itself stays as it is: seven_step() reads it once and finds what has
 * to change, seven_next() gives out the changed message piece by piece. Messages that need no
 * change are left alone, to the byte. Header fields are never touched but for the
 * Content-Transfer-Encoding and what MIME needs beside it.
 *
 * Not changed, since it must not be: what is inside multipart/signed and multipart/encrypted (RFC
 * 1847 2.1), and message/... other than the parts of a message/rfc822 inside it (RFC 2045 6.4). */
#ifndef BASE_SEVEN_H
#define BASE_SEVEN_H

#include "base/envelope.h"

enum seven_target {
	SEVEN_FOR_7BIT, /* ASCII in lines of at most 998 bytes */
	SEVEN_FOR_8BIT  /* any bytes but NUL, bare CR and bare LF, in such lines */
};

enum seven_status {
	SEVEN_MORE,    /* call again */
	SEVEN_AS_IS,   /* nothing needs to change */
	SEVEN_CHANGED, /* seven_rewind(), then seven_next() */
	SEVEN_CANNOT   /* seven_why() */
};

struct seven;

/* The message is borrowed as long as it lives. NULL when memory is gone. */
struct seven *seven_new(struct slice message, enum seven_target target);
/* Accepts NULL; sets *s to NULL. */
void seven_free(struct seven **s);
/* Look at about `bytes` more of it. */
enum seven_status seven_step(struct seven *s, size_t bytes);
/* What it was made for. */
enum seven_target seven_target(const struct seven *s);
/* SEVEN_CANNOT in words: what is in the way, and what its sender can do; *enhanced is the status
 * code for it (RFC 3463 3.7). */
const char *seven_why(const struct seven *s, const char **enhanced);
/* SEVEN_CHANGED: how many bytes it will have. */
uint64_t seven_size(const struct seven *s);
/* From the start; the cuts (borrowed) are left out. */
void seven_rewind(struct seven *s, const struct cut *cuts, size_t n_cuts);
/* The next piece, good until the next call; empty at the end. */
struct slice seven_next(struct seven *s);

#endif
