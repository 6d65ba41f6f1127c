/* mda_bench - how many files a second the mda program stages and publishes, and what CPU each
 * costs it
 *
 *   tests/bench/mda_bench PROGRAM [DIR [messages [at once [body bytes [mailboxes]]]]]
 *
 * Plays supervisor and queue: sends `at once` messages to stage, publishes what is staged, and
 * lets each message that is published make room for the next. Works in a new folder below DIR
 * (default: the working directory), removed at the end. */
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/envelope.h"
#include "base/link.h"

static struct event_base *base;
static struct link *mda;
static unsigned total = 20000, at_once = 64, size = 4096, boxes = 20;
static unsigned sent, published, refused;
static char *body;
static int spool = -1;
static int64_t began;

static void
home_of(uint64_t qid, char out[static 64])
{
	snprintf(out, 64, "bench.test/u%u", (unsigned)(qid % boxes));
}

static void
stage_one(void)
{
	struct buf *b = frame_begin(MSG_MDA_STAGE, 0);
	uint64_t qid = ++sent;
	char home[64], stem[64];

	home_of(qid, home);
	snprintf(stem, sizeof(stem), "1700000000.M%06uQ%uR0.bench", sent % 1000000, sent);
	wire_put_u64(b, qid);
	wire_put_u64(b, 0);
	wire_put_text(b, "Received: from client (client [192.0.2.1])\r\n\tby mx.example.test "
			 "(Tegami) with ESMTP;\r\n"
			 "\tTue, 24 Nov 2026 05:52:28 +0000\r\n");
	wire_put_text(b, "");
	wire_put_bytes(b, (struct slice){ body, spool == -1 ? size : 0 });
	wire_put_u64(b, 0);
	wire_put_text(b, home);
	wire_put_text(b, "");
	wire_put_text(b, stem);
	wire_put_text(b, "Return-Path: <sender@example.test>\r\nDelivered-To: u@bench.test\r\n");
	if (link_send(mda, spool) == -1)
		abort();
}

static void
publish_begin(struct buf *b, uint64_t qid, struct slice staged)
{
	char home[64];

	home_of(qid, home);
	wire_put_u64(b, qid);
	wire_put_u64(b, 0);
	wire_put_text(b, home);
	wire_put_text(b, "");
	wire_put_bytes(b, staged);
}

/* What came in one turn of the loop is published in one frame, as queue does after its commit. */
static struct buf waiting = { .ceiling = 48 * 1024 };
static struct event *flush;

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct buf *b;

	(void)fd, (void)what, (void)arg;
	if (waiting.len == 0)
		return;
	b = frame_begin(MSG_MDA_PUBLISH, 0);
	buf_slice(b, buf_all(&waiting));
	buf_reset(&waiting);
	if (link_send(mda, -1) == -1)
		abort();
}

static void
on_staged(struct frame *f)
{
	uint64_t qid = wire_u64(&f->in), status;
	struct slice text;

	wire_u64(&f->in);
	status = wire_u64(&f->in);
	text = wire_bytes(&f->in);
	if (status != STEP_OK) {
		fprintf(stderr, "not staged: %.*s\n", SLICE_ARG(text));
		refused++;
		return;
	}
	if (waiting.len > 40 * 1024)
		on_flush(-1, 0, NULL);
	publish_begin(&waiting, qid, text);
	event_active(flush, EV_TIMEOUT, 0);
}

static void
on_published(struct frame *f)
{
	while (wire_more(&f->in)) {
		wire_u64(&f->in);
		wire_u64(&f->in);
		if (wire_u64(&f->in) != STEP_OK)
			refused++;
		wire_bytes(&f->in);
		published++;
		if (sent < total)
			stage_one();
	}
	if (published + refused >= total)
		event_base_loopbreak(base);
}

static void
on_unstaged(struct frame *f)
{
	(void)f;
	began = clock_mono();
	for (unsigned i = 0; i < at_once && sent < total; i++)
		stage_one();
}

