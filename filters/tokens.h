/* tokens - a message as a set of hashed words, for the statistical classifier
 *
 * Words of decoded text parts (HTML without its tags), of the subject, the sender's domain and the
 * hosts of links; scripts without blanks between words (Japanese, Chinese) in pairs of characters.
 * The same for `filter`, and for the CLI offline. */
#ifndef FILTERS_TOKENS_H
#define FILTERS_TOKENS_H

#include "base/slice.h"
#include "storage/score.h"

#define TOKEN_SLOTS (SCORE_TOKENS_MAX * 2)

struct tokens { /* 96 KiB: not on a small stack */
	size_t n;
	uint64_t at[SCORE_TOKENS_MAX];
	uint64_t slots[TOKEN_SLOTS]; /* the same, for finding */
};

/* The different tokens of a whole message; those past the ceiling are left out. */
void tokens_of_message(struct slice message, struct tokens *out);

#endif
