/* seal - an ARC set for a stranger's mail that an alias of ours sends on
 *
 * The set stands only in front of what goes to other servers; mailboxes here need none. It is a help to those servers, and
 * the message is whole without it: when the signer is away, slow or has no key, the message goes on unsealed rather than
 * later (that would hold up its local recipients, too), and the trace says why. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/session.h"

#define NAMED_MAX 5 /* recipients that the trace names */

static bool
goes_on(const struct rcpt *r)
{
	return r->kind == RCPT_REMOTE && strcasecmp(r->original, r->address) != 0;
}

static const struct rcpt *
first_of(const struct transaction *t)
{
	for (size_t i = 0; i < t->n_rcpts; i++)
		if (goes_on(&t->rcpts[i]))
			return &t->rcpts[i];
	return NULL;
}

bool
seal_wanted(const struct session *s)
{
	const struct conf *conf = role_conf();
	const struct transaction *t = s->tx;

	/* what looks like spam is not sent on */
	return conf->arc.seal && conf->arc.enabled && t->judged.len > 0 && !session_may_relay(s) &&
	       (t->flags & ENVELOPE_JUNK) == 0 && first_of(t) != NULL;
}

static void
tell(const struct session *s, bool sealed, const char *why)
{
	const struct transaction *t = s->tx;
	struct event_note note = { .qid = t->qid,
		.event = EVENT_SEALED,
		.from = t->from,
		.ip = s->ip,
		.msgid = t->head.msgid };
	char text[1000];
	size_t named = 0, n = 0;

	n += (size_t)snprintf(text, sizeof(text), "%ssealed for ", sealed ? "" : "not ");
	for (size_t i = 0; i < t->n_rcpts && n < sizeof(text) / 2; i++) {
		if (!goes_on(&t->rcpts[i]) || named == NAMED_MAX)
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.80s", named > 0 ? ", " : "",
		    t->rcpts[i].address);
		named++;
	}
	snprintf(text + n, sizeof(text) - n, ": %s", why);
	note.text = text;
	role_event(&note);
}

static void
go_on(struct session *s, bool sealed, const char *why)
{
	s->tx->sealing = false;
	tell(s, sealed, why);
	deliver_store(s);
}

/* Beside what else stands in front of the message, that for seven bits not counted: it may be left out. */
static bool
fits(const struct transaction *t)
{
	return t->set.len > 0 &&
	       t->judged.len + t->trace.len + 2 + t->set.len <= ENVELOPE_PREFIX_MAX;
}

static void
seal_is(void *arg, struct frame *answer)
{
	struct session *s = arg;
	struct transaction *t = s->tx;
	char why[400] = "the signer is not there";
	bool sealed = false;

	session_answered(s);
	if (answer != NULL) {
		sealed = wire_u64(&answer->in) == SIGN_DONE;
		t->set = pool_slice(t->pool, wire_bytes(&answer->in));
		t->set_seven = pool_slice(t->pool, wire_bytes(&answer->in));
		wire_text_to(&answer->in, why, sizeof(why));
	}
	if (sealed && !fits(t)) {
		t->set.len = t->set_seven.len = 0;
		sealed = false;
		snprintf(
		    why, sizeof(why), "it does not fit beside the other fields that are added");
	}
	go_on(s, sealed, why);
	session_run(s);
}

/* The domain of the alias that sends it on, in lower case. */
static void
put_domain(struct buf *b, const struct transaction *t)
{
	const char *at = strrchr(first_of(t)->original, '@');
	char domain[256];
	size_t n = 0;

	for (at = at != NULL ? at + 1 : ""; *at != '\0' && n + 1 < sizeof(domain); at++)
		domain[n++] = (char)tolower((unsigned char)*at);
	domain[n] = '\0';
	wire_put_text(b, domain);
}

static void
put_cuts(struct buf *b, const struct transaction *t)
{
	struct buf cuts;

	buf_init(&cuts, 16 * ENVELOPE_CUTS_MAX);
	cuts_put(&cuts, t->cuts, t->n_cuts);
	wire_put_bytes(b, buf_all(&cuts));
	buf_free(&cuts);
}

void
seal_begin(struct session *s)
{
	struct transaction *t = s->tx;
	struct buf *b = request_begin(MSG_SEAL);

	wire_put_u64(b, t->qid);
	wire_put_bytes(b, t->judged);
	wire_put_bytes(b, buf_all(&t->body));
	put_cuts(b, t);
	wire_put_u64(b, t->chain);
	put_domain(b, t);
	wire_put_u64(b, deliver_may_convert(t));
	s->token = link_request(role_link(ROLE_SIGNER), deliver_body_fd(t), seal_is, s);
	s->progress = t->sealing = s->token != 0;
	if (!t->sealing)
		go_on(s, false, "the signer is not there");
}

void
seal_give_up(struct session *s)
{
	link_forget(s->token);
	session_answered(s);
	go_on(s, false, "the signer did not answer in time");
	session_run(s);
}
