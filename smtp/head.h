/* head - what smtpd needs to know of a message's header: hops, and what is missing
 *
 * Reads the bytes as they come, in pieces of any size, up to the header's end, however far that is;
 * keeps a few hundred of them, decides nothing, fails never. */
#ifndef SMTP_HEAD_H
#define SMTP_HEAD_H

#include "base/slice.h"

#define HEAD_MSGID_SIZE 256
#define HEAD_NAME_SIZE 16
#define HEAD_VALUE_SIZE 512
#define HEAD_DELIVERED_MAX 32

struct head {
	unsigned received; /* Received fields: hops so far */
	bool complete;     /* its end was seen */
	bool has_date, has_msgid, has_from;
	bool folded_first; /* it begins with a blank: it would go on with what we put in front */
	bool tls_optional; /* "TLS-Required: No" (RFC 8689 5) */
	char msgid[HEAD_MSGID_SIZE]; /* with its brackets, or "" */
	/* Delivered-To: those who had it, as hashes of the addresses; see head_delivered */
	uint64_t delivered[HEAD_DELIVERED_MAX];
	unsigned n_delivered;
	/* head.c's own: where the reading stands */
	bool begun;
	struct {
		unsigned char at, field;
		uint16_t name_len, len;
		char name[HEAD_NAME_SIZE], value[HEAD_VALUE_SIZE];
	} now;
};

/* All bytes are zero at first. */
void head_feed(struct head *h, struct slice part);
/* Does a Delivered-To name this address (letter case ignored)? */
bool head_delivered(const struct head *h, const char *address);
/* The message is over: there is no body. */
void head_end(struct head *h);

#endif
