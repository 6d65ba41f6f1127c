/* packet - a DNS answer packet, taken apart
 *
 * Only what was asked comes out: the records of the asked type at the end of the CNAME chain that
 * starts at the question. */
#ifndef BASE_DNS_PACKET_H
#define BASE_DNS_PACKET_H

#include "base/buf.h"
#include "base/dns/names.h"
#include "base/msg.h"

#define DNS_RECORDS_MAX 1024	/* answer records that are looked at */
#define DNS_CHAIN_MAX 16	/* CNAMEs in a row */
#define DNS_RDATA_MAX (60 * 1024) /* what all rdata may take in a DNS_IS frame */

struct dns_reply {
	enum dns_status status;		/* OK, NO_DATA, NXDOMAIN or TEMPORARY */
	uint32_t ttl;			/* seconds; the least of all records used */
	char text[DNS_NAME_TEXT];	/* canonical name; or why, when TEMPORARY */
	size_t n;			/* records */
	struct buf rdata;		/* each as a field of wire.h, its names uncompressed */
};

/* Take `packet` apart. Always fills `reply`: a packet that cannot be trusted to be whole gives
 * DNS_TEMPORARY and says why. Call dns_reply_free() when done. */
void dns_packet_read(struct slice packet, unsigned type, struct dns_reply *reply);
void dns_reply_free(struct dns_reply *reply);

#endif
