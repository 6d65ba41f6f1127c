/* body - where the bytes of a message go, whether DATA or BDAT brings them */
#include "smtp/body.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/qid.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/spool.h"

#define PROGRESS 1024               /* bytes that show a client is not just keeping us busy */
#define SWALLOW_EXTRA (1024 * 1024) /* beyond twice the limit */

void
body_begin(struct session *s, unsigned mode)
{
	struct transaction *t = s->tx;

	/* lines are not what a binary message is made of */
	if (!(t->flags & ENVELOPE_BINARY) &&
	    conf_networks_hold(&role_conf()->normalize_line_ends, s->ip))
		mode |= DOT_NORMALISE;
	t->qid = qid_new();
	t->due_from = clock_mono();
	dot_init(&t->dot, mode);
}

static void
on_spool(void *arg)
{
	session_run(arg);
}

bool
body_is_bad(const struct transaction *t)
{
	return t->dot.fault != DOT_FINE || t->too_big || t->failed != NULL;
}

/* -- how fast they come */

/* clock_mono() when as many bytes as came so far were due at the latest, or 0: any time. */
static int64_t
due(const struct transaction *t)
{
	const struct conf *conf = role_conf();
	int64_t rate = conf->limits.data_rate;

	if (rate == 0 || t == NULL || t->due_from == 0)
		return 0;
	return t->due_from + conf->limits.data_timeout * 1000 +
	       (int64_t)t->raw / rate * CLOCK_SECOND;
}

int64_t
body_patience(const struct session *s)
{
	int64_t most = role_conf()->limits.data_timeout, until = due(s->tx), left;

	if (until == 0 || s->tx->stalled != 0)
		return most;
	left = (until - clock_mono()) / 1000;
	return left < most ? left : most;
}

