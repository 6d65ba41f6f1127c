/* answers - a table of DNS answers for tests of checks */
#ifndef TESTS_UNIT_FILTERS_ANSWERS_H
#define TESTS_UNIT_FILTERS_ANSWERS_H

#include "filters/judge.h"

struct dns_row { /* ended by a NULL name */
	const char *name;
	unsigned type;
	enum dns_status status;
	const char *text; /* address, name, "10 host", or TXT; several rows are several records */
};

/* Answer every question of the judge that is open; names that are not in the table do not exist. */
void answers_give(struct judge *j, const struct dns_row *rows);
/* Run all checks to their end with that table. */
void answers_run(struct judge *j, const struct dns_row *rows);
/* The row of that check or rule; NULL: it is not there. */
const struct hit *answers_hit(const struct judge *j, const char *check);

#endif
