/* deliver - from the end of data to its reply: judge, sign or seal, store
 *
 * filter judges it (unless all filters are off), signer signs it when its sender logged in and seals it when an
 * alias sends a stranger's on (seal.c), queue
 * stores it; each is one question and one answer, and only queue's yes becomes 250. Whoever is away
 * or fails costs the client a 4xx, never a guess. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/qid.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/session.h"
#include "smtp/spool.h"
#include "smtp/submit_head.h"

#define LMTP_REPLIES_SIZE (100 * LMTP_RCPTS_MAX)
#define RCPTS_IN_PUT (12 * 1024)   /* bytes of recipients in QUEUE_PUT itself */
#define RCPTS_IN_FRAME (48 * 1024) /* in each QUEUE_RCPTS before it */

static void sign(struct session *s);

/* -- replies */

/* LMTP wants one for each recipient that was accepted, in their order (RFC 2033 4.2). All share one
 * fate here: the message is stored for all of them or for none. */
static void
deliver_reply(struct session *s, int code, const char *enhanced, const char *text)
{
	size_t n = s->kind == LISTEN_LMTP ? s->tx->accepted : 1;
	int most = (int)(LMTP_REPLIES_SIZE / n) - 16; /* so that all of them can wait to be read */

	while (n-- > 0 && s->state != SESSION_CLOSING)
		session_reply(s, code, enhanced, "%.*s", most, text);
}

