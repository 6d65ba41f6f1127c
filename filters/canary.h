/* canary - a message that a working scanner must find, and the signature to find it by */
#ifndef FILTERS_CANARY_H
#define FILTERS_CANARY_H

#include "base/buf.h"

#define CANARY_NAME "Tegami.Canary"
#define CANARY_MAX 4096 /* bytes of either */

/* A line of a ClamAV .ndb file. */
void canary_signature(struct buf *out);
/* The message, different each time. */
void canary_message(struct buf *out);

#endif
