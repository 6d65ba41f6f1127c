/* queue_bench - how many local messages a second the queue program takes, and what CPU each costs
 * it
 *
 *   tests/bench/queue_bench PROGRAM [messages [at once [body bytes]]]
 *
 * Plays supervisor, smtpd and an mda that stages and publishes at once, so what is measured is the
 * queue alone with real commits. Runs in an empty folder of the working directory's disk, and
 * removes it. */
#include <errno.h>
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
#include "base/log.h"
#include "base/qid.h"
#include "storage/queue_store.h"

static struct event_base *base;
static struct link *smtpd, *mda;
static unsigned total = 20000, at_once = 20, size = 4096;
static unsigned sent, answered, delivered, refused;
static char *body;
static int64_t began, latency;
static int64_t sent_at[1 << 20];

static void
put_one(void)
{
	struct rcpt r = { RCPT_LOCAL, "alice@example.test", "example.test/alice", "",
		"alice@example.test", 0, "" };
	struct envelope e = { .qid = qid_new(),
		.from = "sender@example.test",
		.msgid = "<1234.5678@example.test>",
		.ip = "192.0.2.1",
		.prefix = SLICE(
		    "Received: from client (client [192.0.2.1])\r\n\tby mx.example.test (Tegami) "
		    "with ESMTP id 0000000000000;\r\n\tTue, 24 Nov 2026 05:52:28 +0000\r\n"),
		.size = size,
		.body = { body, size },
		.n_rcpts = 1 };
	struct buf *b = frame_begin(MSG_QUEUE_PUT, sent + 1);

	envelope_put(b, &e);
	rcpt_put(b, &r);
	if (link_send(smtpd, -1) == -1)
		abort();
	sent_at[sent++] = clock_mono();
}

static void
on_queue_is(struct frame *f)
{
	if (wire_u64(&f->in) != PUT_OK)
		refused++;
	latency += clock_mono() - sent_at[f->id - 1];
	answered++;
	if (sent < total)
		put_one();
}

static void
on_stage(struct frame *f)
{
	char name[500];
	uint64_t qid = wire_u64(&f->in);
	struct buf *b = frame_begin(MSG_MDA_STAGED, f->id);

	for (int i = 0; i < 4; i++)
		wire_bytes(&f->in);
	wire_put_u64(b, qid);
	while (wire_more(&f->in)) {
		uint64_t n = wire_u64(&f->in);
		struct slice stem;

		wire_bytes(&f->in);
		wire_bytes(&f->in);
		stem = wire_bytes(&f->in);
		wire_bytes(&f->in);
		snprintf(name, sizeof(name), ".stage/%.*s,S=%u", SLICE_ARG(stem), size);
		wire_put_u64(b, n);
		wire_put_u64(b, STEP_OK);
		wire_put_text(b, name);
		wire_put_u64(b, size);
	}
	link_send(mda, -1);
}

static void
on_publish(struct frame *f)
{
	struct buf *b = frame_begin(MSG_MDA_PUBLISHED, f->id);

	while (wire_more(&f->in)) {
		uint64_t qid = wire_u64(&f->in), n = wire_u64(&f->in);

		for (int i = 0; i < 3; i++)
			wire_bytes(&f->in);
		wire_put_u64(b, qid);
		wire_put_u64(b, n);
		wire_put_u64(b, STEP_OK);
		wire_put_text(b, "");
		delivered++;
	}
	link_send(mda, -1);
	if (delivered == total)
		event_base_loopbreak(base);
}

static void
on_unstage(struct frame *f)
{
	wire_put_u64(frame_begin(MSG_MDA_UNSTAGED, f->id), 0);
	link_send(mda, -1);
}

static void
on_ready(struct frame *f)
{
	(void)f;
	began = clock_mono();
	for (unsigned i = 0; i < at_once && sent < total; i++)
		put_one();
}

static void
on_ignored(struct frame *f)
{
	(void)f;
}

static void
on_failed(struct frame *f)
{
	fprintf(stderr, "the queue did not start: %.*s\n", SLICE_ARG(wire_bytes(&f->in)));
	exit(1);
}

