/* bdat - the arguments of BDAT: how many octets follow, and whether they are the last (RFC 3030 2) */
#ifndef SMTP_PROTO_BDAT_H
#define SMTP_PROTO_BDAT_H

#include "base/slice.h"

struct bdat {
	uint64_t
	    size; /* octets that follow the line; UINT64_MAX when the number is larger than that */
	bool last;
};

/* False: it is not "SIZE" or "SIZE LAST", so nobody knows where the next command stands. */
bool bdat_read(struct slice args, struct bdat *out);

#endif
