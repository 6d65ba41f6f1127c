/* envelope - a message on its way: who sent it, to whom, and what is added to it
 *
 * The message itself is never rewritten. What we add (Received, Authentication-Results, X-Spam-*,
 * DKIM-Signature) is `prefix`, put in front; what must not be seen (forged results, Bcc) is `cuts`,
 * ranges of the body left out. Bodies have CRLF line ends. Behind a NUL the prefix may go on with what
 * takes the place of its DKIM-Signature fields when the message is converted to seven bits (seven.h);
 * behind a second with an ARC set for those whom an alias of ours leads it to elsewhere, behind a third
 * with that for the converted message. */
#ifndef BASE_ENVELOPE_H
#define BASE_ENVELOPE_H

#include "base/msg.h"
#include "base/wire.h"

#define BODY_IN_FRAME_MAX (32 * 1024)	/* a longer body is a spool file */
#define ENVELOPE_PREFIX_MAX (12 * 1024)
#define ENVELOPE_CUTS_MAX 64		/* ranges */
#define ADDRESS_MAX 320			/* local part 64 + @ + domain 255 */
#define ENVID_MAX 100			/* xtext (RFC 3461 5.4) */
#define ORCPT_MAX 500			/* type, ";" and xtext (RFC 3461 5.4) */

enum envelope_flag {
	ENVELOPE_JUNK = 1,	/* deliver to the Junk folder */
	ENVELOPE_SPOOLED = 2,	/* the body is in spool/QID, not in the frame */
	ENVELOPE_8BIT = 4,
	ENVELOPE_UTF8 = 8,	/* SMTPUTF8 was asked for */
	ENVELOPE_SUBMITTED = 16,/* the sender logged in, or is on a trusted network */
	ENVELOPE_REPORT = 32,	/* written by queue itself: never answer it */
	ENVELOPE_BINARY = 64,	/* BODY=BINARYMIME: bare CR, LF and NUL may be in it (RFC 3030) */
	ENVELOPE_REQUIRETLS = 128,	/* never without verified TLS (RFC 8689) */
	ENVELOPE_TLS_OPTIONAL = 256,	/* "TLS-Required: No" is in its header (RFC 8689 5) */
	/* reports of failures give back all of it, or only its header; neither: the sender did not
	 * say (RFC 3461 4.3) */
	ENVELOPE_RET_FULL = 512,
	ENVELOPE_RET_HDRS = 1024,
	ENVELOPE_DOUBLE = 2048	/* a report to our postmaster, on a report that nobody took */
};

enum notify {			/* when the sender wants a report (RFC 3461 4.1) */
	NOTIFY_NEVER = 1,
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8
};

struct cut {			/* body[at .. at+len) is left out */
	uint64_t at, len;
};

struct rcpt {
	enum rcpt_kind kind;
	const char *address;	/* where it goes */
	const char *home;	/* RCPT_LOCAL: "DOMAIN/LOCALPART" below mail_dir; else "" */
	const char *folder;	/* "" is INBOX */
	const char *original;	/* as the client named it */
	unsigned notify;	/* enum notify; 0: not given */
	/* ORCPT as it was sent, "type;xtext", checked by smtpd; "": not given */
	const char *orcpt;
};

struct envelope {
	uint64_t qid;
	unsigned flags;
	const char *from;	/* "" is the null sender */
	const char *msgid;	/* for the trace; "" when there is none */
	const char *ip;		/* the client */
	const char *envid;	/* ENVID as it was sent, xtext, checked by smtpd; "": not given */
	struct slice ticket;	/* auth's session ticket (16 bytes), or empty */
	/* what stands in front; behind a NUL the signatures it has for a host of seven bits */
	struct slice prefix;
	struct cut cuts[ENVELOPE_CUTS_MAX];
	size_t n_cuts;
	uint64_t size;		/* of the body */
	struct slice body;	/* empty when ENVELOPE_SPOOLED */
	struct rcpt *rcpts;
	size_t n_rcpts;
};

/* Fields of one recipient, as in QUEUE_RCPTS and QUEUE_PUT. */
void rcpt_put(struct buf *out, const struct rcpt *r);
/* Texts go to the pool. -1 when a field is bad. */
int rcpt_get(struct wire *in, struct pool *pool, struct rcpt *r);
/* Bytes that rcpt_put will write. */
size_t rcpt_cost(const struct rcpt *r);
/* All of QUEUE_PUT but the recipients, which the caller appends with rcpt_put. */
void envelope_put(struct buf *out, const struct envelope *e);
/* Reads what envelope_put wrote; the caller goes on with rcpt_get while wire_more(). Slices stay in
 * the frame, texts go to the pool. -1 when a field is bad. */
int envelope_get(struct wire *in, struct pool *pool, struct envelope *e);

/* The prefix as it is put in front; what stands behind its NULs, empty when there is none. */
struct slice prefix_shown(struct slice prefix);
struct slice prefix_seven(struct slice prefix);
struct slice prefix_set(struct slice prefix);
struct slice prefix_set_seven(struct slice prefix);

/* Cut list <-> bytes (16 a cut). cuts_get: -1 when it is not sorted, overlaps or is too long. */
void cuts_put(struct buf *out, const struct cut *cuts, size_t n);
int cuts_get(struct slice bytes, struct cut cuts[static ENVELOPE_CUTS_MAX], size_t *n);
/* The next piece of `body` that is kept, starting at *pos (0 at first); empty at the end. */
struct slice cuts_next(struct slice body, const struct cut *cuts, size_t n, uint64_t *pos);

/* The bytes of a body: those in the frame, or the descriptor's, mapped. */
struct body {
	struct slice bytes;
	void *map;		/* to unmap, or NULL */
};
/* `fd` is -1 or a regular file, and stays the caller's. */
int body_open(struct body *b, struct slice in_frame, int fd);
void body_close(struct body *b);

#endif
