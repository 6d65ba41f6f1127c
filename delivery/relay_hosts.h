/* relay_hosts - one by one the addresses where a route's mail can go
 *
 * MX and address records are asked as they are needed; the first host's answer usually is the only one. */
#ifndef DELIVERY_RELAY_HOSTS_H
#define DELIVERY_RELAY_HOSTS_H

#include "delivery/relay_address.h"
#include "delivery/relay_policy.h"
#include "delivery/relay_result.h"
#include "delivery/route.h"

#define HOSTS_TARGETS_MAX 10	/* addresses given out in all: more tries in a row help nobody */

struct hosts;

struct target {
	char host[256];			/* its name; the address's text when there is none */
	bool named;			/* `host` is a name (fit for SNI) */
	struct address address;
	struct tls_policy *policy;	/* borrowed until the next hosts_next or hosts_free: hold it to keep it */
};

enum hosts_step {
	HOSTS_TARGET,	/* here is one */
	HOSTS_WAIT,	/* `ready` will be called; ask again then */
	HOSTS_END	/* there are no more */
};

/* NULL when memory is gone. */
struct hosts *hosts_new(const struct route *route, void (*ready)(void *arg), void *arg);
/* Stops what is under way. Sets *h to NULL; accepts NULL. */
void hosts_free(struct hosts **h);
enum hosts_step hosts_next(struct hosts *h, struct target *target);
/* After HOSTS_TARGET: another address of the same host, now. false: it has no more. */
bool hosts_more(struct hosts *h, struct target *target);
/* The next host's first address, though the present one may have more: these are passed over. HOSTS_END: there is no other host, and
 * nothing is passed over. After HOSTS_WAIT it, or hosts_next, is called again. */
enum hosts_step hosts_next_host(struct hosts *h, struct target *target);
/* At HOSTS_END: why hosts gave no (or no more) addresses; STEP_OK when nothing went wrong. A temporary reason wins over a permanent
 * one, because it may hide a good address. */
const struct result *hosts_why(const struct hosts *h);

#endif
