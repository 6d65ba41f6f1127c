/* bounce - the report to a sender whose mail could not be delivered, or not yet (RFC 3464 in RFC
 * 6522) */
#ifndef DELIVERY_BOUNCE_H
#define DELIVERY_BOUNCE_H

#include "base/buf.h"

struct bounce_rcpt {
	const char *address;  /* where we tried to deliver */
	const char *original; /* as the sender wrote it */
	const char *host;     /* who refused it, or "" */
	unsigned code;        /* SMTP reply of the host, 0: there was none */
	const char *enhanced; /* "5.1.1", or "" */
	const char *text;     /* why, in words */
};

struct bounce {
	const char *hostname;  /* ours */
	const char *to;        /* the sender of the mail */
	const char *id;        /* queue id of the mail */
	const char *report_id; /* of the report */
	int64_t now, arrived;  /* us since 1970 */
	bool delayed;          /* not yet failed: it is tried on until `until` */
	int64_t until;
	bool utf8;            /* the mail was an SMTPUTF8 one */
	struct slice headers; /* of the mail, with what we added; CRLF. What follows an empty line
				 is left out */
	const struct bounce_rcpt *rcpts;
	size_t n_rcpts;
};

/* Write the whole message, CRLF line ends, no line longer than 998 bytes. Texts from outside are
 * stripped of control characters. At most 50 recipients and 16 KiB of headers are shown. */
void bounce_write(struct buf *out, const struct bounce *b);

#endif
