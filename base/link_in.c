/* link_in - frames that come over a link
 *
 * One system call receives up to BATCH frames. A frame is checked against its row in msg.h (may
 * this peer send it to me, are its fields of that shape, does a descriptor ride along) before
 * anyone sees it; the first that fails ends the link.
 *
 * A descriptor that was lost on the way (the receiver has no free slot: MSG_CTRUNC) fails that one
 * request: the receiver answers FAILED by itself, and the asker's function gets NULL. */
#include "base/link_state.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define BATCH 8

static char in_bytes[BATCH][FRAME_MAX];
/* for link_finish, which runs inside a handler: in_bytes is in use */
static char last_bytes[FRAME_MAX];

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
frame_dispatch(struct link *l, struct frame *f, bool fd_lost)
{
	const struct msg_handler *h;

	for (h = l->handlers; h->type != MSG_NONE && h->type != f->type; h++)
		;
	if (h->type == MSG_NONE)
		link_answer(l, f, fd_lost || f->type == MSG_FAILED);
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

	if (l->dead || (m->msg_flags & MSG_TRUNC) != 0 ||
	    frame_read(l, &f, bytes, n, fd_lost) == -1) {
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
	/* A peer that died with frames of ours unread shows as ECONNRESET first, once; what it sent
	 * is still there behind it. */
	do
		n = recvmmsg(l->fd, got, BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	return n;
}

/* Frames that wait at the end of a dying peer are still read: the end comes as a message of length
 * 0. */
void
link_on_readable(evutil_socket_t fd, short what, void *arg)
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
	/* a handler that finishes another link would read into the frame it stands on: that one
	 * only ends */
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
