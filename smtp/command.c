/* command - the table of SMTP commands, and how a line becomes one
 *
 * The table is the protocol: to add a command, write a function and a row. */
#include "smtp/command.h"

#include <string.h>

#include "base/role.h"
#include "conf/conf.h"
#include "smtp/proto/line.h"
#include "smtp/proto/proxy.h"

#define READY (IN(GREETED) | IN(IDLE))
#define BEFORE_BODY (READY | IN(MAIL) | IN(RCPT))
#define ANY (BEFORE_BODY | IN(BDAT))
#define LINE_LIMIT (64 * 1024)
#define SKIP_MAX (4 * 1024 * 1024) /* bytes of a line that is too long */

const struct command commands[] = {
	/* verb       does          legal in       traits, usage, help */
	{ "EHLO", cmd_ehlo, ANY, ENDS_PIPELINE, "EHLO your.host.name",
	    "Says who you are; the reply lists what this server can do." },
	{ "HELO", cmd_helo, ANY, ENDS_PIPELINE, "HELO your.host.name",
	    "The same for old programs, which know no extensions." },
	{ "LHLO", cmd_lhlo, ANY, ENDS_PIPELINE | HIDDEN, "LHLO your.host.name",
	    "The same in LMTP." },
	{ "MAIL", cmd_mail, IN(IDLE), 0,
	    "MAIL FROM:<sender@domain> [SIZE=bytes] [BODY=7BIT|8BITMIME|BINARYMIME] [SMTPUTF8] "
	    "[RET=FULL|HDRS] [ENVID=id] [REQUIRETLS]",
	    "Begins a message; reports of failure go to this address, none when it is <>." },
	{ "RCPT", cmd_rcpt, IN(MAIL) | IN(RCPT), 0,
	    "RCPT TO:<recipient@domain> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=type;address]",
	    "Names one recipient; say it once for each." },
	{ "DATA", cmd_data, IN(RCPT), NO_ARGUMENTS | ENDS_PIPELINE, "DATA",
	    "Begins the text of the message; a line with only a dot ends it." },
	{ "BDAT", cmd_bdat, ANY, 0, "BDAT bytes [LAST]",
	    "Sends so many bytes of the message as they are, in place of DATA." },
	{ "RSET", cmd_rset, ANY, NO_ARGUMENTS, "RSET", "Gives up the message that was begun." },
	{ "NOOP", cmd_noop, ANY, 0, "NOOP", "Does nothing." },
	{ "QUIT", cmd_quit, ANY, NO_ARGUMENTS, "QUIT", "Ends the connection." },
	{ "VRFY", cmd_vrfy, ANY, 0, "VRFY address",
	    "Tells nothing here: whether an address exists is said to RCPT." },
	{ "EXPN", cmd_expn, ANY, HIDDEN, "EXPN list",
	    "Is not done here: who is behind an address is nobody's business." },
	{ "HELP", cmd_help, ANY, 0, "HELP [command]", "Lists the commands, or says what one does." },
	{ "STARTTLS", cmd_starttls, BEFORE_BODY, NO_ARGUMENTS | ENDS_PIPELINE, "STARTTLS",
	    "Goes on in TLS; say EHLO again then." },
	{ "AUTH", cmd_auth, IN(IDLE), ENDS_PIPELINE, "AUTH mechanism [initial response]",
	    "Logs in; EHLO lists the mechanisms, on the ports for users and in TLS." },
	{ "XCLIENT", cmd_xclient, READY, ENDS_PIPELINE | HIDDEN,
	    "XCLIENT ADDR=... NAME=... HELO=... PORT=...", "Is for trusted_proxies." },
	/* from whom no header is wanted */
	{ "PROXY", cmd_proxy, ANY, HIDDEN, "", "" },
	/* a browser that was made to speak to us (cross-protocol attack): never go on reading */
	{ "GET", cmd_web, ANY, HIDDEN, "", "" },
	{ "POST", cmd_web, ANY, HIDDEN, "", "" },
	{ "PUT", cmd_web, ANY, HIDDEN, "", "" },
	{ "PATCH", cmd_web, ANY, HIDDEN, "", "" },
	{ "DELETE", cmd_web, ANY, HIDDEN, "", "" },
	{ "HEAD", cmd_web, ANY, HIDDEN, "", "" },
	{ "OPTIONS", cmd_web, ANY, HIDDEN, "", "" },
	{ "CONNECT", cmd_web, ANY, HIDDEN, "", "" },
	{ NULL, NULL, 0, 0, NULL, NULL },
};

const struct command *
command_find(struct slice verb)
{
	for (const struct command *c = commands; c->verb != NULL; c++)
		if (slice_eq_nocase(verb, slice_of(c->verb)))
			return c;
	return NULL;
}

const char *
command_echo(struct slice word)
{
	static char rooms[4][64];
	static unsigned turn;
	char *out = rooms[turn++ % COUNT(rooms)];

	slice_copy(word, out, sizeof(rooms[0]));
	for (char *p = out; *p != '\0'; p++)
		if (*p < 32 || *p > 126)
			*p = '?';
	return out;
}

/* Why a known command is not legal now. */
static void
out_of_order(struct session *s, const struct command *c)
{
	const char *why = "not now";

	if (s->state == SESSION_GREETED)
		why = s->kind == LISTEN_LMTP ? "say LHLO first" : "say EHLO first";
	else if (s->state == SESSION_BDAT)
		why = "a message is coming in chunks; BDAT and LAST end it, RSET gives it up";
	else if (c->run == cmd_mail)
		why = "a message is begun already; RSET gives it up";
	else if (c->run == cmd_rcpt)
		why = "say MAIL FROM first";
	else if (c->run == cmd_data)
		why = s->state == SESSION_MAIL ? "no recipient was accepted"
					       : "say MAIL FROM and RCPT TO first";
	else if (s->state == SESSION_MAIL || s->state == SESSION_RCPT)
		why = "not within a message";
	session_bad(s, 503, "5.5.1", "%s: %s", c->verb, why);
}

