/* relay_mail - one mail transaction over a session: MAIL, RCPT, DATA, the message, the final reply */
#ifndef DELIVERY_RELAY_MAIL_H
#define DELIVERY_RELAY_MAIL_H

#include "delivery/relay_body.h"
#include "delivery/relay_session.h"

#define MAIL_RCPTS_MAX 100	/* a transaction (RFC 5321 4.5.3.1.8); more go in further ones */

enum rcpt_state {
	RCPT_WAITING,		/* not yet told to this peer */
	RCPT_ACCEPTED,		/* the peer took the address; its fate is the final reply's */
	RCPT_DECIDED		/* `result` is filled in by the mail's `decide` */
};

struct mail {
	const char *from;
	unsigned flags;			/* enum envelope_flag */
	const char *envid;		/* xtext; "": none */
	bool utf8;			/* an address or a header field is not ASCII: SMTPUTF8 is needed */
	struct slice prefix;
	struct seven *seven;		/* converts the body for this peer, or NULL; borrowed */
	struct relay_body body;		/* prepared by relay_body_start; begun anew for each transaction */
	const char *to[MAIL_RCPTS_MAX], *orcpt[MAIL_RCPTS_MAX];
	unsigned notify[MAIL_RCPTS_MAX];	/* enum notify */
	enum rcpt_state state[MAIL_RCPTS_MAX];
	size_t n;
	/* Recipient i is decided. `again`: the peer takes no more in this transaction, but it may in the next. */
	void (*decide)(struct mail *mail, size_t i, const struct result *result, bool again);
	/* -- while under way */
	size_t told, answered;		/* commands sent, replies seen */
	size_t accepted;
	size_t fates;			/* LMTP: recipients up to here have had their reply to the message */
	bool refused;			/* MAIL was */
	bool dsn;			/* the peer takes NOTIFY and the like: it will report itself */
	bool binary;			/* BODY=BINARYMIME */
	bool chunked;			/* goes by BDAT */
	bool with_rset;
	unsigned last_code;
};

#endif
