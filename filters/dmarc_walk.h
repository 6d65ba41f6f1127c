/* dmarc_walk - the DNS tree walk: whose record governs a name, and to which organization it belongs
 * (RFC 9989 4.10) */
#ifndef FILTERS_DMARC_WALK_H
#define FILTERS_DMARC_WALK_H

#include "filters/dmarc_record.h"
#include "filters/judge.h"

#define DMARC_WALK_MAX 8 /* names asked at most */

enum walk_status {
	WALK_WAITS, /* for a DNS answer */
	WALK_DONE,
	WALK_TEMPERROR
};

struct dmarc_walk { /* names point into the domain that was walked */
	const char *organization;
	/* the record that governs the domain, and where it stands; record.rua lives in the judge's pool */
	bool has_record;
	const char *at;
	struct dmarc_record record;
};

/* Walk from `domain` (lower case, no dot at the end; borrowed) to the top. */
enum walk_status dmarc_walk(struct judge *j, const char *domain, struct dmarc_walk *out);

#endif
