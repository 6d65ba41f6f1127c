/* relay_body - the bytes of a message as they go to a peer: prefix, body without its cuts, dots
 * doubled (RFC 5321 4.5.2)
 *
 * Gives out slices of the message itself, so nothing is copied here and a mapped file is read only
 * as fast as the peer takes it. A message that has to be converted (base/seven.h) is so piece by piece
 * on its way. */
#include "delivery/relay_body.h"

void
relay_body_start(struct relay_body *b, struct slice prefix, struct slice body,
    const struct cut *cuts, size_t n_cuts)
{
	*b = (struct relay_body){ .prefix = prefix, .body = body, .cuts = cuts, .n_cuts = n_cuts };
}

/* The next stretch of the message; false at its end. */
static bool
next_stretch(struct relay_body *b)
{
	if (!b->prefix_done) {
		b->prefix_done = true;
		b->rest = b->prefix;
		if (b->rest.len > 0)
			return true;
	}
	b->rest = b->seven != NULL ? seven_next(b->seven)
				   : cuts_next(b->body, b->cuts, b->n_cuts, &b->pos);
	return b->rest.len > 0;
}

struct slice
relay_body_next(struct relay_body *b)
{
	struct slice piece, run;

	if (b->ended)
		return (struct slice){ NULL, 0 };
	if (b->rest.len == 0 && !next_stretch(b)) {
		b->ended = true;
		return b->raw ? (struct slice){ NULL, 0 } : dot_tail(&b->dots);
	}
	piece = slice_first(b->rest, RELAY_BODY_PIECE);
	run = piece;
	if (b->raw) {
		b->rest = slice_skip(b->rest, piece.len);
		return piece;
	}
	dot_stuff(&b->dots, &piece, &run);
	b->rest = slice_skip(b->rest, (size_t)(piece.at - b->rest.at));
	return run;
}

uint64_t
relay_body_size(const struct relay_body *b)
{
	uint64_t size =
	    b->prefix.len + (b->seven != NULL ? seven_size(b->seven) : (uint64_t)b->body.len);

	for (size_t i = 0; i < b->n_cuts; i++)
		size -= b->cuts[i].len;
	return size;
}

bool
relay_body_ends_midline(const struct relay_body *b)
{
	return b->seven == NULL && b->body.len > 0 && b->body.at[b->body.len - 1] != '\n';
}

bool
relay_body_utf8_header(const struct relay_body *b)
{
	struct relay_body at;
	unsigned ends = 0; /* line ends in a row */

	relay_body_start(&at, b->prefix, b->body, b->cuts, b->n_cuts);
	while (next_stretch(&at)) {
		for (size_t i = 0; i < at.rest.len; i++) {
			unsigned char c = (unsigned char)at.rest.at[i];

			if (c >= 0x80)
				return true;
			if (c == '\n' && ++ends == 2)
				return false;
			if (c != '\n' && c != '\r')
				ends = 0;
		}
	}
	return false;
}
