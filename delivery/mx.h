/* mx - the order in which a domain's mail hosts are tried (RFC 5321 5.1, RFC 7505) */
#ifndef DELIVERY_MX_H
#define DELIVERY_MX_H

#include "base/dns/client.h"

#define MX_MAX 20		/* hosts kept; the best ones */

struct mx_host {
	unsigned preference;
	char name[DNS_NAME_TEXT];
};

struct mx_list {
	size_t n;
	struct mx_host at[MX_MAX];
};

enum mx_result {
	MX_FOUND,	/* at least one host to try */
	MX_NULL,	/* the domain says that it takes no mail */
	MX_LOOP,	/* the best host is ourselves */
	MX_NONE		/* no usable record: none of the names can be a host's */
};

/* Make the list from the rdata of an MX answer: sorted by preference, equals shuffled (by `random`, which gives any number), without
 * `self` and all that are not preferred to it. */
enum mx_result mx_from_rdata(struct mx_list *list, const struct slice *rdata, size_t n, const char *self, uint32_t (*random)(void));

#endif
