/* bayes - how spammy are these tokens? Naive Bayes over what was learned */
#ifndef FILTERS_BAYES_H
#define FILTERS_BAYES_H

#include "filters/tokens.h"

#define BAYES_LEARNED_MIN 10 /* spams and wanted mails each, before anything is said */

/* 0..1 into *p; 1 done, 0 too little was learned or the tokens tell nothing, -1 + err. */
int bayes_probability(struct score *learned, const struct tokens *t, double *p, struct err *err);
/* For tests: the same from counts. Strength of one token. */
double bayes_token(uint64_t spam, uint64_t ham, uint64_t spams, uint64_t hams);
double bayes_combine(const double *p, size_t n);

#endif
