/* dkim_rule - what becomes of DKIM keys, by what DNS says of their records
 *
 *	record in DNS   next key      active key
 *	right           is activated  signs; "seen" is written down
 *	absent          waits         stops if it was seen before, or another key of the domain that is in DNS signs;
 *	                              else it signs: the first key of a domain whose records are not published yet
 *	another one     waits         stops
 *	DNS is silent   waits         goes on as it was
 *
 * An activated key takes the place of those of its domain and algorithm: they retire in the same step. */
#ifndef ADMIN_DKIM_RULE_H
#define ADMIN_DKIM_RULE_H

#include "filters/dkim_state.h"

enum dkim_dns { DKIM_DNS_UNKNOWN, DKIM_DNS_RIGHT, DKIM_DNS_ABSENT, DKIM_DNS_WRONG };

struct dkim_look { /* at one key */
	char domain[256], selector[DKIM_SELECTOR_SIZE], algorithm[16], record[1024];
	enum dkim_state state;
	bool seen, stopped; /* as it is */
	bool stop_kept;     /* that it is stopped is written down */
	enum dkim_dns dns;
	bool wanted, force; /* the administrator wants it activated; whatever DNS says */
	/* decided */
	bool activate, retire, see, stop;
};

/* Fill what is decided for all of these (keys of any domains). */
void dkim_rule(struct dkim_look *all, size_t n);
/* Does the text published give the key of our record? Other tags may be there if they do not forbid its use. */
bool dkim_record_same(const char *published, const char *ours);
/* "yes", "missing", "wrong", "unknown". */
const char *dkim_dns_name(enum dkim_dns dns);
/* The state as people are told it: "retired" when a retiring key's time is over. All in seconds. */
const char *dkim_state_shown(enum dkim_state state, int64_t since, int64_t keep, int64_t now);

#endif
