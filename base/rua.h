/* rua - where a domain wants its reports: the list of URIs in "rua" of DMARC and TLSRPT records */
#ifndef BASE_RUA_H
#define BASE_RUA_H

#include "base/slice.h"

#define RUA_MAX 5 /* URIs taken of one record; RFC 9990 demands two */
#define RUA_TEXT 512

enum rua_kind { RUA_MAILTO, RUA_HTTPS };

struct rua {
	enum rua_kind kind;
	char to[RUA_TEXT];  /* the address; or the URL as it was written */
	char host[256];     /* lower case: the address's domain, the URL's host */
	uint64_t limit;     /* bytes that it takes ("!10m" of old DMARC records); 0: any number */
};

/* Read a list of URIs, separated by commas. What is neither mailto: nor https:, or could not be sent
 * to safely, is passed over, and so is what came already; returns how many are good, RUA_MAX at most. */
size_t rua_read(struct slice list, struct rua out[static RUA_MAX]);

#endif
