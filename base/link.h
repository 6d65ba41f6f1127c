/* link - frames between two processes over a SOCK_SEQPACKET socketpair
 *
 * Sending never blocks: what the kernel does not take waits in a bounded queue in user space. A
 * frame that breaks its row in msg.h ends the link, never the process. When a link ends, every
 * request that waits for an answer on it is told. */
#ifndef BASE_LINK_H
#define BASE_LINK_H

#include <event2/event.h>

#include "base/msg.h"
#include "base/wire.h"

#define FRAME_MAX (64 * 1024)		/* header and fields */
#define FRAME_HEADER 12			/* type u16, flags u16, id u32, length u32 */
#define LINK_QUEUE_MAX (8 * 1024 * 1024) /* bytes that wait to be sent */

struct link;

struct frame {			/* a received frame; valid only inside the handler */
	struct link *link;
	enum msg type;
	uint32_t id;		/* request id; an answer bears the id of its request */
	struct wire in;		/* the fields, checked against the row's shape */
	int fd;			/* -1, or a descriptor: closed after the handler unless taken */
};

typedef void msg_fn(struct frame *f);
struct msg_handler {		/* a role's dispatch table, ended by MSG_NONE */
	enum msg type;
	msg_fn *fn;
};

/* `answer` is NULL when the peer died, the link ended or the peer could not take the request. A
 * frame whose type stands in the handler table goes there; any other is the answer to the request
 * of its id. For an answer in parts (msg_is_partial) the function is called once a part. */
typedef void answer_fn(void *arg, struct frame *answer);

/* The descriptor is yours now. */
int frame_take_fd(struct frame *f);

/* Takes the descriptor over. `on_end` is called once when the peer is gone (the link is freed after
 * it returns). */
struct link *link_new(struct event_base *base, int fd, enum role me, enum role peer,
    unsigned peer_number, const struct msg_handler *handlers, void (*on_end)(struct link *));
/* Ends it quietly: answers waiting get NULL, on_end is not called. Sets *l to NULL; accepts
 * NULL. */
void link_free(struct link **l);
/* The peer is known to be gone: handle what it still sent, then end the link as if its end had been
 * read (answers waiting get NULL, on_end is called). Accepts NULL and a link that is over. May be
 * called inside a handler. */
void link_finish(struct link *l);
enum role link_peer(const struct link *l);
unsigned link_peer_number(const struct link *l);
int link_fd(const struct link *l);
/* Requests that wait for their answer: the load of a worker. */
unsigned link_pending(const struct link *l);
/* Bytes waiting to be sent. */
size_t link_backlog(const struct link *l);
/* For whoever owns the peer's state: a pointer of your own. */
void link_set_data(struct link *l, void *data);
void *link_data(const struct link *l);

/* Begin a frame; fields are put into the buffer returned (one frame at a time, main thread
 * only). */
struct buf *frame_begin(enum msg type, uint32_t id);
/* The same in a buffer of your own (ceiling FRAME_MAX), for code that may run between somebody's
 * frame_begin and link_send. */
void frame_begin_in(struct buf *b, enum msg type, uint32_t id);
int link_send_buf(struct link *l, struct buf *b, int fd);
/* Send what was begun. `fd` >= 0 rides along; it stays yours and may be closed at once. -1: too
 * large for a frame, or the link's queue is full, or `l` is NULL; nothing was sent. */
int link_send(struct link *l, int fd);

/* Answer "not taken": the asker sees NULL. */
void frame_fail(const struct frame *f, const char *why);

/* A request: begins a frame with a fresh id ... */
struct buf *request_begin(enum msg type);
/* ... and sends it; fn gets the answer. Returns a token for link_forget (never 0), or 0: not sent,
 * fn is not called. */
uint64_t link_request(struct link *l, int fd, answer_fn *fn, void *arg);
/* The asker is going away: the answer will be dropped. Accepts 0 and tokens already answered. */
void link_forget(uint64_t token);

/* Where an answer goes that is given later: the link may be gone by then. */
struct reply_to {
	uint64_t link_serial;
	uint32_t id;
};
struct reply_to reply_later(const struct frame *f);
/* Begin the answer `type` to it; and send. -1 when the asker is gone. */
struct buf *reply_begin(struct reply_to to, enum msg type);
int reply_send(struct reply_to to, int fd);
struct link *link_by_serial(uint64_t serial);
uint64_t link_serial(const struct link *l);

#endif