static void
on_ready(struct frame *f)
{
	(void)f;
	frame_begin(MSG_MDA_UNSTAGE, 0);
	link_send(mda, -1);
}

static void
on_failed(struct frame *f)
{
	fprintf(stderr, "mda did not start: %.*s\n", SLICE_ARG(wire_bytes(&f->in)));
	exit(1);
}

static void
on_end(struct link *l)
{
	(void)l;
	fprintf(stderr, "mda ended a link\n");
	exit(1);
}

static const struct msg_handler sup_handlers[] = { { MSG_ROLE_READY, on_ready },
	{ MSG_ROLE_FAILED, on_failed }, { MSG_NONE, NULL } };
static const struct msg_handler mda_handlers[] = { { MSG_MDA_STAGED, on_staged },
	{ MSG_MDA_PUBLISHED, on_published }, { MSG_MDA_UNSTAGED, on_unstaged },
	{ MSG_NONE, NULL } };

static struct link *
give_link(struct link *sup)
{
	struct buf *b = frame_begin(MSG_SETUP_LINK, 0);
	int s[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) == -1)
		abort();
	wire_put_u64(b, ROLE_QUEUE);
	wire_put_u64(b, 0);
	link_send(sup, s[1]);
	close(s[1]);
	return link_new(base, s[0], ROLE_QUEUE, ROLE_MDA, 0, mda_handlers, on_end);
}

static pid_t
start(const char *program, int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		dup2(fd, 3);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static void
make_body(void)
{
	body = malloc(size + 80);
	for (unsigned i = 0; i < size; i++)
		body[i] = "\r\nThis line has some 76 characters, as lines of mail usually have, or "
			  "so one says"[i % 78];
	if (size <= BODY_IN_FRAME_MAX)
		return;
	spool = open("body", O_RDWR | O_CREAT, 0600);
	if (spool == -1 || write(spool, body, size) != (ssize_t)size)
		abort();
}

int
main(int argc, char **argv)
{
	char dir[4096], program[4096], command[4200];
	struct rusage ru;
	struct link *sup;
	double seconds, cpu;
	int s[2];
	pid_t pid;

	if (argc < 2 || realpath(argv[1], program) == NULL) {
		fprintf(stderr, "usage: mda_bench PROGRAM [DIR [messages [at once [body bytes "
				"[mailboxes]]]]]\n");
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s/mda-bench-XXXXXX", argc > 2 ? argv[2] : ".");
	total = argc > 3 ? (unsigned)atoi(argv[3]) : total;
	at_once = argc > 4 ? (unsigned)atoi(argv[4]) : at_once;
	size = argc > 5 ? (unsigned)atoi(argv[5]) : size;
	boxes = argc > 6 ? (unsigned)atoi(argv[6]) : boxes;
	if (mkdtemp(dir) == NULL || realpath(dir, command) == NULL || chdir(command) == -1)
		return 1;
	snprintf(dir, sizeof(dir), "%.4000s", command);
	make_body();
	base = event_base_new();
	flush = event_new(base, -1, EV_PERSIST, on_flush, NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) == -1)
		return 1;
	pid = start(program, s[1]);
	close(s[1]);
	sup = link_new(base, s[0], ROLE_TEGAMID, ROLE_MDA, 0, sup_handlers, on_end);
	mda = give_link(sup);
	wire_put_u64(frame_begin(MSG_SETUP_GO, 0), 0);
	link_send(sup, -1);
	event_base_dispatch(base);
	seconds = (double)(clock_mono() - began) / 1e6;
	kill(pid, SIGKILL);
	wait4(pid, NULL, 0, &ru);
	cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	      (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	printf("%u messages of %u bytes, %u at once, %u mailboxes: %.0f msg/s, %.0f us CPU each in "
	       "mda, %u refused, %ld KiB "
	       "resident\n",
	    total, size, at_once, boxes, total / seconds, cpu / total * 1e6, refused, ru.ru_maxrss);
	snprintf(command, sizeof(command), "rm -rf '%.4000s'", dir);
	return system(command) == 0 ? 0 : 1;
}
