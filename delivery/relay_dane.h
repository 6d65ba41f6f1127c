/* relay_dane - the TLSA records of a mail host (RFC 7672 2.2) */
#ifndef DELIVERY_RELAY_DANE_H
#define DELIVERY_RELAY_DANE_H

#include "base/dns/client.h"

enum dane_found {
	DANE_NONE,	/* proven that there are none, or nothing is proven here: DANE has no say */
	DANE_RECORDS,
	DANE_TROUBLE	/* nobody can tell: the host must not be used now (RFC 7672 2.1) */
};

struct dane_answer {		/* valid only inside the callback */
	enum dane_found found;
	const char *base;	/* the name they stand at, without _port._tcp */
	const char *why;	/* of DANE_TROUBLE, in words */
	bool bogus;		/* ... and a signature was wrong */
	const struct slice *rdata;
	size_t n;
};
typedef void dane_fn(void *arg, const struct dane_answer *answer);

struct dane_query;
/* Ask for the records of `host`. `canonical`: where its CNAMEs lead to (the host itself when there are none); `secure`: DNSSEC proved
 * its addresses and that way. The callback comes once, later. NULL: nothing has to be asked (DANE_NONE), or *trouble is set. */
struct dane_query *dane_ask(const char *host, const char *canonical, bool secure, uint16_t port, dane_fn *fn, void *arg, bool *trouble);
/* Sets *q to NULL; accepts NULL. */
void dane_cancel(struct dane_query **q);

#endif
