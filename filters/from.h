/* from - the one domain that answers for a message: that of the address in From
 *
 * Lenient where every reader agrees on the address (RFC 5322 3.4 and 4.4: unquoted commas and dots in
 * a name), strict where two readers could see two addresses. */
#ifndef FILTERS_FROM_H
#define FILTERS_FROM_H

#include "base/slice.h"

#define FROM_DOMAIN_SIZE 256

enum from_status {
	FROM_OK,
	FROM_NONE,       /* no address in it */
	FROM_SEVERAL,    /* more than one */
	FROM_UNREADABLE, /* what the address is depends on who reads it */
	FROM_NO_DOMAIN, /* an address whose domain is none: a literal, a name that DNS cannot hold */
};

/* The domain, as A-labels in lower case, of the value of a From field, folded or not. */
enum from_status from_domain(struct slice value, char out[static FROM_DOMAIN_SIZE]);

#endif
