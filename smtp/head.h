/* head - what smtpd needs to know of a message's header: hops, and what is missing
 *
 * Looks at no more than it is given (the first 32 KiB), decides nothing, fails never. */
#ifndef SMTP_HEAD_H
#define SMTP_HEAD_H

#include "base/slice.h"

#define HEAD_MSGID_SIZE 256

struct head {
	unsigned received; /* Received fields: hops so far */
	bool complete;     /* its end was seen */
	bool has_date, has_msgid, has_from;
	bool folded_first; /* it begins with a blank: it would go on with what we put in front */
	bool tls_optional; /* "TLS-Required: No" (RFC 8689 5) */
	char msgid[HEAD_MSGID_SIZE]; /* with its brackets, or "" */
};

/* `whole`: nothing of the message lies behind these bytes. */
void head_read(struct head *h, struct slice message, bool whole);

#endif
