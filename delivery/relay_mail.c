/* relay_mail - one mail transaction over a session: MAIL, RCPT, DATA, the message, the final reply
 *
 * The commands of a transaction are numbered: (RSET,) MAIL, RCPT for each recipient, DATA. With
 * PIPELINING (RFC 2920) all leave in one write; without, each waits for the reply to the one
 * before. Replies are matched by number, so there is one path for both. Binary mail (RFC 3030), and mail
 * that ends within a line when the peer takes chunks, has no DATA: when all recipients are answered, the
 * message follows in one BDAT, to the byte.
 *
 * A recipient is decided exactly once. What the peer may have taken is only what was fully sent,
 * final dot included: until then any failure is "not taken"; after it, a missing reply is temporary
 * (the peer may get the mail again). The replies from the message on are relay_final.c's. */
#include "delivery/relay_final.h"

#include <stdio.h>
#include <string.h>

#include "base/refusal.h"
#include "delivery/relay_login.h"
#include "delivery/xtext.h"

#define COMMANDS_MAX (512 * 1024) /* a coded ORCPT is up to four times as long */
#define PENDING_MAX (64 * 1024)   /* bytes of the message that wait in the channel */
#define RCPT_EXTRA_MS 5000        /* a peer may think so long about each recipient */
#define SLOWEST 32768             /* bytes a second: slower peers are given up */

enum command { COMMAND_RSET, COMMAND_MAIL, COMMAND_RCPT, COMMAND_DATA };

/* -- commands */

static size_t
commands(const struct mail *m)
{
	return m->with_rset + 1 + m->n + !m->chunked;
}

/* What the command with this number is; *rcpt is which recipient's. */
static enum command
command_at(const struct mail *m, size_t number, size_t *rcpt)
{
	if (m->with_rset && number-- == 0)
		return COMMAND_RSET;
	if (number == 0)
		return COMMAND_MAIL;
	*rcpt = number - 1;
	return *rcpt < m->n ? COMMAND_RCPT : COMMAND_DATA;
}

static bool
is_seven(const struct mail *m)
{
	return m->seven != NULL && seven_target(m->seven) == SEVEN_FOR_7BIT;
}

static void
put_mail(struct session *s, struct buf *out)
{
	const struct mail *m = s->mail;

	buf_printf(out, "MAIL FROM:<%s>", m->from);
	if (s->caps.set & CAP_SIZE)
		buf_printf(out, " SIZE=%llu", (unsigned long long)relay_body_size(&m->body));
	if (m->binary)
		buf_text(out, " BODY=BINARYMIME");
	else if ((m->flags & (ENVELOPE_8BIT | ENVELOPE_UTF8) || m->utf8) &&
		 s->caps.set & CAP_8BITMIME && !is_seven(m))
		buf_text(out, " BODY=8BITMIME");
	if (m->utf8)
		buf_text(out, " SMTPUTF8");
	if (m->flags & ENVELOPE_REQUIRETLS)
		buf_text(out, " REQUIRETLS");
	if (m->dsn && m->flags & (ENVELOPE_RET_FULL | ENVELOPE_RET_HDRS))
		buf_text(out, m->flags & ENVELOPE_RET_FULL ? " RET=FULL" : " RET=HDRS");
	if (m->dsn && m->envid[0] != '\0')
		buf_printf(out, " ENVID=%s", m->envid);
	buf_text(out, "\r\n");
}

/* " NOTIFY=SUCCESS,DELAY" */
static void
put_notify(struct buf *out, unsigned notify)
{
	static const struct {
		enum notify bit;
		const char *word;
	} words[] = { { NOTIFY_NEVER, "NEVER" }, { NOTIFY_SUCCESS, "SUCCESS" },
		{ NOTIFY_FAILURE, "FAILURE" }, { NOTIFY_DELAY, "DELAY" } };
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < COUNT(words); i++) {
		if ((notify & words[i].bit) == 0)
			continue;
		buf_text(out, before);
		buf_text(out, words[i].word);
		before = ",";
	}
}