static const struct msg_handler sup_handlers[] = { { MSG_ROLE_READY, on_ready },
	{ MSG_ROLE_FAILED, on_failed }, { MSG_NONE, NULL } };
static const struct msg_handler smtpd_handlers[] = { { MSG_QUEUE_IS, on_queue_is },
	{ MSG_NONE, NULL } };
static const struct msg_handler mda_handlers[] = { { MSG_MDA_STAGE, on_stage },
	{ MSG_MDA_PUBLISH, on_publish }, { MSG_MDA_UNSTAGE, on_unstage },
	{ MSG_MDA_KEEP, on_ignored }, { MSG_NONE, NULL } };

static void
on_end(struct link *l)
{
	(void)l;
	fprintf(stderr, "the queue ended a link\n");
	exit(1);
}

static struct link *
give_link(struct link *sup, enum role peer)
{
	struct buf *b = frame_begin(MSG_SETUP_LINK, 0);
	int s[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) == -1)
		abort();
	wire_put_u64(b, peer);
	wire_put_u64(b, 0);
	link_send(sup, s[1]);
	close(s[1]);
	return link_new(base, s[0], peer, ROLE_QUEUE, 0,
	    peer == ROLE_MDA ? mda_handlers : smtpd_handlers, on_end);
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
make_folder(char *dir)
{
	struct err err;
	sqlite3 *db;

	if (mkdtemp(dir) == NULL || chdir(dir) == -1 || mkdir("spool", 0700) == -1)
		abort();
	db = db_open(&queue_schema, DB_CREATE, &err);
	if (db == NULL) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	db_close(&db);
}

static void
remove_folder(const char *dir)
{
	unlink("queue.db");
	unlink("queue.db-wal");
	unlink("queue.db-shm");
	rmdir("spool");
	if (chdir("..") == 0)
		rmdir(dir);
}

int
main(int argc, char **argv)
{
	char dir[] = "queue-bench-XXXXXX", program[4096];
	struct rusage ru;
	struct link *sup;
	double seconds, cpu;
	int s[2];
	pid_t pid;

	if (argc < 2 || realpath(argv[1], program) == NULL) {
		fprintf(stderr, "usage: queue_bench PROGRAM [messages [at once [body bytes]]]\n");
		return 2;
	}
	total = argc > 2 ? (unsigned)atoi(argv[2]) : total;
	at_once = argc > 3 ? (unsigned)atoi(argv[3]) : at_once;
	size = argc > 4 ? (unsigned)atoi(argv[4]) : size;
	if (total > COUNT(sent_at) || size > BODY_IN_FRAME_MAX)
		return 2;
	body = malloc(size + 1);
	memset(body, 'x', size);
	base = event_base_new();
	qid_setup(SLICE("mx.example.test"), 0);
	make_folder(dir);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) == -1)
		return 1;
	pid = start(program, s[1]);
	close(s[1]);
	sup = link_new(base, s[0], ROLE_TEGAMID, ROLE_QUEUE, 0, sup_handlers, on_end);
	mda = give_link(sup, ROLE_MDA);
	smtpd = give_link(sup, ROLE_SMTPD);
	wire_put_u64(frame_begin(MSG_SETUP_GO, 0), 0);
	link_send(sup, -1);
	event_base_dispatch(base);
	seconds = (double)(clock_mono() - began) / 1e6;
	kill(pid, SIGKILL);
	wait4(pid, NULL, 0, &ru);
	cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	      (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	printf("%u messages of %u bytes, %u at once: %.0f msg/s, %.0f us CPU each in queue (%.0f "
	       "user, %.0f system), "
	       "answer after %.2f ms, %u refused, %ld KiB resident, %ld+%ld switches\n",
	    total, size, at_once, total / seconds, cpu / total * 1e6,
	    ((double)ru.ru_utime.tv_sec * 1e6 + (double)ru.ru_utime.tv_usec) / total,
	    ((double)ru.ru_stime.tv_sec * 1e6 + (double)ru.ru_stime.tv_usec) / total,
	    (double)latency / total / 1000, refused, ru.ru_maxrss, ru.ru_nvcsw, ru.ru_nivcsw);
	remove_folder(dir);
	return 0;
}
