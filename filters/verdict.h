/* verdict - from what the checks found to what is done, said and written on top of the message */
#ifndef FILTERS_VERDICT_H
#define FILTERS_VERDICT_H

#include "base/envelope.h"
#include "filters/judge.h"

struct ruling {
	enum verdict verdict;
	const char *reply;       /* "550 5.7.1 ..."; "" when accepted */
	const char *why;         /* in words: for the log, the trace and the administrator */
	int64_t score, required; /* thousandths */
	const char *authentication_results; /* on one line, without the field's name; "" when
					       nothing was asked */
	struct buf prefix;                  /* header fields to put on top */
	struct cut cuts[ENVELOPE_CUTS_MAX]; /* forged results of ours, foreign X-Spam fields */
	size_t n_cuts;
};

/* Rule. Texts live in the judge's pool; free with ruling_free. */
void ruling_make(struct judge *j, struct ruling *r);
void ruling_free(struct ruling *r);
const char *verdict_name(enum verdict v);

#define SCORE_TEXT 32
/* Thousandths as text: "4.5", "-0.2", "3". */
void score_text(int64_t score, char out[static SCORE_TEXT]);

#endif