static void
put_rcpt(const struct mail *m, size_t i, struct buf *out)
{
	buf_printf(out, "RCPT TO:<%s>", m->to[i]);
	if (m->dsn)
		put_notify(out, m->notify[i]);
	if (m->dsn && m->orcpt[i][0] != '\0') {
		buf_text(out, " ORCPT=");
		if (m->utf8)
			buf_text(out, m->orcpt[i]);
		else
			orcpt_ascii(out, m->orcpt[i]);
	}
	buf_text(out, "\r\n");
}

static void
put_command(struct session *s, size_t number, struct buf *out)
{
	size_t rcpt;

	switch (command_at(s->mail, number, &rcpt)) {
	case COMMAND_RSET:
		buf_text(out, "RSET\r\n");
		break;
	case COMMAND_MAIL:
		put_mail(s, out);
		break;
	case COMMAND_RCPT:
		put_rcpt(s->mail, rcpt, out);
		break;
	case COMMAND_DATA:
		buf_text(out, "DATA\r\n");
		break;
	}
}

/* Send the next command, or with PIPELINING all of them. */
static void
send_commands(struct session *s)
{
	struct mail *m = s->mail;
	struct buf out;

	buf_init(&out, COMMANDS_MAX);
	do
		put_command(s, m->told++, &out);
	while (s->caps.set & CAP_PIPELINING && m->told < commands(m));
	channel_write(s->channel, buf_all(&out));
	buf_free(&out);
}

/* -- decisions */

void
mail_decide(struct mail *m, size_t i, const struct result *r)
{
	/* 452 (and, as old servers say it, 552) to RCPT: too many recipients (RFC 5321 4.5.3.1.10)
	 */
	bool again = m->state[i] == RCPT_WAITING && (r->code == 452 || r->code == 552) &&
		     m->accepted > 0 && !m->refused;

	m->state[i] = RCPT_DECIDED;
	m->decide(m, i, r, again);
}

/* All in `state` get the same result. */
void
mail_decide_all(struct mail *m, enum rcpt_state state, const struct result *r)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->state[i] == state)
			mail_decide(m, i, r);
}

/* The transaction is over. */
void
mail_over(struct session *s, bool clean)
{
	const struct session_user *user = s->user;
	struct mail *m = s->mail;
	void *arg = s->arg;
	bool usable = m->last_code != 421;

	s->mail = NULL;
	s->dirty = !clean;
	s->reused = true;
	s->mails++;
	session_enter(s, SESSION_READY, 0);
	if (!usable)
		session_close(s);
	user->sent(arg, usable);
}

/* Over, and the peer is out of step: it must not get another byte. */
void
mail_over_closed(struct session *s)
{
	const struct session_user *user = s->user;
	void *arg = s->arg;

	session_close(s);
	user->sent(arg, false);
}

/* -- the message */

static void
body_done(struct session *s)
{
	session_enter(s, SESSION_FINAL, session_settings.data_timeout);
}

void
mail_go_on(struct session *s)
{
	struct relay_body *b = &s->mail->body;

	do {
		bool ended = false;

		channel_cork(s->channel);
		while (!ended && channel_pending(s->channel) < PENDING_MAX) {
			struct slice piece = relay_body_next(b);

			ended = piece.len == 0;
			if (!ended)
				channel_write(s->channel, piece);
		}
		channel_uncork(s->channel);
		if (ended) {
			body_done(s);
			return;
		}
	} while (channel_pending(s->channel) == 0);
}

static void
body_begin(struct session *s)
{
	session_enter(s, SESSION_BODY,
	    session_settings.data_timeout +
		(int64_t)(relay_body_size(&s->mail->body) * 1000 / SLOWEST));
	mail_go_on(s);
}

/* All of it in one chunk (RFC 3030 2). */
static void
bdat_begin(struct session *s)
{
	char command[40];

	snprintf(command, sizeof(command), "BDAT %llu LAST\r\n",
	    (unsigned long long)relay_body_size(&s->mail->body));
	channel_text(s->channel, command);
	body_begin(s);
}

