/* mda_text - a message on its way into a file: CRLF becomes LF, cuts are left out
 *
 * Streaming: text comes in pieces of any size, and a CRLF that two pieces share is still one
 * line end. A CR without LF stays. */
#ifndef DELIVERY_MDA_TEXT_H
#define DELIVERY_MDA_TEXT_H

#include "base/envelope.h"

struct lf {
	bool cr; /* the last piece ended in a CR, not written yet */
};

/* Copy `in` to `out`, which has room for in.len + 1 bytes. Returns the bytes written. */
size_t lf_copy(struct lf *lf, char *out, struct slice in);
/* The CR that still waits, if any: 0 or 1 byte. */
size_t lf_end(struct lf *lf, char *out);

struct mda_text { /* one message, as MDA_STAGE brings it */
	struct slice prefix;
	struct cut cuts[ENVELOPE_CUTS_MAX];
	size_t n_cuts;
	struct slice body; /* when fd is -1 */
	int fd;            /* a regular file; borrowed */
};

/* Prefix and body that came in the frame, with LF, into `out` (room for prefix.len + body.len +
 * 2). Returns the length. */
size_t mda_text_short(const struct mda_text *text, char *out);

#define MDA_CHUNK (64 * 1024)
/* Write head, prefix and body (of either kind) to the file `to`, through `work` (2 * MDA_CHUNK +
 * 16 bytes). *size is what was written. -1: errno says why. */
int mda_text_long(
    const struct mda_text *text, struct slice head, int to, char *work, uint64_t *size);
/* All of both pieces, in one system call when the kernel takes it. -1: errno. */
int mda_write(int to, struct slice a, struct slice b);

#endif