/* Does the command, or says why not. */
static void
obey(struct session *s, const struct command *c, struct slice args, bool ahead)
{
	if ((c->traits & NO_ARGUMENTS) && args.len > 0) {
		session_bad(s, 501, "5.5.4", "%s takes no arguments", c->verb);
		return;
	}
	if (!(c->legal & 1u << s->state)) {
		out_of_order(s, c);
		return;
	}
	if (c->run != cmd_quit && !session_idle_command(s))
		return;
	/* strangers that do not wait for replies are mostly spam engines */
	if ((c->traits & ENDS_PIPELINE) && ahead && s->kind == LISTEN_MX && !s->trusted)
		s->errors++;
	c->run(s, args);
}

/* BDAT in a line that cannot be read, at the begin of `in`: its octets would come next, and nobody knows
 * how many. It is answered, and the connection ends, as when the number is wrong. */
static bool
bdat_unreadable(struct session *s, struct slice in)
{
	if (!slice_starts_nocase(in, SLICE("BDAT")) || (in.len > 4 && (unsigned char)in.at[4] > ' '))
		return false;
	cmd_bdat(s, (struct slice){ NULL, 0 });
	return true;
}

static void
run(struct session *s, struct slice line)
{
	struct slice verb, args, next = channel_input(s->channel);
	const struct command *c;

	line_split(line, &verb, &args);
	c = command_find(verb);
	if (c == NULL && verb.len == 0) {
		session_bad(s, 500, "5.5.1", "The line is empty; HELP lists the commands");
		return;
	}
	if (c == NULL) {
		if (bdat_unreadable(s, line))
			return;
		session_bad(
		    s, 500, "5.5.1", "%s is no command here; HELP lists them", command_echo(verb));
		return;
	}
	obey(s, c, args, next.len > 0);
	/* what follows a refused DATA may be a message, and must not be read as commands */
	if (c->run == cmd_data && s->state != SESSION_DATA && next.len > 0 &&
	    !slice_starts_nocase(next, SLICE("QUIT\r\n")))
		session_close(s);
}

/* A line that was too long was refused; the rest of it is dropped, within reason. */
static bool
skip(struct session *s)
{
	bool ended;
	size_t n = line_skip(channel_input(s->channel), &ended);

	channel_consume(s->channel, n);
	s->skipped += (uint32_t)n;
	s->skipping = !ended;
	if (s->skipped > SKIP_MAX) {
		session_reply(s, 421, "4.7.0", "This line has no end; goodbye");
		session_close(s);
	}
	return ended;
}

/* Clients in normalize_line_ends may end a line with LF alone. */
static enum line_status
next_line(const struct session *s, struct slice in, size_t max, struct slice *line, size_t *used)
{
	enum line_status status = line_next(in, max, line, used);

	if (status != LINE_BARE_LF || !conf_networks_hold(&role_conf()->normalize_line_ends, s->ip))
		return status;
	return slice_find(*line, '\r') < 0 && slice_find(*line, '\0') < 0 ? LINE_OK : LINE_BAD;
}

/* Before anything was said: is it certainly no SMTP, and what then? What speaks another protocol hears
 * one reply, not one for each thing in it that looks like a line. */
static bool
is_foreign(struct session *s, struct slice in)
{
	bool tls = slice_starts(in, SLICE("\x16\x03"));
	ptrdiff_t line = slice_find(in, '\n');

	if (s->state != SESSION_GREETED || s->helo != NULL || s->idle > 0)
		return false;
	if (proxy_signature(in)) {
		cmd_proxy(s, in);
		return true;
	}
	if (line >= 0)
		in.len = (size_t)line;
	if (!tls && slice_find(in, '\0') < 0)
		return false;
	session_reply(
	    s, 554, "5.5.1", "This is SMTP, in plain text until STARTTLS; what you speak is not");
	session_refused(s, NULL, tls ? "the client speaks TLS" : "the client does not speak SMTP");
	session_close(s);
	return true;
}

bool
command_input(struct session *s)
{
	static char copy[LINE_LIMIT + 2]; /* the channel's bytes may move under a command */
	struct slice in = channel_input(s->channel), line;
	size_t used, max = (size_t)role_conf()->limits.command_line;
	enum line_status status;

	if (in.len == 0)
		return false;
	if (s->skipping)
		return skip(s);
	if (is_foreign(s, in))
		return true;
	status = next_line(s, in, max < LINE_LIMIT ? max : LINE_LIMIT, &line, &used);
	if (status != LINE_MORE && status != LINE_OK && bdat_unreadable(s, in))
		return true;
	switch (status) {
	case LINE_MORE:
		return false;
	case LINE_TOO_LONG:
		channel_consume(s->channel, used);
		s->skipping = true;
		s->skipped = 0;
		session_bad(s, 500, "5.5.2", "The line is too long; %zu bytes is the limit", max);
		return true;
	case LINE_BARE_LF:
		channel_consume(s->channel, used);
		session_bad(s, 500, "5.5.2", "A line must end with CR LF, not with LF alone");
		return true;
	case LINE_BAD:
		channel_consume(s->channel, used);
		session_bad(s, 500, "5.5.2", "A command must not hold a CR or a NUL");
		return true;
	case LINE_OK:
		memcpy(copy, line.at, line.len);
		line.at = copy;
		channel_consume(s->channel, used);
		run(s, line);
		return true;
	}
	return false;
}
