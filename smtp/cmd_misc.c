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

void
cmd_help(struct session *s, struct slice args)
{
	char line[160];

	(void)args;
	for (const struct command *c = commands; c->verb != NULL; c++) {
		if (c->traits & HIDDEN)
			continue;
		snprintf(line, sizeof(line), "214-%s\r\n", c->usage);
		channel_text(s->channel, line);
	}
	session_reply(s, 214, "2.0.0", "More is in RFC 5321");
}

void
cmd_web(struct session *s, struct slice args)
{
	(void)args;
	session_reply(s, 554, "5.5.1", "This is a mail server, not a web server");
	session_refused(s, NULL, "the client speaks HTTP");
	session_close(s);
}
