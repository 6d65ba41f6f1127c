/* link - frames between two processes over a SOCK_SEQPACKET socketpair
 *
 * One system call receives up to BATCH frames. A frame is checked against its row in msg.h (may this peer send it to me, are
 * its fields of that shape, does a descriptor ride along) before anyone sees it; the first that fails ends the link. Outgoing
 * frames that the kernel does not take at once wait in a list of at most LINK_QUEUE_MAX bytes.
 *
 * A descriptor that was lost on the way (the receiver has no free slot: MSG_CTRUNC) fails that one request: the
 * receiver answers FAILED by itself, and the asker's function gets NULL. */
#include "base/link.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define BATCH 8
#define ANSWERS_MAX 65536	/* requests that wait for an answer, a link */
#define SOCKET_BUFFER (1024 * 1024)

struct out {			/* a frame that waits to be sent */
	struct out *next;
	int fd;
	size_t len;
	char bytes[];
};

struct answer {			/* a request that waits for its answer */
	answer_fn *fn;		/* NULL: free slot */
	void *arg;
	uint32_t id;
};

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

static struct link *links;
static uint64_t last_serial;

static struct buf builder = { .ceiling = FRAME_MAX };

static char in_bytes[BATCH][FRAME_MAX];
static char last_bytes[FRAME_MAX];	/* for link_finish, which runs inside a handler: in_bytes is in use */

/* ---- frames out ---- */

void
frame_begin_in(struct buf *b, enum msg type, uint32_t id)
{
	char *head;

	b->ceiling = FRAME_MAX;
	buf_reset(b);
	head = buf_room(b, FRAME_HEADER);
	if (head != NULL) {
		uint16_t t = htole16((uint16_t)type), flags = 0;
		uint32_t i = htole32(id), len = 0;

		memcpy(head, &t, 2);
		memcpy(head + 2, &flags, 2);
		memcpy(head + 4, &i, 4);
		memcpy(head + 8, &len, 4);
		buf_wrote(b, FRAME_HEADER);
	}
}

struct buf *
frame_begin(enum msg type, uint32_t id)
{
	frame_begin_in(&builder, type, id);
	return &builder;
}

