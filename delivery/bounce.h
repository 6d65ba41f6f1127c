/* bounce - the report to a sender on what became of his mail (RFC 3464 and 6533 in RFC 6522) */
#ifndef DELIVERY_BOUNCE_H
#define DELIVERY_BOUNCE_H

#include "base/buf.h"

enum bounce_kind {
	BOUNCE_FAILED,
	BOUNCE_DELAYED,   /* not yet failed: it is tried on until `until` */
	BOUNCE_DELIVERED, /* it is in the mailbox */
	BOUNCE_RELAYED,   /* a host has it that will not report any further */
	BOUNCE_KINDS
};

struct bounce_rcpt {
	const char *address;  /* where we tried to deliver */
	const char *original; /* as the sender wrote it */
	const char *orcpt;    /* ORCPT of RFC 3461, or "" */
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
	enum bounce_kind kind;
	int64_t until;
	const char *envid;    /* ENVID of RFC 3461, or "" */
	bool to_postmaster;   /* not the sender: he cannot be told */
	bool utf8;            /* something in it is not ASCII: it is an SMTPUTF8 mail itself */
	struct slice headers; /* of the mail, with what we added; CRLF. What follows an empty line
				 is left out */
	struct slice full;    /* the whole mail instead, CRLF, lines of at most 998 bytes; or empty */
	bool full_follows; /* it is written by the caller after bounce_write, then bounce_end */
	bool full_8bit;    /* and is not ASCII */
	const char *why_cut; /* why only the headers come back although all was asked for (after ": "), or NULL */
	const struct bounce_rcpt *rcpts;
	size_t n_rcpts;
};

/* Write the whole message, CRLF line ends, no line longer than 998 bytes. Texts from outside are
 * stripped of control characters. At most 50 recipients and 16 KiB of headers are shown. */
void bounce_write(struct buf *out, const struct bounce *b);
/* What stands behind a mail that follows (`full_follows`). */
void bounce_end(struct buf *out, const struct bounce *b);

#endif
