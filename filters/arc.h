/* arc - is the chain of ARC seals whole, and do we trust who sealed it? (RFC 8617) */
#ifndef FILTERS_ARC_H
#define FILTERS_ARC_H

#include "filters/judge.h"

/* After the check is done: the sealer, one of arc.trusted, who saw DMARC pass for that author, with
 * nobody else between it and us. NULL: there is none. Text in the pool. */
const char *arc_vouches(struct judge *j, const char *author);

#endif
