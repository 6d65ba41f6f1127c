/* relay_caps - what a peer says it can do, in its answer to EHLO (RFC 5321 4.1.1.1) */
#ifndef DELIVERY_RELAY_CAPS_H
#define DELIVERY_RELAY_CAPS_H

#include "smtp/proto/reply.h"

enum cap {
	CAP_STARTTLS = 1, CAP_SIZE = 2, CAP_8BITMIME = 4, CAP_PIPELINING = 8, CAP_SMTPUTF8 = 16,
	CAP_DSN = 32, CAP_CHUNKING = 64, CAP_BINARYMIME = 128, CAP_REQUIRETLS = 256
};

/* Mechanisms of AUTH (RFC 4954) that we speak. */
enum auth_mechanism { AUTH_PLAIN = 1, AUTH_LOGIN = 2, AUTH_SCRAM = 4 };

struct caps {
	unsigned set;		/* enum cap */
	unsigned auth;		/* enum auth_mechanism */
	uint64_t size;		/* most bytes a message may have; 0: no limit told */
};

void caps_read(struct caps *caps, const struct reply *ehlo);

#endif
