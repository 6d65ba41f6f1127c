/* queue_local - what staging (queue_local.c) and publishing (queue_publish.c) share */
#ifndef DELIVERY_QUEUE_LOCAL_H
#define DELIVERY_QUEUE_LOCAL_H

#include "delivery/queue.h"

#define LOCAL_IN_FLIGHT_MAX 512             /* recipients */
#define LOCAL_BACKLOG_MAX (2 * 1024 * 1024) /* bytes that wait on the link */

struct local {
	struct link *mda;
	bool clean; /* it has removed strays */
	struct item_list ready, suspects;
	struct entry_list staging, to_load, loading, to_publish, publishing;
	bool lists;
	unsigned in_flight; /* entries picked .. publishing */
	size_t bytes;       /* of messages with entries in staging */
	unsigned fds;
	struct item *alone; /* a suspect in flight */
};
extern struct local local;

/* The lists are there from the first call on. */
void local_lists(void);
/* An entry is with mda from here on: it counts, and holds a use of the content ... */
void local_flight_begin(struct entry *e);
/* ... until here; the last thing done with it. */
void local_flight_end(struct entry *e);
/* Something was missing: a little later again. Ends the flight. */
void local_later(struct entry *e);
/* It cannot go on. Ends the flight. */
void local_hold(struct entry *e, const char *why);
/* Its content cannot be read: later, or held. Ends the flight. */
void local_not_read(struct entry *e, const struct err *err);
/* The folder it goes to; "" is INBOX. */
const char *local_folder(const struct envelope *e, const struct rcpt *r);
/* The entry that mda names, if it is in the state that the answer belongs to; else NULL. */
struct entry *local_entry(uint64_t qid, uint64_t n, enum entry_state state);

/* -- queue_publish */
void publish_pump(void);
/* mda is gone: what it had is to be published again. */
void publish_take_back(void);
/* Tell a new mda every staged name in use, and to remove all others. */
void publish_tell_names(void);

#endif
