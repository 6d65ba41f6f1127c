/* relay_connect - a connection to a host: its addresses side by side, and the next host beside it, until one answers */
#ifndef DELIVERY_RELAY_CONNECT_H
#define DELIVERY_RELAY_CONNECT_H

#include "delivery/relay_hosts.h"

struct race;

struct race_user {
	/* Does TLS come before anything else at these hosts? They greet only then. */
	bool (*implicit_tls)(void *arg);
	/* Another address of the same host, to be tried at the same time. false: there is none. */
	bool (*more)(void *arg, struct target *target);
	/* An address of the next host by preference, which goes beside one that is silent; the present host's others are passed over.
	 * HOSTS_WAIT: race_go_on() will be called. NULL: no other host may have it. */
	enum hosts_step (*next_host)(void *arg, struct target *target);
	/* This one did not answer, or not in time; others are still under way. */
	void (*lost)(void *arg, const struct target *target, const struct result *why);
	/* The race is over, and gone: `target` greeted first (take `fd`; not a byte was read), or was the last to fail (`fd` -1, `why`). */
	void (*over)(void *arg, const struct target *target, int fd, const struct result *why);
};

/* Begin with one address. NULL: that failed at once, `why` says why. */
struct race *race_start(const struct target *first, const struct race_user *user, void *arg, struct result *why);
/* After next_host said HOSTS_WAIT: ask it again. */
void race_go_on(struct race *race);
/* No callback comes any more. Sets *race to NULL; accepts NULL. */
void race_stop(struct race **race);

#endif