void
deliver_refuse(struct session *s, int code, const char *enhanced, const char *fmt, ...)
{
	char text[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	deliver_reply(s, code, enhanced, text);
	session_refused(s, s->tx->first, text);
	if (s->state != SESSION_CLOSING)
		session_enter(s, SESSION_IDLE);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The filter's own words, "550 5.7.1 why"; or only why, which gets our codes. */
static void
refuse_as(struct session *s, int code, const char *enhanced, const char *reply)
{
	int own = 0;
	char status[12], text[480];

	if (is_digit(reply[0]) &&
	    sscanf(reply, "%3d %11[0-9.] %479[^\n]", &own, status, text) == 3 &&
	    own / 100 == code / 100 && status[0] == (char)('0' + code / 100))
		deliver_refuse(s, own, status, "%s", text);
	else if (is_digit(reply[0]) && sscanf(reply, "%3d %479[^\n]", &own, text) == 2 &&
		 own / 100 == code / 100)
		deliver_refuse(s, own, enhanced, "%s", text);
	else
		deliver_refuse(s, code, enhanced, "%s", reply);
}

int
deliver_body_fd(const struct transaction *t)
{
	return t->spool != NULL ? spool_fd(t->spool) : -1;
}

/* -- filter */

/* What the filter adds and cuts, beside what is cut already; -1: memory is gone, or it does not add
 * up. */
static int
keep_judgement(struct transaction *t, struct slice prefix, struct slice cuts)
{
	struct cut its[ENVELOPE_CUTS_MAX], all[ENVELOPE_CUTS_MAX];
	size_t n = 0;

	t->judged = pool_slice(t->pool, prefix);
	if (t->judged.at == NULL || cuts_get(cuts, its, &n) == -1 ||
	    cuts_merge(t->cuts, t->n_cuts, its, n, all, &t->n_cuts) == -1)
		return -1;
	if (t->n_cuts == 0)
		return 0;
	t->cuts = pool_alloc(t->pool, t->n_cuts * sizeof(*t->cuts));
	if (t->cuts == NULL)
		return -1;
	memcpy(t->cuts, all, t->n_cuts * sizeof(*t->cuts));
	return 0;
}

/* Is all of a stranger's mail sent on by aliases? Then there is no Junk folder that it could go to. */
static bool
goes_elsewhere(const struct session *s)
{
	const struct transaction *t = s->tx;

	if (s->kind != LISTEN_MX || session_may_relay(s))
		return false;
	for (size_t i = 0; i < t->n_rcpts; i++)
		if (t->rcpts[i].kind == RCPT_LOCAL)
			return false;
	return true;
}

static void
judged(struct session *s, struct wire *in)
{
	struct transaction *t = s->tx;
	enum verdict verdict = (enum verdict)wire_u64(in);
	const char *reply = wire_text(in, t->pool), *why = wire_text(in, t->pool);
	struct slice prefix = wire_bytes(in), cuts = wire_bytes(in);
	uint64_t chain;

	wire_i64(in); /* score */
	wire_i64(in);
	wire_bytes(in); /* the results on one line */
	chain = wire_u64(in);
	t->chain = chain <= CHAIN_ENDED ? (enum chain_state)chain : CHAIN_UNKNOWN;
	if (reply[0] == '\0')
		reply = why;
	switch (verdict) {
	case VERDICT_JUNK:
		if (goes_elsewhere(s)) {
			deliver_refuse(s, 550, "5.7.1",
			    "The message looks like spam, and mail for this address goes on to another server, "
			    "where spam is not sent");
			return;
		}
		t->flags |= ENVELOPE_JUNK;
		/* fall through */
	case VERDICT_ACCEPT:
		if (keep_judgement(t, prefix, cuts) == -1)
			deliver_refuse(s, 451, "4.7.1",
			    "The filter's answer cannot be used; please try again later");
		else
			sign(s);
		break;
	case VERDICT_REFUSE:
		refuse_as(s, 550, "5.7.1",
		    reply[0] != '\0' ? reply : "The message was refused by policy");
		break;
	default:
		refuse_as(
		    s, 451, "4.7.1", reply[0] != '\0' ? reply : "The message cannot be judged now");
		break;
	}
}

static void
filter_is(void *arg, struct frame *answer)
{
	struct session *s = arg;

	session_answered(s);
	if (answer == NULL)
		deliver_refuse(
		    s, 451, "4.7.1", "The filter did not answer; please try again later");
	else
		judged(s, &answer->in);
	session_run(s);
}

static void
filter(struct session *s)
{
	struct transaction *t = s->tx;
	struct buf *b = request_begin(MSG_FILTER_CHECK);

	wire_put_u64(b, t->qid);
	wire_put_u64(b, s->kind);
	/* of mail that another server took in, the client is not the sender's */
	wire_put_text(b, s->kind == LISTEN_LMTP ? "" : s->ip);
	wire_put_text(b, s->helo);
	wire_put_text(b, t->from);
	wire_put_text(b, s->user);
	wire_put_u64(b, s->tls);
	wire_put_text(b, t->first);
	wire_put_u64(b, 0); /* the clock */
	wire_put_bytes(b, buf_all(&t->body));
	wire_put_text(b, s->name);
	s->token = link_request(role_link(ROLE_FILTER), deliver_body_fd(t), filter_is, s);
	if (s->token == 0)
		deliver_refuse(s, 451, "4.7.1", "The filter is not there; please try again later");
}

void
deliver_judge(struct session *s)
{
	if (received_write(&s->tx->trace, s, clock_now()) == -1)
		deliver_refuse(
		    s, 451, "4.3.0", "The trace fields do not fit; please try again later");
	else if (conf_filters_on(role_conf()))
		filter(s);
	else
		sign(s);
}

/* -- signer */

static void
sign_is(void *arg, struct frame *answer)
{
	struct session *s = arg;
	struct transaction *t = s->tx;
	uint64_t status = SIGN_LATER;
	struct slice fields = { NULL, 0 };
	char why[400] = "";

	session_answered(s);
	if (answer != NULL) {
		status = wire_u64(&answer->in);
		fields = wire_bytes(&answer->in);
		wire_text_to(&answer->in, why, sizeof(why));
	}
	if (status == SIGN_DONE)
		t->signature = pool_slice(t->pool, fields);
	if (status == SIGN_REFUSED)
		deliver_refuse(s, 550, "5.7.1", "The header's From: %s",
		    why[0] != '\0' ? why : "you may not write as this address");
	else if (status >= SIGN_LATER || (status == SIGN_DONE && t->signature.at == NULL))
		deliver_refuse(s, 451, "4.3.0",
		    "The message cannot be signed now; please try again later%s%s",
		    why[0] != '\0' ? ": " : "", why);
	else
		deliver_store(s);
	session_run(s);
}

/* It may meet a host that takes only seven bits. */
bool
deliver_may_convert(const struct transaction *t)
{
	if ((t->flags & (ENVELOPE_8BIT | ENVELOPE_BINARY)) == 0)
		return false;
	for (size_t i = 0; i < t->n_rcpts; i++)
		if (t->rcpts[i].kind == RCPT_REMOTE)
			return true;
	return false;
}

static void
sign(struct session *s)
{
	struct transaction *t = s->tx;
	struct buf *b;

	if (s->user == NULL) {
		if (seal_wanted(s))
			seal_begin(s);
		else
			deliver_store(s);
		return;
	}
	b = request_begin(MSG_SIGN);
	wire_put_u64(b, t->qid);
	wire_put_bytes(b, (struct slice){ s->ticket, TICKET_LEN });
	wire_put_bytes(b, buf_all(&t->trace));
	wire_put_bytes(b, buf_all(&t->body));
	wire_put_u64(b, deliver_may_convert(t));
	s->token = link_request(role_link(ROLE_SIGNER), deliver_body_fd(t), sign_is, s);
	if (s->token == 0)
		deliver_refuse(
		    s, 451, "4.3.0", "The message cannot be signed now; please try again later");
}

/* -- queue */

static void
put_is(void *arg, struct frame *answer)
{
	struct session *s = arg;
	struct transaction *t = s->tx;
	enum put_status status = PUT_TEMPORARY;
	char why[200] = "", id[QID_TEXT];

	session_answered(s);
	/* queue died: it may have stored the message, and deliver it when it is back. Any reply
	 * could be a lie, so the client gets none. */
	if (answer == NULL) {
		session_refused(s, t->first,
		    "the queue went away before it answered, so the client got no reply");
		session_close(s);
		session_run(s);
		return;
	}
	status = (enum put_status)wire_u64(&answer->in);
	wire_text_to(&answer->in, why, sizeof(why));
	t->put = false;
	switch (status) {
	case PUT_OK:
		if (t->spool != NULL)
			spool_stored(t->spool);
		qid_text(t->qid, id);
		snprintf(why, sizeof(why), "Queued as %s", id);
		deliver_reply(s, 250, "2.0.0", why);
		session_enter(s, SESSION_IDLE);
		s->errors = s->idle = 0;
		break;
	case PUT_FULL:
		deliver_refuse(s, 452, "4.3.1", "%s",
		    why[0] != '\0' ? why : "The disk is full; please try again later");
		break;
	case PUT_REFUSED:
		deliver_refuse(
		    s, 550, "5.7.1", "%s", why[0] != '\0' ? why : "The message was refused");
		break;
	default:
		deliver_refuse(s, 451, "4.3.0", "%s",
		    why[0] != '\0' ? why
				   : "The message cannot be stored now; please try again later");
		break;
	}
	session_run(s);
}

/* Recipients i.. that fit into `room` go into `out`; the first that is left. */
static size_t
put_rcpts(struct buf *out, const struct transaction *t, size_t i, size_t room)
{
	for (size_t cost; i < t->n_rcpts; i++, room -= cost) {
		cost = rcpt_cost(&t->rcpts[i]);
		if (cost > room)
			break;
		rcpt_put(out, &t->rcpts[i]);
	}
	return i;
}

/* Recipients for which QUEUE_PUT has no room go ahead of it; the first that is left, SIZE_MAX when
 * a frame was not taken. */
static size_t
put_ahead(struct link *queue, const struct transaction *t)
{
	size_t all = 0, i = 0;

	for (size_t k = 0; k < t->n_rcpts; k++)
		all += rcpt_cost(&t->rcpts[k]);
	while (all > RCPTS_IN_PUT) {
		struct buf *b = frame_begin(MSG_QUEUE_RCPTS, 0);
		size_t next;

		wire_put_u64(b, t->qid);
		next = put_rcpts(b, t, i, RCPTS_IN_FRAME);
		if (link_send(queue, -1) == -1)
			return SIZE_MAX;
		for (; i < next; i++)
			all -= rcpt_cost(&t->rcpts[i]);
	}
	return i;
}

static int
put_envelope(struct buf *out, const struct session *s, const struct buf *prefix, size_t first)
{
	const struct transaction *t = s->tx;
	struct envelope e = { .qid = t->qid,
		.flags = t->flags | (t->spool != NULL ? ENVELOPE_SPOOLED : 0),
		.from = t->from,
		.msgid = t->head.msgid,
		.ip = s->ip,
		.envid = t->envid != NULL ? t->envid : "",
		.prefix = buf_all(prefix),
		.size = t->size,
		.body = buf_all(&t->body),
		.n_cuts = t->n_cuts };

	if (s->user != NULL)
		e.ticket = (struct slice){ s->ticket, TICKET_LEN };
	if (t->n_cuts > 0)
		memcpy(e.cuts, t->cuts, t->n_cuts * sizeof(*t->cuts));
	envelope_put(out, &e);
	return put_rcpts(out, t, first, RCPTS_IN_PUT) == t->n_rcpts ? 0 : -1;
}

/* From the top: the signature, what the filter wrote, how it came here. */
static int
put_prefix(struct buf *out, const struct transaction *t)
{
	const struct slice more[] = { prefix_seven(t->signature), t->set, t->set_seven };
	size_t n = COUNT(more), len;

	buf_slice(out, prefix_shown(t->signature));
	buf_slice(out, t->judged);
	buf_slice(out, buf_all(&t->trace));
	if (out->failed)
		return -1;
	while (n > 0 && more[n - 1].len == 0)
		n--;
	/* what does not fit is left out, from the last on */
	for (len = out->len; n > 0; n--) {
		for (size_t i = 0; i < n; i++) {
			buf_char(out, '\0');
			buf_slice(out, more[i]);
		}
		if (!out->failed)
			break;
		out->failed = false;
		out->len = len;
	}
	return 0;
}

void
deliver_store(struct session *s)
{
	struct transaction *t = s->tx;
	struct link *queue = role_link(ROLE_QUEUE);
	size_t first = queue != NULL ? put_ahead(queue, t) : SIZE_MAX;
	struct buf prefix;

	buf_init(&prefix, ENVELOPE_PREFIX_MAX);
	if (put_prefix(&prefix, t) == -1)
		deliver_refuse(
		    s, 451, "4.3.0", "The fields to be added do not fit; please try again later");
	else if (first != SIZE_MAX &&
		 put_envelope(request_begin(MSG_QUEUE_PUT), s, &prefix, first) == 0 &&
		 (s->token = link_request(queue, -1, put_is, s)) != 0)
		s->progress = t->put = true;
	else
		deliver_refuse(
		    s, 451, "4.3.0", "Mail cannot be stored now; please try again later");
	buf_free(&prefix);
}
