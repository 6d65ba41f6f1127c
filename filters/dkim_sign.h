/* dkim_sign - makes DKIM-Signature fields (RFC 6376, 8463) through libopendkim */
#ifndef FILTERS_DKIM_SIGN_H
#define FILTERS_DKIM_SIGN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/seven.h"
#include "filters/dkim_key.h"

#define DKIM_AUTHOR_SIZE 1024

struct dkim_signer { /* a key; texts are borrowed */
	const char *domain, *selector;
	enum dkim_algorithm algorithm;
	const char *pem;
};

/* Append "DKIM-Signature: ...\r\n" for the message `prefix` + `message` (whole lines; what is not
 * to be signed, such as Received, may be there), or for what `seven` (rewound here; NULL: none) makes
 * of `message`. `now` is us since 1970. */
int dkim_sign_message(const struct dkim_signer *key, struct slice prefix, struct slice message,
    struct seven *seven, int64_t now, struct buf *out, struct err *err);
/* The names of fields that are signed when they are there, in lower case; NULL at the end. */
const char *const *dkim_signed_fields(void);
/* The one address in From, its domain in lower case; it holds an '@'. false: there is not exactly one,
 * or not in a form that all read alike. */
bool dkim_sign_author(struct slice prefix, struct slice message, char out[static DKIM_AUTHOR_SIZE]);

#endif