/* 1 sent, 0 not now, -1 the link is broken. */
static int
send_now(struct link *l, const char *bytes, size_t len, int fd)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		memset(&control, 0, sizeof control);
		m.msg_control = &control;
		m.msg_controllen = sizeof control.room;
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	}
	if (sendmsg(l->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 1;
	return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -1;
}

static int
queue_frame(struct link *l, const char *bytes, size_t len, int fd)
{
	struct out *o;

	if (l->backlog + len > LINK_QUEUE_MAX || (o = malloc(sizeof *o + len)) == NULL)
		return -1;
	o->next = NULL;
	o->fd = fd >= 0 ? dup(fd) : -1;
	if (fd >= 0 && o->fd < 0) {
		free(o);
		return -1;
	}
	o->len = len;
	memcpy(o->bytes, bytes, len);
	*l->tail = o;
	l->tail = &o->next;
	l->backlog += len;
	event_add(l->writable, NULL);
	return 0;
}

static void
out_free(struct out *o)
{
	if (o->fd >= 0)
		close(o->fd);
	free(o);
}

int
link_send_buf(struct link *l, struct buf *b, int fd)
{
	uint32_t len;
	int sent;

	if (l == NULL || l->dead || b->failed || b->len < FRAME_HEADER)
		return -1;
	len = htole32((uint32_t)(b->len - FRAME_HEADER));
	memcpy(b->at + 8, &len, 4);
	sent = l->first == NULL ? send_now(l, b->at, b->len, fd) : 0;
	if (sent == 0)
		return queue_frame(l, b->at, b->len, fd);
	/* a broken link shows itself to the reader, which tells everyone */
	return sent == 1 ? 0 : -1;
}

int
link_send(struct link *l, int fd)
{
	return link_send_buf(l, &builder, fd);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	(void)fd;
	(void)what;
	while (l->first != NULL) {
		struct out *o = l->first;

		if (send_now(l, o->bytes, o->len, o->fd) == 0) {
			event_add(l->writable, NULL);
			return;
		}
		l->first = o->next;
		if (l->first == NULL)
			l->tail = &l->first;
		l->backlog -= o->len;
		out_free(o);
	}
}

/* ---- requests and their answers ---- */

struct buf *
request_begin(enum msg type)
{
	return frame_begin(type, 0);
}

static int
ring_grow(struct link *l)
{
	uint32_t n = l->n_slots > 0 ? l->n_slots * 2 : 16;
	struct answer *ring = n <= ANSWERS_MAX ? calloc(n, sizeof *ring) : NULL;

	if (ring == NULL)
		return -1;
	for (uint32_t i = 0; i < l->n_slots; i++)
		if (l->answers[i].fn != NULL)
			ring[l->answers[i].id & (n - 1)] = l->answers[i];
	free(l->answers);
	l->answers = ring;
	l->n_slots = n;
	return 0;
}

/* A free slot for the next id; a slow answer may still hold the one it falls on. */
static struct answer *
slot_take(struct link *l)
{
	for (int tries = 0; tries < 16; tries++) {
		uint32_t id = ++l->next_id;

		if (id == 0)
			id = ++l->next_id;
		if (l->pending * 2 >= l->n_slots && ring_grow(l) == -1 && l->pending >= l->n_slots)
			return NULL;
		if (l->answers[id & (l->n_slots - 1)].fn == NULL) {
			l->answers[id & (l->n_slots - 1)].id = id;
			return &l->answers[id & (l->n_slots - 1)];
		}
	}
	return ring_grow(l) == 0 ? slot_take(l) : NULL;
}

static void
slot_free(struct link *l, struct answer *a)
{
	a->fn = NULL;
	l->pending--;
}

static struct answer *
slot_find(struct link *l, uint32_t id)
{
	struct answer *a = l->n_slots > 0 ? &l->answers[id & (l->n_slots - 1)] : NULL;

	return a != NULL && a->fn != NULL && a->id == id ? a : NULL;
}

uint64_t
link_request(struct link *l, int fd, answer_fn *fn, void *arg)
{
	struct answer *a;
	uint32_t id;

	if (l == NULL || l->dead || builder.failed || (a = slot_take(l)) == NULL)
		return 0;
	id = htole32(a->id);
	memcpy(builder.at + 4, &id, 4);
	if (link_send(l, fd) == -1)
		return 0;
	a->fn = fn;
	a->arg = arg;
	l->pending++;
	return l->serial << 32 | a->id;
}

/* Also a link that is ending: what one asker does when told of it may end another asker. */
static struct link *
link_of_token(uint64_t token)
{
	struct link *l = links;

	while (l != NULL && l->serial != token >> 32)
		l = l->next;
	return l;
}

void
link_forget(uint64_t token)
{
	struct link *l = link_of_token(token);
	struct answer *a = l != NULL ? slot_find(l, (uint32_t)token) : NULL;

	if (a != NULL)
		slot_free(l, a);
}

struct reply_to
reply_later(const struct frame *f)
{
	return (struct reply_to){ f->link->serial, f->id };
}

struct buf *
reply_begin(struct reply_to to, enum msg type)
{
	return frame_begin(type, to.id);
}

int
reply_send(struct reply_to to, int fd)
{
	return link_send(link_by_serial(to.link_serial), fd);
}

void
frame_fail(const struct frame *f, const char *why)
{
	static struct buf own;

	frame_begin_in(&own, MSG_FAILED, f->id);
	wire_put_text(&own, why);
	link_send_buf(f->link, &own, -1);
}

uint64_t
link_serial(const struct link *l)
{
	return l->serial;
}

struct link *
link_by_serial(uint64_t serial)
{
	for (struct link *l = links; l != NULL; l = l->next)
		if (l->serial == serial && !l->dead)
			return l;
	return NULL;
}

/* ---- frames in ---- */

int
frame_take_fd(struct frame *f)
{
	int fd = f->fd;

	f->fd = -1;
	return fd;
}

/* Read the header and check the frame against its row. -1: the peer breaks the contract. */
static int
frame_read(struct link *l, struct frame *f, const char *bytes, size_t n, bool fd_lost)
{
	uint16_t type;
	uint32_t id, len;
	const struct msg_row *row;

	if (n < FRAME_HEADER)
		return -1;
	memcpy(&type, bytes, 2);
	memcpy(&id, bytes + 4, 4);
	memcpy(&len, bytes + 8, 4);
	f->type = le16toh(type);
	f->id = le32toh(id);
	f->link = l;
	if (le32toh(len) != n - FRAME_HEADER || f->type <= MSG_NONE || f->type >= MSG_COUNT)
		return -1;
	row = &msg_rows[f->type];
	if ((row->from & 1u << l->peer) == 0 || (row->to & 1u << l->me) == 0)
		return -1;
	if ((f->fd >= 0 && row->fd == FD_NO) || (f->fd < 0 && row->fd == FD_MUST && !fd_lost))
		return -1;
	if (!msg_shape_ok(f->type, (struct slice){ bytes + FRAME_HEADER, n - FRAME_HEADER }))
		return -1;
	wire_init(&f->in, (struct slice){ bytes + FRAME_HEADER, n - FRAME_HEADER });
	return 0;
}

static void
answer_give(struct link *l, struct frame *f, bool failed)
{
	struct answer *a = slot_find(l, f->id);
	answer_fn *fn;
	void *arg;

	if (a == NULL)		/* forgotten meanwhile */
		return;
	fn = a->fn;
	arg = a->arg;
	if (failed || !msg_is_partial(f->type))
		slot_free(l, a);
	fn(arg, failed ? NULL : f);
}

static void
frame_dispatch(struct link *l, struct frame *f, bool fd_lost)
{
	const struct msg_handler *h;

	for (h = l->handlers; h->type != MSG_NONE && h->type != f->type; h++)
		;
	if (h->type == MSG_NONE)
		answer_give(l, f, fd_lost || f->type == MSG_FAILED);
	else if (fd_lost)
		frame_fail(f, "the descriptor was lost on the way");
	else
		h->fn(f);
	if (f->fd >= 0)
		close(f->fd);
}

static int
fd_received(struct msghdr *m)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

static void link_end(struct link *l);

/* The peer broke the contract: this link is over, we go on. */
static void
link_violated(struct link *l, unsigned type)
{
	log_error("%s sent a bad frame (%s); its link is closed", role_name(l->peer),
	    type < MSG_COUNT ? msg_rows[type].name : "unknown type");
	link_end(l);
}

static void
frame_take(struct link *l, struct msghdr *m, const char *bytes, size_t n)
{
	struct frame f = { .fd = fd_received(m) };
	bool fd_lost = (m->msg_flags & MSG_CTRUNC) != 0;

	if (l->dead || (m->msg_flags & MSG_TRUNC) != 0 || frame_read(l, &f, bytes, n, fd_lost) == -1) {
		if (f.fd >= 0)
			close(f.fd);
		if (!l->dead)
			link_violated(l, f.type);
		return;
	}
	frame_dispatch(l, &f, fd_lost);
}

static int
receive(struct link *l, struct mmsghdr got[BATCH])
{
	static struct iovec iov[BATCH];
	static union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control[BATCH];
	int n;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ in_bytes[i], FRAME_MAX };
		got[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1,
			.msg_control = &control[i], .msg_controllen = sizeof control[i] };
	}
	/* A peer that died with frames of ours unread shows as ECONNRESET first, once; what it sent is still there behind it. */
	do
		n = recvmmsg(l->fd, got, BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	return n;
}

