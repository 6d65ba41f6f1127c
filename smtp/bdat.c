/* bdat - BDAT: the body comes in chunks of known length (RFC 3030)
 *
 * Whatever is said to a chunk, it is read to its end first, so that the next command is looked for
 * where it is: a chunk that is refused is swallowed. When its length cannot be read, or it is longer
 * than we would ever swallow, nobody knows where the next command stands, and the connection ends.
 *
 * One refused chunk spoils the message: further ones are answered 503 until RSET or EHLO, as are DATA,
 * MAIL and RCPT between chunks. The octets are the message as they are: dots mean nothing, and no line
 * end is added to a last line that has none.
 *
 * In LMTP the last chunk has a reply for each accepted recipient, whatever became of it, and so none
 * when there is nobody (RFC 2033 4.3): a client that pipelines counts on that. */
#include "smtp/proto/bdat.h"

#include "base/role.h"
#include "conf/conf.h"
#include "smtp/body.h"
#include "smtp/command.h"

#define PROGRESS 1024 /* as in body.c */

/* Why this chunk comes at the wrong time; NULL: it does not. */
static const char *
out_of_order(const struct session *s)
{
	switch (s->state) {
	case SESSION_GREETED:
		return s->kind == LISTEN_LMTP ? "say LHLO first" : "say EHLO first";
	case SESSION_IDLE:
		return "say MAIL FROM and RCPT TO first";
	case SESSION_MAIL:
		return "no recipient was accepted";
	case SESSION_BDAT:
		return s->tx->over ? "an earlier chunk was refused; RSET begins anew" : NULL;
	default:
		return NULL;
	}
}

/* The next command cannot be found any more. */
static void
lost(struct session *s, int code, const char *enhanced, const char *why)
{
	session_bad(s, code, enhanced, "%s", why);
	session_refused(s, NULL, why);
	session_close(s);
}

void
cmd_bdat(struct session *s, struct slice args)
{
	struct transaction *t = s->tx;
	struct bdat b;

	if (!bdat_read(args, &b)) {
		lost(s, 501, "5.5.4",
		    "Say BDAT, the number of bytes that follow, and LAST when they are the last; "
		    "goodbye");
		return;
	}
	if (b.size > body_read_max() || (t != NULL && b.size > body_read_max() - t->raw)) {
		lost(s, 552, "5.3.4",
		    "The chunk is far bigger than any message taken here; goodbye");
		return;
	}
	s->chunk.left = s->chunk.size = b.size;
	s->chunk.last = b.last;
	s->chunk.back = s->state;
	s->chunk.refused = out_of_order(s);
	if (s->state == SESSION_RCPT)
		body_begin(s, DOT_CHUNKS);
	else if (s->state == SESSION_BDAT)
		body_wait(t, false);
	/* known now, so nothing of it need be kept */
	if (s->chunk.refused == NULL &&
	    t->size + b.size > (uint64_t)role_conf()->limits.message_size)
		t->too_big = true;
	session_enter(s, SESSION_CHUNK);
}

/* The chunk was for nothing. */
static size_t
swallow(struct session *s)
{
	struct slice in = channel_input(s->channel);
	size_t n = in.len < s->chunk.left ? in.len : (size_t)s->chunk.left;

	channel_consume(s->channel, n);
	if ((s->chunk.size - s->chunk.left) / PROGRESS !=
	    (s->chunk.size - s->chunk.left + n) / PROGRESS)
		s->progress = true;
	return n;
}

/* How many replies this chunk has when it is refused. */
static size_t
replies(const struct session *s)
{
	if (s->kind != LISTEN_LMTP || !s->chunk.last || s->state == SESSION_GREETED)
		return 1;
	return s->tx != NULL ? s->tx->accepted : 0;
}

static void
refuse_chunk(struct session *s)
{
	size_t n;

	session_enter(s, s->chunk.back);
	n = replies(s);
	if (n == 0)
		session_mistake(s);
	else
		session_bad(s, 503, "5.5.1", "BDAT: %s", s->chunk.refused);
	while (n-- > 1 && s->state != SESSION_CLOSING)
		session_reply(s, 503, "5.5.1", "BDAT: %s", s->chunk.refused);
}

static void
chunk_end(struct session *s)
{
	struct transaction *t = s->tx;

	if (s->chunk.refused != NULL) {
		refuse_chunk(s);
	} else if (s->chunk.last) {
		body_end(s);
	} else {
		session_enter(s, SESSION_BDAT);
		body_wait(t, true);
		if (s->chunk.size > 0)
			s->idle--;
		if (body_is_bad(t))
			body_refuse(s);
		else
			session_reply(
			    s, 250, "2.0.0", "%llu bytes taken", (unsigned long long)s->chunk.size);
	}
}

bool
bdat_input(struct session *s)
{
	size_t n;

	if (s->chunk.left > 0) {
		n = s->chunk.refused != NULL ? swallow(s) : body_feed(s, s->chunk.left);
		s->chunk.left -= n;
		if (n == 0)
			return false;
	}
	if (s->chunk.left == 0)
		chunk_end(s);
	return true;
}
