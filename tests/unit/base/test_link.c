/* test_link - what a link does with damaged frames, and with the last words of a peer that died */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/link.h"

static struct event_base *base;
static unsigned ends, logged;
static struct link *ended;

static void
on_end(struct link *l)
{
	ends++;
	ended = l;
}

static void
on_log(struct frame *f)
{
	(void)f;
	logged++;
}

static const struct msg_handler handlers[] = { { MSG_LOG, on_log }, { MSG_NONE, NULL } };
static const struct msg_handler none[] = { { MSG_NONE, NULL } };

struct pair {
	struct link *l;		/* ours */
	int theirs;
};

static struct pair
pair_new(enum role me, enum role peer, const struct msg_handler *h)
{
	struct pair p;
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s), 0);
	p.l = link_new(base, s[0], me, peer, 0, h, on_end);
	assert_non_null(p.l);
	p.theirs = s[1];
	return p;
}

static int
setup(void **state)
{
	(void)state;
	base = event_base_new();
	ends = logged = 0;
	return base == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	event_base_free(base);
	return 0;
}

static void
turn(void)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Frame of `type` for `id` with the fields of `b`, from the peer's side. */
static void
say(int fd, struct buf *b)
{
	uint32_t len = (uint32_t)(b->len - FRAME_HEADER);

	memcpy(b->at + 8, &len, 4);
	assert_int_equal(send(fd, b->at, b->len, 0), b->len);
}

static void
say_log(int fd)
{
	struct buf *b = frame_begin(MSG_LOG, 0);

	wire_put_u64(b, 6);
	wire_put_text(b, "x");
	say(fd, b);
}

struct asked {
	unsigned answers, nulls;
	uint64_t token, forget;
};

static void
on_answer(void *arg, struct frame *f)
{
	struct asked *a = arg;

	a->answers += f != NULL;
	a->nulls += f == NULL;
	link_forget(a->forget);
}

static uint32_t
ask(struct link *l, struct asked *a)
{
	wire_put_u64(request_begin(MSG_SPOOL_DROP), 1);
	a->token = link_request(l, -1, on_answer, a);
	assert_int_not_equal(a->token, 0);
	return (uint32_t)a->token;
}

/* Frames of ours that it left unread make the kernel say ECONNRESET before it hands over what the peer had sent. */
static void
test_last_words(void **state)
{
	(void)state;
	for (int finish = 0; finish < 2; finish++) {
		struct pair p = pair_new(ROLE_SMTPD, ROLE_QUEUE, none);
		struct asked told = { 0 }, untold[40] = { 0 };
		uint32_t id = ask(p.l, &told);
		struct buf *b;

		ends = 0;
		for (size_t i = 0; i < COUNT(untold); i++)
			ask(p.l, &untold[i]);
		b = frame_begin(MSG_QUEUE_IS, id);
		wire_put_u64(b, PUT_OK);
		wire_put_text(b, "");
		say(p.theirs, b);
		close(p.theirs);
		if (finish)
			link_finish(p.l);
		turn();
		assert_int_equal(told.answers, 1);
		assert_int_equal(told.nulls, 0);
		for (size_t i = 0; i < COUNT(untold); i++) {
			assert_int_equal(untold[i].answers, 0);
			assert_int_equal(untold[i].nulls, 1);
		}
		assert_int_equal(ends, 1);
	}
}

/* More than one read takes. */
static void
test_many_last_words(void **state)
{
	struct pair p = pair_new(ROLE_CONTROL, ROLE_SMTPD, handlers);
	struct buf *b = frame_begin(MSG_ADMIN, 0);

	(void)state;
	wire_put_text(b, "x");
	link_send(p.l, -1);
	for (int i = 0; i < 50; i++)
		say_log(p.theirs);
	close(p.theirs);
	for (int i = 0; i < 20; i++)
		turn();
	assert_int_equal(logged, 50);
	assert_int_equal(ends, 1);
}

static void
test_forget_at_end(void **state)
{
	struct pair p = pair_new(ROLE_SMTPD, ROLE_QUEUE, none);
	struct asked a = { 0 }, b = { 0 };

	(void)state;
	ask(p.l, &a);
	ask(p.l, &b);
	a.forget = b.token;
	b.forget = a.token;
	close(p.theirs);
	turn();
	assert_int_equal(a.nulls + b.nulls, 1);
	assert_int_equal(ends, 1);
	link_forget(a.token);
}

/* Whatever is wrong with it: what came before counts, what comes after does not, another link goes on. */
static void
test_bad_frames(void **state)
{
	static const struct {
		const char *what;
		size_t len;
		unsigned char bytes[40];
		int fd;
	} rows[] = {
		{ "shorter than a header", 3, { MSG_LOG, 0, 0 }, 0 },
		{ "length too small", 33, { MSG_LOG, 0, 0, 0, 0, 0, 0, 0, 20 }, 0 },
		{ "length too large", 12, { MSG_LOG, 0, 0, 0, 0, 0, 0, 0, 1 }, 0 },
		{ "no type", 12, { MSG_NONE }, 0 },
		{ "unknown type", 12, { 0xff, 0xff }, 0 },
		{ "a type that it may not send", 12, { MSG_SETUP_STOP }, 0 },
		{ "no fields", 12, { MSG_LOG }, 0 },
		{ "a field too long", 24, { MSG_LOG, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 200 }, 0 },
		{ "a number of 7 bytes", 28,
		    { MSG_LOG, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 7, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 0 }, 0 },
		{ "a descriptor where none rides", 29,
		    { MSG_LOG, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 8, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 'x' },
		    1 },
	};
	struct pair good = pair_new(ROLE_CONTROL, ROLE_SMTPD, handlers);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pair p = pair_new(ROLE_CONTROL, ROLE_QUEUE, handlers);
		struct iovec iov = { (void *)(uintptr_t)rows[i].bytes, rows[i].len };
		union {
			struct cmsghdr head;
			char room[CMSG_SPACE(sizeof(int))];
		} c = { 0 };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

		if (rows[i].fd) {
			m.msg_control = &c;
			m.msg_controllen = sizeof c.room;
			c.head.cmsg_level = SOL_SOCKET;
			c.head.cmsg_type = SCM_RIGHTS;
			c.head.cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(&c.head), &p.theirs, sizeof(int));
		}
		ends = logged = 0;
		say_log(p.theirs);
		assert_int_equal(sendmsg(p.theirs, &m, 0), rows[i].len);
		say_log(p.theirs);
		say_log(good.theirs);
		turn();
		if (ends != 1 || ended != p.l || logged != 2)
			fail_msg("%s: %u ends, %u frames", rows[i].what, ends, logged);
		close(p.theirs);
	}
	close(good.theirs);
	link_free(&good.l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_last_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_last_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget_at_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_frames, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
