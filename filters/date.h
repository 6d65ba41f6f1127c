/* date - reads the Date field of a message (RFC 5322 3.3, and the obsolete forms) */
#ifndef FILTERS_DATE_H
#define FILTERS_DATE_H

#include "base/slice.h"

/* Seconds since 1970; false when it is no date. */
bool date_parse(struct slice text, int64_t *seconds);

#endif
