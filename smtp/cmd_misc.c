/* cmd_misc - the small commands: RSET, NOOP, QUIT, VRFY, EXPN, HELP, and what browsers say */
#include <stdio.h>

#include "base/role.h"
#include "conf/conf.h"
#include "smtp/command.h"

void
cmd_rset(struct session *s, struct slice args)
{
	(void)args;
	if (s->state != SESSION_GREETED)
		session_enter(s, SESSION_IDLE);
	session_reply(s, 250, "2.0.0", "Begin again");
}

void
cmd_noop(struct session *s, struct slice args)
{
	(void)args;
	session_reply(s, 250, "2.0.0", "Still here");
}

void
cmd_quit(struct session *s, struct slice args)
{
	(void)args;
	session_reply(s, 221, "2.0.0", "%s says goodbye", role_conf()->hostname);
	session_close(s);
	s->linger = false; /* it waits for us, and sends no more */
}

/* Whether a mailbox exists is told at RCPT only (RFC 5321 7.3). */
void
cmd_vrfy(struct session *s, struct slice args)
{
	if (args.len == 0)
		session_bad(s, 501, "5.5.4", "VRFY needs an address");
	else
		session_reply(s, 252, "2.1.5",
		    "Send mail to it and see; this server does not say beforehand");
}

void
cmd_expn(struct session *s, struct slice args)
{
	(void)args;
	session_bad(s, 502, "5.5.1", "This server does not tell who is behind an address");
}

static void
help_line(struct session *s, const char *text)
{
	char line[256];

	snprintf(line, sizeof(line), "214-2.0.0 %s\r\n", text);
	channel_text(s->channel, line);
}

void
cmd_help(struct session *s, struct slice args)
{
	const struct command *c = command_find(args);

	if (c != NULL && c->help[0] != '\0') {
		help_line(s, c->usage);
		session_reply(s, 214, "2.0.0", "%s", c->help);
		return;
	}
	if (args.len > 0) {
		session_bad(s, 504, "5.5.4", "There is no help on %s; HELP lists the commands",
		    command_echo(args));
		return;
	}
	for (c = commands; c->verb != NULL; c++)
		if (!(c->traits & HIDDEN))
			help_line(s, c->usage);
	session_reply(s, 214, "2.0.0", "HELP and a command says more; the whole is in RFC 5321");
}

void
cmd_web(struct session *s, struct slice args)
{
	(void)args;
	session_reply(s, 554, "5.5.1", "This is a mail server, not a web server");
	session_refused(s, NULL, "the client speaks HTTP");
	session_close(s);
}
