/* relay_address - addresses to connect to, and those that a stranger's DNS may not send us to */
#ifndef DELIVERY_RELAY_ADDRESS_H
#define DELIVERY_RELAY_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/slice.h"

struct address {
	struct sockaddr_storage sa;
	socklen_t len;
	char text[INET6_ADDRSTRLEN];
};

/* From text; false when it is no IPv4 or IPv6 address. v4-mapped v6 becomes v4. */
bool address_parse(const char *text, uint16_t port, struct address *a);
/* From rdata (4 or 16 bytes). */
bool address_from_rdata(struct slice rdata, uint16_t port, struct address *a);
/* Loopback, private (RFC 1918, 6598, 4193) or link-local: inside our own walls. */
bool address_is_inside(const struct address *a);
/* Unspecified, multicast, broadcast: no host at all. */
bool address_is_nobody(const struct address *a);

#endif
