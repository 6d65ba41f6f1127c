/* relay_explain - what would be done with mail to a domain, and why, without doing it */
#ifndef DELIVERY_RELAY_EXPLAIN_H
#define DELIVERY_RELAY_EXPLAIN_H

#include "base/link.h"

/* The handler of MSG_ADMIN: relay.route with the words `domain` and (may be left out) `from`. The first row of its answer is the
 * route (route, by, host, port, tls, protocol: smtp or lmtp), then one a host in the order of trial (number, host, address, policy: by what its TLS
 * would be judged, "DANE", "MTA-STS", "opportunistic" ...), then perhaps a problem
 * (status: temporary or permanent, text). */
void explain_on_request(struct frame *f);

#endif
