/* submit_head - what a user's message says of who wrote and sent it, and whom it must not name (Bcc) */
#ifndef SMTP_SUBMIT_HEAD_H
#define SMTP_SUBMIT_HEAD_H

#include "base/envelope.h"

#define SUBMIT_HEAD_MAX (256 * 1024) /* bytes of header looked at */

#define SUBMIT_CLAIMS_MAX 16

struct claim {              /* a field that says whose message it is */
	const char *field;  /* "From", "Sender", "Resent-From", "Resent-Sender" */
	bool single;        /* it names one mailbox (RFC 5322 3.6.2) */
	struct slice value; /* in the message */
};

struct submit_head {
	unsigned from, sender; /* such fields */
	struct claim claims[SUBMIT_CLAIMS_MAX];
	size_t n_claims;
	bool too_many_claims;
	const char *twofold; /* such a field, or Bcc, that some readers see and others do not; NULL: none */
	struct cut bcc[ENVELOPE_CUTS_MAX]; /* Bcc and Resent-Bcc fields */
	size_t n_bcc;
	bool complete; /* its end was seen */
	bool too_many; /* fields to be cut */
};

/* `message` has CRLF line ends. */
void submit_head_read(struct submit_head *h, struct slice message);
/* Merge two sorted lists of cuts that may overlap; -1: more than ENVELOPE_CUTS_MAX. */
int cuts_merge(const struct cut *a, size_t n_a, const struct cut *b, size_t n_b,
    struct cut out[static ENVELOPE_CUTS_MAX], size_t *n);

#endif