bool
body_is_slow(const struct session *s)
{
	const struct transaction *t = s->tx;

	return due(t) != 0 && t->stalled == 0 && t->raw > 0 &&
	       clock_mono() >= due(t) - CLOCK_SECOND;
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

void
body_wait(struct transaction *t, bool between)
{
	mark_stall(t, between);
}

/* -- bytes */

/* The body outgrew memory: what is there goes to queue, and all that follows. */
static void
to_spool(struct session *s)
{
	struct transaction *t = s->tx;

	t->spool = spool_new(t->qid, on_spool, s);
	if (t->spool == NULL)
		t->failed = "Mail cannot be stored now; please try again later";
	else
		spool_write(t->spool, buf_all(&t->body));
	buf_free(&t->body);
}

/* Many clients send such bytes without a word about them (BODY=8BITMIME), and always did. */
static bool
is_8bit(struct slice s)
{
	uint64_t eight, any = 0;

	for (; s.len >= sizeof(eight); s = slice_skip(s, sizeof(eight))) {
		memcpy(&eight, s.at, sizeof(eight));
		any |= eight;
	}
	for (size_t i = 0; i < s.len; i++)
		any |= (unsigned char)s.at[i];
	return any & 0x8080808080808080;
}

static void
take(struct session *s, struct slice run)
{
	struct transaction *t = s->tx;

	t->size += run.len;
	if (t->size > (uint64_t)role_conf()->limits.message_size)
		t->too_big = true;
	if (body_is_bad(t))
		return;
	if (!(t->flags & ENVELOPE_8BIT) && is_8bit(run))
		t->flags |= ENVELOPE_8BIT;
	if (!t->head.complete)
		head_feed(&t->head, run);
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

/* Bytes that there is room for. */
static size_t
room(const struct transaction *t)
{
	size_t n = t->spool != NULL ? spool_room(t->spool) : SIZE_MAX;

	return t->dot.mode & DOT_NORMALISE ? n / 2 : n;
}

size_t
body_feed(struct session *s, uint64_t max)
{
	struct transaction *t = s->tx;
	struct slice in = channel_input(s->channel), piece = slice_first(in, room(t)), run;
	size_t n;

	mark_stall(t, in.len > 0 && piece.len == 0);
	if (piece.len > max)
		piece.len = (size_t)max;
	n = piece.len;
	while (dot_next(&t->dot, &piece, &run))
		take(s, run);
	n -= piece.len;
	t->raw += n;
	channel_consume(s->channel, n);
	if (t->raw - t->raw_mark >= PROGRESS) {
		t->raw_mark = t->raw;
		s->progress = true;
	}
	if (body_is_bad(t))
		drop(t);
	return n;
}

uint64_t
body_read_max(void)
{
	return 2 * (uint64_t)role_conf()->limits.message_size + SWALLOW_EXTRA;
}

/* -- its end */

struct refusal {
	int code;
	const char *enhanced;
	char text[300];
};

static bool say(struct refusal *r, int code, const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static bool
say(struct refusal *r, int code, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	r->code = code;
	r->enhanced = enhanced;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	return true;
}

/* An alias leads it away from here again, as it did before (queue_remote.c writes the field). In a mailbox of ours a circle ends. */
static bool
comes_round(const struct transaction *t, const struct rcpt *rcpt)
{
	return rcpt->kind == RCPT_REMOTE && t->head.n_delivered > 0 &&
	       strcasecmp(rcpt->original, rcpt->address) != 0 &&
	       head_delivered(&t->head, rcpt->original);
}

/* False: it is good so far. */
static bool
find_refusal(const struct transaction *t, struct refusal *r)
{
	const struct conf *conf = role_conf();

	if (t->dot.fault != DOT_FINE && (t->flags & ENVELOPE_BINARY))
		return say(r, 550, "5.6.1",
		    "A binary message with a NUL, a bare CR or a bare LF cannot be stored here; "
		    "please "
		    "send it encoded, in base64");
	if (t->dot.fault != DOT_FINE)
		return say(r, 550, "5.5.2", "%s", dot_why(&t->dot));
	if (t->too_big)
		return say(r, 552, "5.3.4",
		    "The message is too big; this server takes at most %lld bytes",
		    (long long)conf->limits.message_size);
	if (t->failed != NULL)
		return say(r, 451, "4.3.0", "%s", t->failed);
	if (t->head.folded_first)
		return say(r, 550, "5.6.0",
		    "The message begins with a blank; its first line must be a header field or empty");
	if (t->head.received > (uint64_t)conf->limits.hops)
		return say(r, 554, "5.4.6",
		    "The message has passed %u servers; it runs in a circle", t->head.received);
	for (size_t i = 0; i < t->n_rcpts; i++)
		if (comes_round(t, &t->rcpts[i]))
			return say(r, 554, "5.4.6",
			    "The message was sent on from %.200s before and has come back; it runs in a circle",
			    t->rcpts[i].original);
	return false;
}

void
body_refuse(struct session *s)
{
	struct refusal r;

	if (!find_refusal(s->tx, &r))
		return;
	drop(s->tx);
	s->tx->over = true;
	session_reply(s, r.code, r.enhanced, "%s", r.text);
	session_refused(s, s->tx->first, r.text);
}

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
accept_it(struct session *s)
{
	struct transaction *t = s->tx;

	if (t->head.tls_optional && !(t->flags & ENVELOPE_REQUIRETLS))
		t->flags |= ENVELOPE_TLS_OPTIONAL;
	if (t->spool == NULL) {
		submit_begin(s);
		return;
	}
	s->token = spool_end(t->spool, t->size, file_is, s);
	if (s->token == 0)
		deliver_refuse(
		    s, 451, "4.3.0", "Mail cannot be stored now; please try again later");
}

void
body_end(struct session *s)
{
	struct transaction *t = s->tx;
	bool smuggles = t->dot.false_end;
	struct refusal r;

	session_enter(s, SESSION_END);
	if (t->dot.mode & DOT_CHUNKS)
		take(s, dot_finish(&t->dot));
	if (!t->head.complete)
		head_end(&t->head);
	if (find_refusal(t, &r))
		deliver_refuse(s, r.code, r.enhanced, "%s", r.text);
	else
		accept_it(s);
	if (!smuggles)
		return;
	/* what comes now was meant to run as commands by whoever put the false end there */
	session_reply(s, 421, "4.7.0", "This connection cannot be trusted any more; goodbye");
	session_close(s);
}
