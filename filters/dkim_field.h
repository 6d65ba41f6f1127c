/* dkim_field - a DKIM-Signature field, read and bounded before any library sees it (RFC 6376 3.5) */
#ifndef FILTERS_DKIM_FIELD_H
#define FILTERS_DKIM_FIELD_H

#include "filters/dkim.h"
#include "filters/tags.h"

#define DKIM_FIELD_MAX (16 * 1024) /* bytes; a copy of the header (z=) makes them long */
#define DKIM_NAMES_MAX 250         /* in h= */
#define DKIM_CLOCK_SKEW 3600       /* seconds that a signer may be ahead of us */

/* What must be so whatever the key says. DKIM_IS_NONE: nothing is wrong with it; else the result that
 * the signature has, and *why. `tags` point into the value; tags->n is 0 when it cannot be read. `now`
 * in seconds. */
enum dkim_result dkim_field_read(
    struct slice value, int64_t now, struct tags *tags, const char **why);

#endif
