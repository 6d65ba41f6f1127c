/* score - what the statistical classifier has learned: how often each token stood in spam and in
 * wanted mail
 *
 * score.db is written by `control` (`tegami spam learn`) and read by `filter`. Tokens are 64-bit
 * hashes, so the file tells nothing of the words in anybody's mail. A message that was learned is
 * remembered by a digest of its tokens: learning it again changes nothing, learning it as the other
 * class moves it. */
#ifndef STORAGE_SCORE_H
#define STORAGE_SCORE_H

#include "base/err.h"
#include "storage/db.h"

#define SCORE_TOKENS_MAX 4096 /* of one message */

enum score_class { SCORE_HAM, SCORE_SPAM };

struct score;
struct score_totals {
	uint64_t spam, ham; /* messages learned */
	uint64_t tokens;    /* different ones known */
};

extern const struct db_schema score_schema;

/* Open score.db in the working directory. NULL + err. */
struct score *score_open(enum db_mode mode, struct err *err);
/* Sets *s to NULL; accepts NULL. */
void score_close(struct score **s);
/* All that is read until score_end is of one moment, and the file is locked once for all of it: a
 * look-up on its own takes and gives back the reader's lock, which costs more than the look-up. Keep
 * it short, since the journal of score.db cannot be cut meanwhile. -1: nothing was begun. */
int score_begin(struct score *s, struct err *err);
void score_end(struct score *s);
/* Messages learned (cheap); `tokens` is counted only when `with_tokens`. */
int score_totals(struct score *s, bool with_tokens, struct score_totals *out, struct err *err);
/* In how many spams and wanted mails the token stood; 0 and 0 when it is unknown. */
int score_token(struct score *s, uint64_t token, uint64_t *spam, uint64_t *ham, struct err *err);
/* Learn one message's different tokens, in one transaction. *changed is false when it had been
 * learned like this before. */
int score_learn(struct score *s, enum score_class as, const uint64_t *tokens, size_t n,
    bool *changed, struct err *err);

#endif
