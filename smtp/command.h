/* command - the table of SMTP commands, and how a line becomes one */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "smtp/session.h"

typedef void command_fn(struct session *s, struct slice args);

enum command_trait {
	NO_ARGUMENTS = 1,
	ENDS_PIPELINE = 2, /* the client has to wait for its reply (RFC 2920 3.1) */
	HIDDEN = 4         /* not in HELP */
};

struct command {
	const char *verb;
	command_fn *run;
	unsigned legal; /* states it may be given in */
	unsigned traits;
	const char *usage;
	const char *help; /* a sentence */
};
/* Ended by a row without a verb. */
extern const struct command commands[];

const struct command *command_find(struct slice verb);
/* Take the next line and do it; false when no whole line is there. */
bool command_input(struct session *s);
/* A word of the client for a reply: cut and printable. Four of them may be in use at once. */
const char *command_echo(struct slice word);

command_fn cmd_helo, cmd_ehlo, cmd_lhlo, cmd_mail, cmd_rcpt, cmd_data, cmd_bdat, cmd_rset, cmd_noop, cmd_quit, cmd_vrfy,
    cmd_expn, cmd_help, cmd_starttls, cmd_auth, cmd_xclient, cmd_proxy, cmd_web;

#endif
