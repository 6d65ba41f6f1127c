/* link_out - frames that leave over a link
 *
 * A frame is sent at once when the kernel takes it. What it does not take waits in a list of at
 * most LINK_QUEUE_MAX bytes, in order, until the socket is writable again. */
#include "base/link_state.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct out {			/* a frame that waits to be sent */
	struct out *next;
	int fd;
	size_t len;
	char bytes[];
};

static struct buf builder = { .ceiling = FRAME_MAX };

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

struct buf *
frame_begun(void)
{
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

void
link_on_writable(evutil_socket_t fd, short what, void *arg)
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

void
link_drop_out(struct link *l)
{
	for (struct out *o = l->first, *next; o != NULL; o = next) {
		next = o->next;
		out_free(o);
	}
	l->first = NULL;
}
