/* cmd_mail - MAIL: a message begins (RFC 5321 4.1.1.2)
 *
 * On the submission listeners its sender must have logged in (or be on a trusted network) and may
 * only use addresses that the directory says are the user's. */
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/command.h"
#include "smtp/pressure.h"
#include "smtp/proto/line.h"
#include "smtp/proto/params.h"
#include "smtp/proto/path.h"
#include "smtp/rates.h"

static void
begin(struct session *s)
{
	session_reply(s, 250, "2.1.0", "Sender ok");
	session_enter(s, SESSION_MAIL);
}

static void
no_directory(struct session *s)
{
	session_reply(
	    s, 451, "4.3.0", "The directory cannot be asked now; please try again later");
	transaction_free(&s->tx);
}

static void
sender_is(void *arg, struct frame *answer)
{
	struct session *s = arg;
	uint64_t status = SENDER_LATER;
	char why[400] = "";

	session_answered(s);
	if (answer != NULL) {
		status = wire_u64(&answer->in);
		wire_text_to(&answer->in, why, sizeof(why));
	}
	if (status == SENDER_OK) {
		begin(s);
	} else if (status == SENDER_NOT_THEIRS) {
		session_reply(s, 553, "5.7.1", "%s",
		    why[0] != '\0' ? why : "You may not send as this address");
		session_refused(s, NULL, why);
		transaction_free(&s->tx);
	} else {
		no_directory(s);
	}
	session_run(s);
}

/* Ask the directory whether the user may send as it; the answer goes on. */
static void
ask_sender(struct session *s)
{
	struct buf *b = request_begin(MSG_DIR_SENDER);

	wire_put_text(b, s->user);
	wire_put_text(b, s->tx->from);
	s->token = link_request(role_link(ROLE_DIRECTORY), -1, sender_is, s);
	if (s->token == 0)
		no_directory(s);
}

/* Reads "FROM:<path> parameters"; false when it was refused. */
static bool
read_args(struct session *s, struct slice args, struct path *from, struct params *params)
{
	enum path_status path;
	enum params_status status;
	struct slice culprit;

	if (!line_take(&args, SLICE("FROM:"))) {
		session_bad(s, 501, "5.5.4", "Say MAIL FROM:<sender@domain>");
		return false;
	}
	path = path_read(&args, from);
	if (path != PATH_OK) {
		session_bad(s, path == PATH_NOT_UTF8 ? 553 : 501,
		    path == PATH_NOT_UTF8 ? "5.6.7" : "5.1.7", "%s", path_why(path));
		return false;
	}
	status = params_read(args, PARAMS_MAIL, false, params, &culprit);
	if (status != PARAMS_OK || (params->has_auth && !session_may_relay(s))) {
		if (status == PARAMS_OK) {
			status = PARAMS_UNKNOWN;
			culprit = SLICE("AUTH");
		}
		session_bad(s, status == PARAMS_UNKNOWN ? 555 : 501, "5.5.4", "%s: %s",
		    command_echo(culprit), params_why(status));
		return false;
	}
	return true;
}

/* What is well written, but not for this message or this connection; refuses it. */
static bool
may_be(struct session *s, const struct path *from, const struct params *params)
{
	if (from->utf8 && !params->has_utf8) {
		session_bad(s, 553, "5.6.7",
		    "The address has letters outside ASCII; such a message needs the parameter SMTPUTF8");
		return false;
	}
	if (params->has_requiretls && !s->tls) {
		session_bad(s, 530, "5.7.4",
		    "REQUIRETLS can be asked for in TLS only; this connection is in plain text");
		return false;
	}
	if (params->size > (uint64_t)role_conf()->limits.message_size) {
		session_reply(s, 552, "5.3.4",
		    "The message is too big; this server takes at most %lld bytes",
		    (long long)role_conf()->limits.message_size);
		session_refused(s, NULL, "the message is too big");
		return false;
	}
	return true;
}

static unsigned
flags_of(const struct session *s, const struct params *p)
{
	static const unsigned bodies[] = { [BODY_7BIT] = 0, [BODY_8BIT] = ENVELOPE_8BIT,
		[BODY_BINARY] = ENVELOPE_8BIT | ENVELOPE_BINARY };
	static const unsigned rets[] = { [RET_NONE] = 0, [RET_FULL] = ENVELOPE_RET_FULL,
		[RET_HDRS] = ENVELOPE_RET_HDRS };

	return bodies[p->body] | rets[p->ret] | (p->has_utf8 ? ENVELOPE_UTF8 : 0) |
	       (p->has_requiretls ? ENVELOPE_REQUIRETLS : 0) |
	       (session_may_relay(s) ? ENVELOPE_SUBMITTED : 0);
}

/* -1: memory is gone. */
static int
start(struct session *s, const struct path *from, const struct params *params)
{
	struct transaction *t = s->tx = transaction_new();

	if (t == NULL)
		return -1;
	t->from = pool_text(t->pool, slice_of(from->text));
	t->envid = pool_text(t->pool, params->envid);
	t->declared = params->size;
	t->flags = flags_of(s, params);
	return t->from != NULL && t->envid != NULL ? 0 : -1;
}

static bool
is_submission(const struct session *s)
{
	return s->kind == LISTEN_SUBMISSION || s->kind == LISTEN_SUBMISSIONS;
}

void
cmd_mail(struct session *s, struct slice args)
{
	struct params params;
	struct path from;

	if (is_submission(s) && !session_may_relay(s)) {
		session_bad(
		    s, 530, "5.7.0", "Log in first%s", s->tls ? "" : ": STARTTLS, then AUTH");
		return;
	}
	if (!read_args(s, args, &from, &params) || !may_be(s, &from, &params) ||
	    !rates_message(s))
		return;
	if (!pressure_has_memory(session_may_relay(s))) {
		session_no_memory(s);
		return;
	}
	if (start(s, &from, &params) == -1) {
		transaction_free(&s->tx);
		session_no_memory(s);
		return;
	}
	if (s->user != NULL)
		ask_sender(s);
	else
		begin(s);
}
