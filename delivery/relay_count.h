/* relay_count - how many sessions had the TLS they should have, for the reports of RFC 8460: told to control every few seconds */
#ifndef DELIVERY_RELAY_COUNT_H
#define DELIVERY_RELAY_COUNT_H

#include "delivery/relay_policy.h"

/* One session, or one try at it. `host`, its `ip` and `own_ip` (of our side) may be "" when it did not come so far. `why`: in words. */
void count_session(struct tls_policy *p, const char *host, const char *ip, const char *own_ip, enum tls_result result,
    const char *why);
/* Tell now what was counted. */
void count_flush(void);

#endif
