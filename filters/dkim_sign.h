/* dkim_sign - makes DKIM-Signature fields (RFC 6376, 8463) through libopendkim */
#ifndef FILTERS_DKIM_SIGN_H
#define FILTERS_DKIM_SIGN_H

#include "base/buf.h"
#include "base/err.h"
#include "filters/dkim_key.h"

struct dkim_signer { /* a key; texts are borrowed */
	const char *domain, *selector;
	enum dkim_algorithm algorithm;
	const char *pem;
};

/* Append "DKIM-Signature: ...\r\n" for the message `prefix` + `message` (whole lines; what is not
 * to be signed, such as Received, may be there). `now` is us since 1970. */
int dkim_sign_message(const struct dkim_signer *key, struct slice prefix, struct slice message,
    int64_t now, struct buf *out, struct err *err);
/* The domain of the one address in From, lower case. false: there is not exactly one. */
bool dkim_sign_domain(struct slice prefix, struct slice message, char out[static 256]);

#endif