static void
data_ready(struct session *s)
{
	struct mail *m = s->mail;

	if (m->refused) { /* after refusing MAIL it may have taken recipients: a dot would send them
			     an empty mail */
		mail_over_closed(s);
		return;
	}
	if (m->accepted == 0 && s->lmtp) { /* it must not (RFC 2033 4.2), and how it goes on nobody says */
		mail_over_closed(s);
		return;
	}
	if (m->accepted == 0) { /* pipelined DATA was taken all the same: an empty message ends it
				   (RFC 2920 3.1) */
		channel_text(s->channel, ".\r\n");
		body_done(s);
		return;
	}
	body_begin(s);
}

/* -- replies */

static void
rset_reply(struct session *s)
{
	if (s->reply.code / 100 != 2)
		session_fail_reply(s, "RSET");
	else
		s->dirty = false;
}

/* A host that the configuration names and that wants a login, or TLS first, is not the sender's fault: mail waits until the login is there. From an MX host
 * it is as final as any no. */
static void
wants_login(const struct session *s, struct result *r)
{
	enum refusal kind = refusal_of(r->code, r->enhanced, r->text);
	char said[200], options[300];

	if (s->named[0] == '\0' || r->status != STEP_PERMANENT || (kind != REFUSAL_LOGIN && r->code != 530))
		return;
	reply_sentence(&s->reply, said, sizeof(said));
	if (kind == REFUSAL_TLS) {
		result_set(r, STEP_TEMPORARY, "4.7.4", "it wants TLS (%.150s); set %s to required, then `tegami reload`",
		    said, strcmp(s->named, LOGIN_SMARTHOST) == 0 ? "relay.tls" : "tls of the route");
		return;
	}
	login_options(s->named, options, sizeof(options));
	result_set(r, STEP_TEMPORARY, "4.7.8", "it wants a login (%.150s); %s %s, then `tegami reload`", said,
	    s->logged_in ? "correct" : "set", options);
}

static void
from_verdict(struct session *s)
{
	struct result r;

	if (s->reply.code / 100 == 2)
		return;
	result_from_reply(&r, &s->reply);
	if (r.status == STEP_OK)
		r.status = STEP_TEMPORARY;
	wants_login(s, &r);
	s->mail->refused = true;
	mail_decide_all(s->mail, RCPT_WAITING, &r);
}

static void
rcpt_verdict(struct session *s, size_t i)
{
	struct mail *m = s->mail;
	struct result r;

	if (m->state[i] == RCPT_DECIDED)
		return;
	if (s->reply.code / 100 == 2) {
		m->state[i] = RCPT_ACCEPTED;
		m->accepted++;
		return;
	}
	result_from_reply(&r, &s->reply);
	wants_login(s, &r);
	mail_decide(m, i, &r);
}

static void
data_verdict(struct session *s)
{
	struct result r;

	if (s->reply.code == 354) {
		data_ready(s);
		return;
	}
	if (s->reply.code / 100 == 2) {
		session_fail_reply(s, "DATA");
		return;
	}
	result_from_reply(&r, &s->reply);
	mail_decide_all(s->mail, RCPT_ACCEPTED, &r);
	mail_over(s, false);
}

/* Without PIPELINING, or before BDAT: what next? */
static void
next_command(struct session *s)
{
	struct mail *m = s->mail;
	size_t rcpt;

	if (m->refused || m->last_code == 421 ||
	    (command_at(m, m->told, &rcpt) == COMMAND_DATA && m->accepted == 0)) {
		struct result r;

		result_from_reply(&r, &s->reply);
		mail_decide_all(m, RCPT_WAITING, &r);
		mail_decide_all(m, RCPT_ACCEPTED, &r);
		mail_over(s, false);
		return;
	}
	if (m->told < commands(m))
		send_commands(s);
	else
		bdat_begin(s);
}

