/* client - ask the resolver process
 *
 *	q = dns_ask(name, DNS_MX, got_mx, job);
 *	static void got_mx(void *arg, const struct dns_answer *a) { ... q is gone now ... }
 *
 * q == NULL: not asked (no resolver just now); treat it as DNS_TEMPORARY. Else the callback comes
 * exactly once, later (never from within dns_ask), unless dns_cancel() was called before. It comes
 * within resolver.timeout or so. Names are asked as they are: no search list. */
#ifndef BASE_DNS_CLIENT_H
#define BASE_DNS_CLIENT_H

#include "base/dns/names.h"
#include "base/link.h"

#define DNS_ANSWER_MAX 256	/* records given out; more are cut off */
#define DNS_ADDRESS_TEXT 46	/* INET6_ADDRSTRLEN */

enum dns_type {
	DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16,
	DNS_AAAA = 28, DNS_SRV = 33, DNS_TLSA = 52
};

struct dns_answer {		/* valid only inside the callback */
	enum dns_status status;	/* DNS_OK: there is at least one record */
	bool secure;		/* DNSSEC proved it (also the absence) */
	uint32_t ttl;		/* seconds */
	/* the canonical name; or why, when status is DNS_TEMPORARY or DNS_BOGUS */
	const char *text;
	size_t n;
	struct slice rdata[DNS_ANSWER_MAX];
};
typedef void dns_fn(void *arg, const struct dns_answer *answer);

struct dns_query;
/* Ask role_link(ROLE_RESOLVER). The handle is good until the callback begins. NULL: not asked, no
 * callback. */
struct dns_query *dns_ask(const char *name, unsigned type, dns_fn *fn, void *arg);
/* The same over a link of your own choice. */
struct dns_query *dns_ask_over(struct link *l, const char *name, unsigned type, dns_fn *fn,
    void *arg);
/* The callback will not come. Sets *q to NULL; accepts NULL. */
void dns_cancel(struct dns_query **q);
/* Read the fields of a DNS_IS frame; for those who wait for it in another way. -1: malformed.
 * `text` holds 512 bytes. */
int dns_answer_get(struct frame *f, struct dns_answer *a, char text[static 512]);

/* -- decoding rdata; false: malformed, or a name that no host has */
/* A and AAAA (told apart by length) as text. */
bool dns_rdata_address(struct slice rdata, char out[static DNS_ADDRESS_TEXT]);
bool dns_rdata_mx(struct slice rdata, unsigned *preference, char host[static DNS_NAME_TEXT]);
/* PTR, CNAME, NS. */
bool dns_rdata_name(struct slice rdata, char out[static DNS_NAME_TEXT]);
/* All strings of one TXT record joined (RFC 7208 3.3). *len excludes the NUL added. false also when
 * it does not fit. */
bool dns_rdata_txt(struct slice rdata, char *out, size_t size, size_t *len);

/* "192.0.2.1" and zone NULL: "1.2.0.192.in-addr.arpa" (or ip6.arpa); with zone "bl.example":
 * "1.2.0.192.bl.example". false when `ip` is no address or the name would be too long. v4-mapped v6
 * counts as v4. */
bool dns_reverse_name(const char *ip, const char *zone, char out[static DNS_NAME_TEXT]);
/* "timeout", "no such name"...: for reasons in words. */
const char *dns_status_text(enum dns_status status);

#endif
