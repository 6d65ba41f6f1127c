/* cmd_rcpt - RCPT: one more recipient (RFC 5321 4.1.1.3)
 *
 * The directory says whether the mailbox exists, whose it is and where it leads; so mail that
 * cannot be delivered is refused here and never bounced. Where an address leads to goes into the
 * envelope, each place once. */
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/command.h"
#include "smtp/known.h"
#include "smtp/proto/line.h"
#include "smtp/proto/params.h"
#include "smtp/proto/path.h"
#include "smtp/rates.h"

#define SURPLUS 10 /* times the limit of recipients that a client may go on to name */

static void
refuse(struct session *s, int code, const char *enhanced, const char *to, const char *why)
{
	char text[512];

	snprintf(text, sizeof(text), "<%.320s>: %.180s", to, why);
	session_reply(s, code, enhanced, "%s", text);
	session_refused(s, to, text);
}

/* The filter is told one recipient: of several the one for whom it has more to do. */
static bool
takes_reports(const char *to)
{
	const struct conf_strings *a = &role_conf()->reports.address;

	for (size_t i = 0; i < a->n; i++)
		if (strcasecmp(a->at[i], to) == 0)
			return true;
	return false;
}

/* It is in the envelope: say so. */
static void
accepted(struct session *s, const char *to)
{
	s->tx->accepted++;
	s->idle--; /* it brought a message on */
	if (s->tx->first == NULL || takes_reports(to))
		s->tx->first = to;
	session_reply(s, 250, "2.1.5", "Recipient ok");
	session_enter(s, SESSION_RCPT);
}

/* The places that the answer names. -1: memory is gone or they are too many. */
static int
add_all(struct session *s, struct wire *in)
{
	struct transaction *t = s->tx;
	size_t before = t->n_rcpts;

	while (wire_more(in)) {
		struct rcpt r = { .kind = wire_u64(in) == RCPT_LOCAL ? RCPT_LOCAL : RCPT_REMOTE };

		r.address = wire_text(in, t->pool);
		r.home = wire_text(in, t->pool);
		r.folder = wire_text(in, t->pool);
		r.original = wire_text(in, t->pool);
		wire_u64(in); /* the quota: the directory has judged it */
		r.notify = t->notify;
		r.orcpt = t->orcpt;
		if (in->failed || r.address[0] == '\0' || transaction_add(t, &r) == -1) {
			t->n_rcpts = before;
			return -1;
		}
	}
	return 0;
}

/* An address at a stranger's domain: for those who may send to anywhere. */
static void
relay_to(struct session *s, const char *to, const char *why)
{
	struct transaction *t = s->tx;
	struct rcpt r = { RCPT_REMOTE, to, "", "", to, t->notify, t->orcpt };

	if (!session_may_relay(s))
		refuse(s, 550, "5.7.1", to,
		    why[0] != '\0' ? why : "this server does not relay to other domains");
	else if (transaction_add(t, &r) == -1)
		session_no_memory(s);
	else
		accepted(s, to);
}

static bool
is_return_address(const char *to)
{
	return strncasecmp(to, "SRS0=", 5) == 0 || strncasecmp(to, "SRS1=", 5) == 0;
}

static void
decide(struct session *s, const char *to, struct wire *in)
{
	enum rcpt_status status = (enum rcpt_status)wire_u64(in);
	const char *why = wire_text(in, s->tx->pool);

	switch (status) {
	case RCPT_OK:
		/* a return address made by this server (storage/srs.h) leads to a stranger */
		if (s->tx->from[0] != '\0' && is_return_address(to))
			refuse(s, 550, "5.7.1", to, "this address takes only reports on mail (from <>)");
		else if (add_all(s, in) == -1)
			refuse(
			    s, 451, "4.3.0", to, "it leads to too many mailboxes for this message");
		else
			accepted(s, to);
		break;
	case RCPT_NOT_OURS:
		relay_to(s, to, why);
		break;
	case RCPT_UNKNOWN:
		refuse(s, 550, "5.1.1", to, why[0] != '\0' ? why : "there is no such mailbox");
		rates_unknown(s);
		break;
	case RCPT_OVER_QUOTA:
		refuse(s, 452, "4.2.2", to, why[0] != '\0' ? why : "the mailbox is full");
		break;
	default:
		refuse(s, 451, "4.3.0", to, why[0] != '\0' ? why : "the directory cannot say now");
		break;
	}
}

