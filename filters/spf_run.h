/* spf_run - one evaluation on its way: what spf.c, which runs libspf2, and spf_terms.c, which does the
 * terms, know of it */
#ifndef FILTERS_SPF_RUN_H
#define FILTERS_SPF_RUN_H

#include "filters/judge.h"
#include "filters/spf_record.h"

#define SPF_NAMES_MAX 10 /* MX or PTR names */

enum spf_outcome { SPF_GOING_ON, SPF_WAITING, SPF_NO_RECORD, SPF_TEMPORARY, SPF_PERMANENT };

struct spf_run {
	struct judge *judge;
	struct ip client;
	struct SPF_request_struct *request; /* of libspf2 */
	struct spf_terms terms;
	unsigned looked_up, voids;
	bool first_seen;
	unsigned main;	   /* the number of the record that decides; 0: the next one */
	char domain[256];  /* its name */
	struct slice explain; /* its exp= */
	enum spf_outcome outcome;
	const char *why;
};

/* The run is over, unless it was before; `why` is a constant. */
void spf_ends(struct spf_run *r, enum spf_outcome outcome, const char *why);
/* The answer, or NULL when the run is over. */
const struct answer *spf_ask(struct spf_run *r, const char *name, unsigned type);
/* One more term that looks up (RFC 7208 4.6.4); false: it was one too many. */
bool spf_count_term(struct spf_run *r);
/* Does the term of that number match for this name, its macros expanded? */
bool spf_does_term(struct spf_run *r, size_t number, const char *name);

#endif
