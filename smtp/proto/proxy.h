/* proxy - the header with which a load balancer names its client: PROXY protocol, versions 1 and 2
 *
 *   1   "PROXY TCP4 192.0.2.1 192.0.2.9 51000 25\r\n", TCP6, or "PROXY UNKNOWN ...\r\n"; at most 107 bytes
 *   2   12 bytes of signature; version and command; family and transport; length (16 bits); addresses, and whatever
 *       else the length says, which is skipped; at most PROXY_MAX bytes
 *
 * Only the source is of interest. Grammar only: who may send one is the listener's business. */
#ifndef SMTP_PROTO_PROXY_H
#define SMTP_PROTO_PROXY_H

#include <netinet/in.h>

#include "base/slice.h"

#define PROXY_MAX 2048 /* bytes of a header that we take; the longest that is sent in earnest is below 600 */

enum proxy_status {
	PROXY_MORE, /* it may become one: all bytes so far belong to it */
	PROXY_DONE,
	PROXY_BAD
};
enum proxy_source {
	PROXY_CLIENT,  /* ip and port are the client's */
	PROXY_UNNAMED, /* there is a client, but not one with an address that we know */
	PROXY_ITSELF   /* the proxy's own connection, such as a health check */
};

struct proxy_header {
	enum proxy_source source;
	char ip[INET6_ADDRSTRLEN]; /* one form for each address (ip.h) */
	in_port_t port;
	size_t length; /* bytes of the header; what follows is the client's */
};

/* Read one from the beginning of `in`; *out is whole with PROXY_DONE only. */
enum proxy_status proxy_read(struct slice in, struct proxy_header *out);

/* Does it begin with the signature of version 2? */
bool proxy_signature(struct slice in);

#endif