static void link_release(struct link *l);

/* Frames that wait at the end of a dying peer are still read: the end comes as a message of length 0. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;
	struct mmsghdr got[BATCH];
	int n = receive(l, got);

	(void)fd;
	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
		return;
	l->busy++;
	if (n <= 0)
		link_end(l);
	for (int i = 0; i < n; i++) {
		if (got[i].msg_len == 0) {
			if (!l->dead)
				link_end(l);
			break;
		}
		frame_take(l, &got[i].msg_hdr, in_bytes[i], got[i].msg_len);
	}
	l->busy--;
	link_release(l);
}

/* One frame; false: there is none, or its end. */
static bool
receive_last(struct link *l)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { last_bytes, FRAME_MAX };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof control };
	ssize_t n;

	do
		n = recvmsg(l->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n <= 0)
		return false;
	frame_take(l, &m, last_bytes, (size_t)n);
	return true;
}

void
link_finish(struct link *l)
{
	static bool running;

	if (l == NULL || l->dead)
		return;
	l->busy++;
	/* a handler that finishes another link would read into the frame it stands on: that one only ends */
	if (!running) {
		running = true;
		while (!l->dead && receive_last(l))
			;
		running = false;
	}
	link_end(l);
	l->busy--;
	link_release(l);
}

/* ---- life ---- */

