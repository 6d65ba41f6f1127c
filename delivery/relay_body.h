/* relay_body - the bytes of a message as they go to a peer: prefix, body without its cuts, dots doubled (RFC 5321 4.5.2), or as
 * it is for BDAT (RFC 3030) */
#ifndef DELIVERY_RELAY_BODY_H
#define DELIVERY_RELAY_BODY_H

#include "base/envelope.h"
#include "base/seven.h"
#include "smtp/proto/dot.h"

#define RELAY_BODY_PIECE (16 * 1024)

struct relay_body {
	struct slice prefix, body;
	const struct cut *cuts;
	size_t n_cuts;
	/* where we are */
	struct slice rest;	/* of the present stretch */
	uint64_t pos;		/* in the body, for cuts_next */
	bool prefix_done, ended;
	struct seven *seven;	/* converted by it, or NULL; set it after the start */
	bool raw;		/* for BDAT: nothing is doubled and no final dot is given; set it after the start */
	struct dot_stuffer dots;
};

/* Everything is borrowed. Start anew with the same call. */
void relay_body_start(struct relay_body *b, struct slice prefix, struct slice body, const struct cut *cuts, size_t n_cuts);
/* The next bytes to send, at most RELAY_BODY_PIECE; empty at the end (the final ".\r\n" was given then). */
struct slice relay_body_next(struct relay_body *b);
/* How many bytes a message has (for SIZE): without doubled dots and the final one. */
uint64_t relay_body_size(const struct relay_body *b);
/* Does it end within a line? DATA would add a line end. */
bool relay_body_ends_midline(const struct relay_body *b);
/* Is a byte past ASCII in its header, which ends at the first empty line? */
bool relay_body_utf8_header(const struct relay_body *b);

#endif
