/* link_state - what a link is, for link.c (its life), link_out.c (frames that leave), link_in.c
 * (frames that come) and link_ask.c (requests and their answers). Nobody else includes it. */
#ifndef BASE_LINK_STATE_H
#define BASE_LINK_STATE_H

#include "base/link.h"

struct out;			/* link_out.c: a frame that waits to be sent */
struct answer;			/* link_ask.c: a request that waits for its answer */

struct link {
	int fd;
	enum role me, peer;
	unsigned peer_number;
	const struct msg_handler *handlers;
	void (*on_end)(struct link *);
	void *data;
	struct event *readable, *writable;
	struct out *first, **tail;
	size_t backlog;
	struct answer *answers;	/* a ring by id: ids are given in order */
	uint32_t n_slots, next_id;
	unsigned pending;
	uint64_t serial;
	struct link *next;	/* all links of the process */
	unsigned busy;		/* a dispatch is running: free later */
	bool dead;
};

/* ---- link.c ---- */

/* Over: askers and on_end are told. Once no dispatch of it is running (`busy`), link_release frees
 * the rest. */
void link_end(struct link *l);
void link_release(struct link *l);
/* Also a link that is ending: what one asker does when told of it may end another asker. */
struct link *link_of_serial(uint64_t serial);

/* ---- link_out.c ---- */

/* The event of `writable`: sends what waits. */
void link_on_writable(evutil_socket_t fd, short what, void *link);
/* Nothing that waits will be sent. */
void link_drop_out(struct link *l);
/* What frame_begin began. */
struct buf *frame_begun(void);

/* ---- link_in.c ---- */

/* The event of `readable`: receives, checks and hands on. */
void link_on_readable(evutil_socket_t fd, short what, void *link);

/* ---- link_ask.c ---- */

/* Give an answer that came to whoever asked. `failed`: the peer could not take the request. */
void link_answer(struct link *l, struct frame *f, bool failed);
/* The link is over: all that wait are told. */
void link_answer_none(struct link *l);

#endif
