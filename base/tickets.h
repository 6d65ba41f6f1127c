/* tickets - the keys that seal TLS session tickets, shared by all processes of smtpd
 *
 * The supervisor makes them, in memory that only it can write, and replaces them every hour; the
 * one before stays readable for that hour. So a client may resume at any process, also at one that
 * was started since, and what was sealed two hours ago nobody can open any more. They are lost with
 * the supervisor: clients then make a full handshake. */
#ifndef BASE_TICKETS_H
#define BASE_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define TICKETS_LIFE_S 3600	/* between two rotations, and of a ticket */
#define TICKETS_KEYS 2		/* the one in use, and the one before */

struct ticket_key {
	unsigned char name[16], cipher[32], mac[32];
};

/* The supervisor's side: make the memory and the first key. Returns a read-only descriptor for the
 * others, or -1 + err. */
int tickets_make(struct err *err);
/* A new key takes the first place. */
void tickets_rotate(void);

/* smtpd's side: map what it was given. -1 + err. */
int tickets_open(int fd, struct err *err);
/* Copy the i-th key (0: the one in use); false when there is none, or no memory was opened. */
bool tickets_get(unsigned i, struct ticket_key *out);

#endif
