/* relay_pool - sessions that wait a few seconds for the next mail to the same place */
#ifndef DELIVERY_RELAY_POOL_H
#define DELIVERY_RELAY_POOL_H

#include "delivery/relay_session.h"

#define POOL_MAX 100		/* idle sessions in all */
#define POOL_IDLE_MS 5000
#define POOL_SESSION_MAILS 500	/* mails over one session ... */
#define POOL_SESSION_AGE 300	/* ... and seconds of its life */

/* A ready session without work: kept, or closed when it is worn out or there are enough. `per_key`: most idle ones of one route. */
void pool_give(struct session *s, unsigned per_key);
/* An idle session of this route key, or to this host (peer key); the caller becomes its user. NULL: none. */
struct session *pool_take(const char *key);
struct session *pool_take_peer(const char *peer_key);
/* It ends: out of the list, if it is in. */
void pool_forget(struct session *s);
void pool_close_all(void);
unsigned pool_count(void);

#endif
