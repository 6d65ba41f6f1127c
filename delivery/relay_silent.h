/* relay_silent - addresses that did not answer a little while ago, to be tried after the others */
#ifndef DELIVERY_RELAY_SILENT_H
#define DELIVERY_RELAY_SILENT_H

#include "delivery/relay_address.h"

#define SILENT_FOR 300	/* s that one is remembered */
#define SILENT_MAX 256	/* kept at once; the oldest ones go */

/* It let a connection, or the greeting, wait for too long. */
void silent_note(const struct address *a);
/* It answered. */
void silent_forget(const struct address *a);
bool silent_is(const struct address *a);
void silent_forget_all(void);

#endif
