/* dkim_state - how far each DKIM key is on its way, kept beside the key files
 *
 *	state     signs  its record                    goes on when
 *	next      no     is to be published            our resolver has seen it: active
 *	active    yes    must stay                     another one of its kind becomes active: retiring
 *	retiring  no     must stay dkim.retire_after   that time is over: retired
 *	retired   no     can be removed from DNS       `tegami dkim retire`: its file is removed
 *
 * keys/DOMAIN.states has a line "SELECTOR STATE SINCE SEEN STOPPED" for each key: seconds since 1970, 1 once the record
 * was seen in DNS, 1 while an active key does not sign, for its record is missing or wrong. It is replaced as a whole, so several keys change in one step. A key without a line is active: one
 * made before there were states, or put there by hand. "retired" is not written down: it is "retiring" and the time.
 *
 * Written by root only: by the CLI (new keys; all changes while the server is down) and by the supervisor. */
#ifndef FILTERS_DKIM_STATE_H
#define FILTERS_DKIM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DKIM_KEYS_DIR "keys"
#define DKIM_SELECTOR_SIZE 64
#define DKIM_CHANGES_MAX 32 /* in one step */

enum dkim_state { DKIM_NEXT, DKIM_ACTIVE, DKIM_RETIRING };

struct dkim_standing {
	enum dkim_state state;
	int64_t since; /* s since 1970; 0: unknown */
	bool seen;     /* its record was in DNS once */
	bool stopped;  /* active, but its record is missing or wrong: it does not sign */
};

enum dkim_step {
	DKIM_ACTIVATE, /* next or retiring: active, and seen */
	DKIM_RETIRE,   /* active: retiring; next, and retiring when its time is over: removed, with its file */
	DKIM_SEE,      /* its record is in DNS */
	DKIM_STOP,     /* it is not, or another one is: it does not sign */
	DKIM_GO_ON     /* it signs again */
};

struct dkim_change {
	const char *selector;
	enum dkim_step step;
};
struct dkim_terms {
	int64_t now, keep; /* s: since 1970; how long a record stays after its key's last signature */
	bool force;	   /* also the last key that signs, and before its time */
	bool wait;	   /* for another who changes just now; false: ERR_TEMPORARY then */
};

/* "next", "active", "retiring". */
const char *dkim_state_name(enum dkim_state state);
/* false: no such state. */
bool dkim_state_read(const char *name, enum dkim_state *out);

/* The standing of a key; `keys` is the folder, open. */
struct dkim_standing dkim_standing(int keys, const char *domain, const char *selector);
/* Write it down, for a key whose file is about to appear; under dkim_lock(). 0, or -1 + err. */
int dkim_standing_put(int keys, const char *domain, const char *selector, const struct dkim_standing *s,
    struct err *err);
/* Wait until nobody else changes something; ends with the descriptor. */
int dkim_lock(int keys, bool wait, struct err *err);
/* All of the steps, or none. Durable when it returns 0. ERR_NOT_FOUND for a key that is not there; ERR_PERMANENT, with
 * what to do, for a step that would leave the domain without a key that signs, or comes too early. */
int dkim_change(int keys, const char *domain, const struct dkim_change *change, size_t n,
    const struct dkim_terms *terms, struct err *err);

/* "example.org.20261124.pem" -> "example.org", "20261124"; false for any other name. */
bool dkim_key_parts(const char *file, char domain[static 256], char selector[static 256]);

#endif