struct link *
link_new(struct event_base *base, int fd, enum role me, enum role peer, unsigned peer_number,
    const struct msg_handler *handlers, void (*on_end)(struct link *))
{
	struct link *l = calloc(1, sizeof *l);
	int size = SOCKET_BUFFER;

	if (l == NULL)
		goto fail;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == -1)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	*l = (struct link){ .fd = fd, .me = me, .peer = peer, .peer_number = peer_number,
		.handlers = handlers, .on_end = on_end, .serial = ++last_serial, .next = links };
	l->tail = &l->first;
	l->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, l);
	l->writable = event_new(base, fd, EV_WRITE, on_writable, l);
	if (l->readable == NULL || l->writable == NULL || event_add(l->readable, NULL) == -1)
		goto fail_events;
	links = l;
	return l;
fail_events:
	if (l->readable != NULL)
		event_free(l->readable);
	if (l->writable != NULL)
		event_free(l->writable);
	free(l);
fail:
	close(fd);
	return NULL;
}

/* Free what is left of a dead link once no dispatch of it is running. */
static void
link_release(struct link *l)
{
	if (!l->dead || l->busy > 0)
		return;
	free(l->answers);
	free(l);
}

/* Everything but the memory: no more events, queue dropped, askers told. */
static void
link_close(struct link *l)
{
	l->dead = true;
	event_free(l->readable);
	event_free(l->writable);
	close(l->fd);
	for (struct out *o = l->first, *next; o != NULL; o = next) {
		next = o->next;
		out_free(o);
	}
	l->first = NULL;
	for (uint32_t i = 0; i < l->n_slots; i++) {
		struct answer a = l->answers[i];

		if (a.fn == NULL)
			continue;
		slot_free(l, &l->answers[i]);
		a.fn(a.arg, NULL);
	}
	for (struct link **at = &links; *at != NULL; at = &(*at)->next) {
		if (*at == l) {
			*at = l->next;
			break;
		}
	}
}

static void
link_end(struct link *l)
{
	if (l->dead)
		return;
	l->busy++;
	link_close(l);
	if (l->on_end != NULL)
		l->on_end(l);
	l->busy--;
	link_release(l);
}

void
link_free(struct link **lp)
{
	struct link *l = *lp;

	*lp = NULL;
	if (l == NULL || l->dead)
		return;
	l->busy++;
	link_close(l);
	l->busy--;
	link_release(l);
}

enum role
link_peer(const struct link *l)
{
	return l->peer;
}

unsigned
link_peer_number(const struct link *l)
{
	return l->peer_number;
}

int
link_fd(const struct link *l)
{
	return l->fd;
}

unsigned
link_pending(const struct link *l)
{
	return l->pending;
}

size_t
link_backlog(const struct link *l)
{
	return l->backlog;
}

void
link_set_data(struct link *l, void *data)
{
	l->data = data;
}

void *
link_data(const struct link *l)
{
	return l->data;
}