static void
envelope_reply(struct session *s)
{
	struct mail *m = s->mail;
	size_t number = m->answered, rcpt;
	enum command command = command_at(m, number, &rcpt);

	m->answered++;
	switch (command) {
	case COMMAND_RSET:
		rset_reply(s);
		break;
	case COMMAND_MAIL:
		from_verdict(s);
		break;
	case COMMAND_RCPT:
		rcpt_verdict(s, rcpt);
		break;
	case COMMAND_DATA:
		data_verdict(s);
		return;
	}
	if (!s->dead && m->answered == m->told)
		next_command(s);
}

void
mail_reply(struct session *s)
{
	s->mail->last_code = (unsigned)s->reply.code;
	/* a used session's first reply is "good-bye": as good as closed before we began */
	if (s->reply.code == 421 && s->state == SESSION_ENVELOPE && s->mail->answered == 0 &&
	    s->reused) {
		struct result r;

		result_from_reply(&r, &s->reply);
		session_fail(s, PROGRESS_NONE, &r);
		return;
	}
	switch (s->state) {
	case SESSION_ENVELOPE:
		envelope_reply(s);
		break;
	case SESSION_BODY:
		mail_early_reply(s);
		break;
	default:
		mail_final_reply(s);
	}
}

enum session_progress
mail_progress(const struct session *s)
{
	if (s->state == SESSION_FINAL && s->mail->accepted > 0)
		return PROGRESS_SENT;
	return s->mail->answered == 0 ? PROGRESS_NONE : PROGRESS_SOME;
}

/* -- start */

static bool
has_utf8_address(const struct mail *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (!slice_is_ascii(slice_of(m->to[i])))
			return true;
	return !slice_is_ascii(slice_of(m->from));
}

/* Things that this peer cannot take, known before a word is said. */
static bool
peer_cannot(struct session *s, struct mail *m)
{
	const unsigned binary = CAP_CHUNKING | CAP_BINARYMIME;
	uint64_t size = relay_body_size(&m->body);
	struct result r;

	if (s->caps.set & CAP_SIZE && s->caps.size > 0 && size > s->caps.size)
		result_set(&r, STEP_PERMANENT, "5.3.4",
		    "it takes messages of at most %llu bytes; this one has %llu",
		    (unsigned long long)s->caps.size, (unsigned long long)size);
	else if (m->utf8 && !(s->caps.set & CAP_SMTPUTF8))
		result_set(&r, STEP_PERMANENT, "5.6.7", "%s",
		    has_utf8_address(m)
			? "it takes only ASCII in addresses (no SMTPUTF8); write from, and to, an "
			  "address in ASCII"
			: "it takes only ASCII in headers (no SMTPUTF8), and this mail has other "
			  "characters there; send it again with names and subject in ASCII or in "
			  "encoded words, as a mail program writes them when it is not told to "
			  "use SMTPUTF8");
	else if (m->binary && (s->caps.set & binary) != binary)
		result_set(&r, STEP_PERMANENT, "5.6.1", "%s",
		    "it does not take binary mail (BINARYMIME); send it in base64");
	else
		return false;
	mail_decide_all(m, RCPT_WAITING, &r);
	return true;
}

void
session_send(struct session *s, struct mail *m)
{
	const struct relay_body b = m->body;

	relay_body_start(&m->body, b.prefix, b.body, b.cuts, b.n_cuts);
	m->body.seven = m->seven;
	if (m->seven != NULL)
		seven_rewind(m->seven, b.cuts, b.n_cuts);
	m->binary = (m->flags & ENVELOPE_BINARY) != 0;
	m->chunked = m->body.raw = m->binary || (s->caps.set & CAP_CHUNKING &&
						    relay_body_ends_midline(&m->body));
	m->dsn = (s->caps.set & CAP_DSN) != 0;
	m->told = m->answered = m->accepted = m->fates = 0;
	m->refused = false;
	m->last_code = 0;
	m->with_rset = s->dirty;
	if (peer_cannot(s, m)) {
		s->user->sent(s->arg, true);
		return;
	}
	s->mail = m;
	session_enter(
	    s, SESSION_ENVELOPE, session_settings.command_timeout + (int64_t)m->n * RCPT_EXTRA_MS);
	send_commands(s);
}
