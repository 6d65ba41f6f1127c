/* route_match - which route section of the configuration holds for a recipient's domain and a sender */
#ifndef DELIVERY_ROUTE_MATCH_H
#define DELIVERY_ROUTE_MATCH_H

#include "conf/conf.h"

/* The section that fits best, or NULL. In this order: one that names the domain, one for a part above it ("*.example.org"), one for
 * all; of equals one that names the sender's address, one that names the sender's domain, one for all senders; of equals the first.
 * `sender`: "" is the null sender; NULL: not known, sections that name senders are passed over. */
const struct conf_route *route_match(const struct conf *conf, const char *domain, const char *sender);

#endif