struct question { /* lives in the transaction's pool */
	struct session *session;
	char to[];
};

static void
rcpt_is(void *arg, struct frame *answer)
{
	struct question *q = arg;
	struct session *s = q->session;

	session_answered(s);
	if (answer == NULL)
		session_reply(
		    s, 451, "4.3.0", "The directory cannot be asked now; please try again later");
	else {
		known_keep(q->to,
		    (struct slice){ answer->in.at, (size_t)(answer->in.end - answer->in.at) });
		decide(s, q->to, &answer->in);
	}
	session_run(s);
}

static void
ask(struct session *s, const char *to)
{
	size_t len = strlen(to);
	struct question *q = pool_alloc(s->tx->pool, sizeof(*q) + len + 1);

	if (q == NULL) {
		session_no_memory(s);
		return;
	}
	q->session = s;
	memcpy(q->to, to, len + 1);
	wire_put_text(request_begin(MSG_DIR_RCPT), to);
	s->token = link_request(role_link(ROLE_DIRECTORY), -1, rcpt_is, q);
	if (s->token == 0)
		session_reply(
		    s, 451, "4.3.0", "The directory cannot be asked now; please try again later");
}

/* As if the directory had just said it again. */
static void
decide_known(struct session *s, const char *to, struct wire *fields)
{
	const char *kept = pool_text(s->tx->pool, slice_of(to));

	if (kept == NULL)
		session_no_memory(s);
	else
		decide(s, kept, fields);
}

/* Reads "TO:<path> parameters"; false when it was refused. */
static bool
read_args(struct session *s, struct slice args, struct path *to, struct params *params)
{
	bool utf8 = s->tx->flags & ENVELOPE_UTF8;
	enum params_status status;
	enum path_status path;
	struct slice culprit;

	if (!line_take(&args, SLICE("TO:"))) {
		session_bad(s, 501, "5.5.4", "Say RCPT TO:<recipient@domain>");
		return false;
	}
	path = path_read(&args, to);
	if (path == PATH_NOT_UTF8 || (path == PATH_OK && to->utf8 && !utf8)) {
		session_bad(s, 553, "5.6.7", "%s",
		    path == PATH_NOT_UTF8
			? path_why(path)
			: "The address has letters outside ASCII; such a message needs the parameter "
			  "SMTPUTF8 behind MAIL FROM");
		return false;
	}
	if (path != PATH_OK || to->text[0] == '\0') {
		session_bad(
		    s, 501, "5.1.3", "%s", path_why(path == PATH_OK ? PATH_SYNTAX : path));
		return false;
	}
	status = params_read(args, PARAMS_RCPT, utf8, params, &culprit);
	if (status != PARAMS_OK) {
		session_bad(s, status == PARAMS_UNKNOWN ? 555 : 501, "5.5.4", "%s: %s",
		    command_echo(culprit), params_why(status));
		return false;
	}
	return true;
}

void
cmd_rcpt(struct session *s, struct slice args)
{
	struct transaction *t = s->tx;
	struct params params;
	struct wire known;
	struct path to;

	if (!read_args(s, args, &to, &params))
		return;
	if (t->accepted >= session_rcpts_max(s)) {
		/* those taken before it must not be lost by the ceiling of idle commands, at once */
		if (t->surplus++ < SURPLUS * session_rcpts_max(s))
			s->idle--;
		session_reply(s, 452, "4.5.3",
		    "Too many recipients for one message; send the rest in another");
		return;
	}
	if (!rates_recipient(s))
		return;
	t->notify = params.notify;
	t->orcpt = pool_text(t->pool, params.orcpt);
	if (t->orcpt == NULL)
		session_no_memory(s);
	else if (known_find(to.text, &known))
		decide_known(s, to.text, &known);
	else
		ask(s, to.text);
}
