/* data - DATA: the body comes in (RFC 5321 4.1.1.4)
 *
 * Up to 32 KiB it is gathered in memory; when it grows longer, all of it goes to queue piece by
 * piece, as fast as queue takes it, so a large message costs smtpd no more than a small one. A
 * message that is bad (see dot.h) or too big is swallowed to its true end, within bounds, and then
 * refused. */
#include "base/clock.h"
#include "base/qid.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/command.h"
#include "smtp/spool.h"

#define PROGRESS 1024               /* bytes that show a client is not just keeping us busy */
#define SWALLOW_EXTRA (1024 * 1024) /* beyond twice the limit */

void
cmd_data(struct session *s, struct slice args)
{
	struct transaction *t = s->tx;

	(void)args;
	t->qid = qid_new();
	dot_init(&t->dot, 0);
	t->due_from = clock_mono();
	session_reply(s, 354, NULL, "Send the message; end it with a line that has only a dot");
	session_enter(s, SESSION_DATA);
}

/* -- how fast they come */

/* clock_mono() when as many bytes as came so far were due at the latest, or 0: any time. */
static int64_t
due(const struct transaction *t)
{
	const struct conf *conf = role_conf();
	int64_t rate = conf->limits.data_rate;

	if (rate == 0 || t->due_from == 0)
		return 0;
	return t->due_from + conf->limits.data_timeout * 1000 +
	       (int64_t)t->raw / rate * CLOCK_SECOND;
}

int64_t
data_patience(const struct transaction *t)
{
	int64_t most = role_conf()->limits.data_timeout, until = due(t), left;

	if (until == 0 || t->stalled != 0)
		return most;
	left = (until - clock_mono()) / 1000;
	return left < most ? left : most;
}

bool
data_is_slow(const struct transaction *t)
{
	return t->stalled == 0 && t->raw > 0 && due(t) != 0 && clock_mono() >= due(t) - CLOCK_SECOND;
}

/* Time in which queue has no room for us is not the client's. */
static void
mark_stall(struct transaction *t, bool stalls)
{
	if (stalls == (t->stalled != 0))
		return;
	if (stalls) {
		t->stalled = clock_mono();
	} else {
		t->due_from += clock_mono() - t->stalled;
		t->stalled = 0;
	}
}

/* -- where the bytes go */

static void
on_spool(void *arg)
{
	session_run(arg);
}

static bool
is_bad(const struct transaction *t)
{
	return t->dot.fault != DOT_FINE || t->too_big || t->failed != NULL;
}

/* The body outgrew memory: what is there goes to queue, and all that follows. */
static void
to_spool(struct session *s)
{
	struct transaction *t = s->tx;

	head_read(&t->head, buf_all(&t->body), false);
	t->spool = spool_new(t->qid, on_spool, s);
	if (t->spool == NULL)
		t->failed = "Mail cannot be stored now; please try again later";
	else
		spool_write(t->spool, buf_all(&t->body));
	buf_free(&t->body);
}

static void
take(struct session *s, struct slice run)
{
	struct transaction *t = s->tx;

	t->size += run.len;
	if (t->size > (uint64_t)role_conf()->limits.message_size)
		t->too_big = true;
	if (is_bad(t))
		return;
	if (t->spool == NULL) {
		struct slice part = slice_first(run, BODY_IN_FRAME_MAX - t->body.len);

		if (buf_slice(&t->body, part) == -1)
			t->failed = "This server is short of memory; please try again later";
		run = slice_skip(run, part.len);
		if (run.len == 0 || t->failed != NULL)
			return;
		to_spool(s);
	}
	if (t->spool != NULL)
		spool_write(t->spool, run); /* a failure shows in spool_failed */
}

/* A message that will be refused needs no room any more. */
static void
drop(struct transaction *t)
{
	buf_free(&t->body);
	spool_free(&t->spool);
}

/* -- its end */

static void
file_is(void *arg, struct frame *answer)
{
	struct session *s = arg;
	enum put_status status = PUT_TEMPORARY;
	char why[200] = "";
	int fd = -1;

	session_answered(s);
	if (answer != NULL) {
		wire_u64(&answer->in);
		status = (enum put_status)wire_u64(&answer->in);
		wire_text_to(&answer->in, why, sizeof(why));
		fd = frame_take_fd(answer);
	}
	if (fd >= 0)
		spool_set_fd(s->tx->spool, fd);
	if (status == PUT_OK && fd >= 0)
		submit_begin(s);
	else if (status == PUT_FULL)
		deliver_refuse(s, 452, "4.3.1", "%s",
		    why[0] != '\0' ? why : "The disk is full; please try again later");
	else
		deliver_refuse(s, 451, "4.3.0", "%s",
		    why[0] != '\0' ? why
				   : "The message cannot be stored now; please try again later");
	session_run(s);
}

static void
finish(struct session *s)
{
	struct transaction *t = s->tx;
	const struct conf *conf = role_conf();

	session_enter(s, SESSION_END);
	if (t->spool == NULL && !is_bad(t))
		head_read(&t->head, buf_all(&t->body), true);
	if (t->dot.fault != DOT_FINE) {
		deliver_refuse(s, 550, "5.5.2", "%s", dot_why(&t->dot));
	} else if (t->too_big) {
		deliver_refuse(s, 552, "5.3.4",
		    "The message is too big; this server takes at most %lld bytes",
		    (long long)conf->limits.message_size);
	} else if (t->failed != NULL) {
		deliver_refuse(s, 451, "4.3.0", "%s", t->failed);
	} else if (t->head.received > (uint64_t)conf->limits.hops) {
		deliver_refuse(s, 554, "5.4.6",
		    "The message has passed %u servers; it runs in a circle", t->head.received);
	} else if (t->spool != NULL) {
		s->token = spool_end(t->spool, t->size, file_is, s);
		if (s->token == 0)
			deliver_refuse(
			    s, 451, "4.3.0", "Mail cannot be stored now; please try again later");
	} else {
		submit_begin(s);
	}
}

/* More than any honest client sends: answer what would be answered at the end, and hang up. */
static bool
swallowed_enough(struct session *s)
{
	struct transaction *t = s->tx;

	if (!is_bad(t) || t->raw < 2 * (uint64_t)role_conf()->limits.message_size + SWALLOW_EXTRA)
		return false;
	finish(s);
	session_close(s);
	return true;
}

bool
data_input(struct session *s)
{
	struct transaction *t = s->tx;
	struct slice in = channel_input(s->channel), piece, run;
	size_t room = t->spool != NULL ? spool_room(t->spool) : SIZE_MAX;

	piece = slice_first(in, room);
	mark_stall(t, in.len > 0 && piece.len == 0);
	if (piece.len == 0)
		return false;
	room = piece.len;
	while (dot_next(&t->dot, &piece, &run))
		take(s, run);
	t->raw += room - piece.len;
	channel_consume(s->channel, room - piece.len);
	if (t->raw - t->raw_mark >= PROGRESS) {
		t->raw_mark = t->raw;
		s->progress = true;
	}
	if (is_bad(t))
		drop(t);
	if (dot_ended(&t->dot))
		finish(s);
	else if (swallowed_enough(s))
		return false;
	return true;
}
