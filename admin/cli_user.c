/* cli_user - mailboxes, their passwords and quotas
 *
 * A password is read from the terminal without echo, twice, or from stdin with --password-stdin; it
 * never stands on a command line, where others could see it. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "admin/cli.h"
#include "admin/text.h"
#include "base/clock.h"

#define PASSWORD_MAX 256

/* -- passwords */

/* A line without its end. false: too long, has a NUL, or there is none. */
static bool
read_line(FILE *in, char out[static PASSWORD_MAX + 2])
{
	size_t n = 0;
	int c;

	while ((c = getc(in)) != EOF && c != '\n') {
		if (c == '\0' || n > PASSWORD_MAX)
			return false;
		out[n++] = (char)c;
	}
	if (n > 0 && out[n - 1] == '\r')
		n--;
	out[n] = '\0';
	return c == '\n' || n > 0;
}

static bool
ask_hidden(FILE *tty, const char *prompt, char out[static PASSWORD_MAX + 2])
{
	struct termios before, quiet;
	sigset_t hold, old;
	bool ok;

	if (tcgetattr(fileno(tty), &before) == -1)
		return false;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	/* Ctrl-C at the prompt must not leave the terminal mute. */
	sigemptyset(&hold);
	sigaddset(&hold, SIGINT);
	sigaddset(&hold, SIGTERM);
	sigaddset(&hold, SIGTSTP);
	sigprocmask(SIG_BLOCK, &hold, &old);
	fprintf(tty, "%s", prompt);
	fflush(tty);
	tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	ok = read_line(tty, out);
	tcsetattr(fileno(tty), TCSAFLUSH, &before);
	fprintf(tty, "\n");
	fflush(tty);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ok;
}

static int
ask_twice(struct cli *cli, const char *address, char out[static PASSWORD_MAX + 2])
{
	char prompt[400], again[PASSWORD_MAX + 2] = "";
	FILE *tty = fopen("/dev/tty", "r+e");
	int rc = CLI_DONE;

	if (tty == NULL) {
		cli_fail(cli, "there is no terminal to ask for the password; give it on stdin with "
			      "--password-stdin");
		return CLI_USAGE;
	}
	snprintf(prompt, sizeof(prompt), "New password for %.300s: ", address);
	if (!ask_hidden(tty, prompt, out) || !ask_hidden(tty, "And once more: ", again))
		rc = cli_fail(cli, "no password was given; nothing has changed");
	else if (strcmp(out, again) != 0)
		rc = cli_fail(cli, "the two passwords differ; nothing has changed");
	explicit_bzero(again, sizeof(again));
	fclose(tty);
	return rc;
}

static int
get_password(struct cli *cli, const struct cli_args *args, char out[static PASSWORD_MAX + 2])
{
	int rc = CLI_DONE;

	if (cli_option(args, "password-stdin") == NULL)
		rc = ask_twice(cli, args->operand[0], out);
	else if (!read_line(stdin, out))
		rc = cli_fail(cli, "there is no password on stdin, or it is longer than %d bytes",
		    PASSWORD_MAX);
	if (rc == CLI_DONE && out[0] == '\0')
		rc = cli_fail(cli, "the password is empty; nothing has changed");
	return rc;
}

/* -- mailboxes */

/* A size for the server: bytes, or "default". -1: it was told. */
static int
quota_word(struct cli *cli, const char *text, char out[static 24])
{
	struct err err = { .kind = ERR_NONE };
	uint64_t bytes;

	if (strcmp(text, "default") == 0) {
		snprintf(out, 24, "default");
		return 0;
	}
	if (text_size(text, &bytes, &err) == -1) {
		cli_error(cli, &err);
		return -1;
	}
	snprintf(out, 24, "%" PRIu64, bytes);
	return 0;
}

static int
user_add(struct cli *cli, const struct cli_args *args)
{
	const char *address = args->operand[0], *quota = cli_option(args, "quota");
	char password[PASSWORD_MAX + 2] = "", bytes[24];
	struct admin_request rq;
	int rc;

	if (quota != NULL && quota_word(cli, quota, bytes) == -1)
		return CLI_USAGE;
	if (cli_conf(cli) == NULL)
		return CLI_FAILED;
	rc = get_password(cli, args, password);
	if (rc == CLI_DONE) {
		cli_rq(&rq, "user.add");
		cli_rq_word(&rq, "address", address);
		cli_rq_word(&rq, "password", password);
		cli_rq_word(&rq, "name", cli_option(args, "name"));
		cli_rq_word(&rq, "quota", quota != NULL ? bytes : NULL);
		rc = cli_do(
		    cli, &rq, "Added %s. It can receive mail and log in from now on.", address);
	}
	explicit_bzero(password, sizeof(password));
	return rc;
}

static int
user_passwd(struct cli *cli, const struct cli_args *args)
{
	char password[PASSWORD_MAX + 2] = "";
	struct admin_request rq;
	int rc;

	if (cli_conf(cli) == NULL)
		return CLI_FAILED;
	rc = get_password(cli, args, password);
	if (rc == CLI_DONE) {
		cli_rq(&rq, "user.passwd");
		cli_rq_word(&rq, "address", args->operand[0]);
		cli_rq_word(&rq, "password", password);
		rc = cli_do(cli, &rq, "%s has a new password.", args->operand[0]);
	}
	explicit_bzero(password, sizeof(password));
	return rc;
}

static int
user_simple(struct cli *cli, const struct cli_args *args, const char *verb, const char *done)
{
	struct admin_request rq;

	cli_rq(&rq, verb);
	cli_rq_word(&rq, "address", args->operand[0]);
	return cli_do(cli, &rq, "%s %s", args->operand[0], done);
}

static int
user_remove(struct cli *cli, const struct cli_args *args)
{
	return user_simple(
	    cli, args, "user.remove", "is gone. Mail already delivered stays on disk.");
}

static int
user_enable(struct cli *cli, const struct cli_args *args)
{
	return user_simple(cli, args, "user.enable", "can receive mail and log in again.");
}

static int
user_disable(struct cli *cli, const struct cli_args *args)
{
	return user_simple(cli, args, "user.disable",
	    "can no longer log in or receive mail. Nothing was deleted.");
}

static int
user_quota(struct cli *cli, const struct cli_args *args)
{
	char bytes[24], shown[TEXT_SHOWN] = "no limit but the default";
	struct admin_request rq;

	if (quota_word(cli, args->operand[1], bytes) == -1)
		return CLI_USAGE;
	if (strcmp(bytes, "0") == 0)
		snprintf(shown, sizeof(shown), "as much as it likes");
	else if (strcmp(bytes, "default") == 0)
		snprintf(shown, sizeof(shown), "the default amount");
	else
		text_show_size(strtoull(bytes, NULL, 10), shown);
	cli_rq(&rq, "user.quota");
	cli_rq_word(&rq, "address", args->operand[0]);
	cli_rq_word(&rq, "quota", bytes);
	return cli_do(cli, &rq, "%s may now keep %s.", args->operand[0], shown);
}

static const struct column list_columns[] = {
	{ "address", "ADDRESS", COLUMN_TEXT, false },
	{ "name", "NAME", COLUMN_TEXT, true },
	{ "enabled", "ENABLED", COLUMN_BOOL, false },
	{ "quota", "QUOTA", COLUMN_QUOTA, false },
	{ "quota_default", NULL, COLUMN_BOOL, true },
	{ "home", NULL, COLUMN_TEXT, true },
	{ "created", "ADDED", COLUMN_TIME, true },
	{ NULL, NULL, COLUMN_TEXT, false },
};

static int
user_list(struct cli *cli, const struct cli_args *args)
{
	struct admin_request rq;

	cli_rq(&rq, "user.list");
	cli_rq_word(&rq, "domain", args->n > 0 ? args->operand[0] : NULL);
	return cli_list(cli, &rq, list_columns,
	    args->n > 0 ? "No users in this domain yet."
			: "No users yet; `tegami user add NAME@DOMAIN` makes one.");
}

static const struct column card[] = {
	{ "address", "Address", COLUMN_TEXT, false },
	{ "name", "Name", COLUMN_TEXT, true },
	{ "enabled", "Enabled", COLUMN_BOOL, false },
	{ "quota", "Quota", COLUMN_QUOTA, false },
	{ "quota_default", NULL, COLUMN_BOOL, true },
	{ "home", "Home", COLUMN_TEXT, true },
	{ "created", "Added", COLUMN_TIME, true },
	{ "changed", "Password set", COLUMN_TIME, true },
	{ "last_used", "Last login", COLUMN_TIME, true },
	{ "app_passwords", "App passwords", COLUMN_NUMBER, true },
	{ NULL, NULL, COLUMN_TEXT, false },
};

static int
user_show(struct cli *cli, const struct cli_args *args)
{
	struct admin_request rq;

	cli_rq(&rq, "user.show");
	cli_rq_word(&rq, "address", args->operand[0]);
	return cli_show(cli, &rq, card);
}

/* -- app passwords */

static int
app_print(struct cli *cli, const struct cli_args *args, const struct rows *rows)
{
	static const struct column columns[] = { { "slot", NULL, COLUMN_NUMBER, true },
		{ "password", NULL, COLUMN_TEXT, false }, { "label", NULL, COLUMN_TEXT, false },
		{ "scope", NULL, COLUMN_TEXT, true }, { "expires", NULL, COLUMN_TIME, true },
		{ NULL, NULL, COLUMN_TEXT, false } };
	const struct row *row = rows->n > 0 ? &rows->at[0] : NULL;
	const char *expires = cli_option(args, "expires"), *scope;
	struct json j;

	if (row == NULL)
		return cli_fail(cli, "the server made no password");
	if (cli->json) {
		json_init(&j, &cli->out);
		json_open(&j, '{');
		table_json_members(&j, row, columns);
		json_close(&j, '}');
		return CLI_DONE;
	}
	scope = row_text(row, "scope");
	cli_say(cli, "The password \"%s\" of %s, shown this once only:\n\n    %s\n",
	    row_text(row, "label"), args->operand[0], row_text(row, "password"));
	if (scope[0] != '\0')
		cli_say(cli, "It serves for %s only.", scope);
	if (expires != NULL)
		cli_say(cli, "It stops working in %s.", expires);
	return CLI_DONE;
}

static int
app_add(struct cli *cli, const struct cli_args *args)
{
	const char *expires = cli_option(args, "expires");
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows rows;
	int64_t seconds;
	char word[24];
	int rc;

	cli_rq(&rq, "user.app-add");
	cli_rq_word(&rq, "address", args->operand[0]);
	cli_rq_word(&rq, "label", cli_option(args, "label"));
	cli_rq_word(&rq, "scope", cli_option(args, "scope"));
	if (expires != NULL) {
		if (text_span(expires, &seconds, &err) == -1)
			return cli_error(cli, &err);
		snprintf(word, sizeof(word), "%" PRId64, seconds);
		cli_rq_word(&rq, "expires", word);
	}
	rows_init(&rows);
	rc = cli_ask(cli, &rq, &rows, &err);
	rc = rc == 0 ? app_print(cli, args, &rows) : cli_error(cli, &err);
	rows_free(&rows);
	return rc;
}

static int
app_remove(struct cli *cli, const struct cli_args *args)
{
	const char *label = cli_option(args, "label");
	struct admin_request rq;

	if (label == NULL) {
		cli_fail(cli,
		    "which one? Name it with --label; `tegami user app-password list %s` shows "
		    "them",
		    args->operand[0]);
		return CLI_USAGE;
	}
	cli_rq(&rq, "app.remove");
	cli_rq_word(&rq, "address", args->operand[0]);
	cli_rq_word(&rq, "label", label);
	return cli_do(
	    cli, &rq, "The password \"%s\" of %s no longer works.", label, args->operand[0]);
}

static int
app_list(struct cli *cli, const struct cli_args *args)
{
	static const struct column columns[] = {
		{ "slot", "SLOT", COLUMN_NUMBER, false },
		{ "label", "LABEL", COLUMN_TEXT, false },
		{ "scope", "FOR", COLUMN_TEXT, true },
		{ "created", "MADE", COLUMN_TIME, true },
		{ "last_used", "LAST USED", COLUMN_TIME, true },
		{ "expires", "EXPIRES", COLUMN_TIME, true },
		{ NULL, NULL, COLUMN_TEXT, false },
	};
	struct admin_request rq;

	cli_rq(&rq, "app.list");
	cli_rq_word(&rq, "address", args->operand[0]);
	return cli_list(cli, &rq, columns,
	    "No app passwords; `tegami user app-password add ADDRESS --label phone` makes one.");
}

static const struct cli_option add_options[] = {
	{ "password-stdin", NULL, "read the password from stdin" },
	{ "quota", "SIZE", "how much mail it may keep: 500M, 2G, unlimited" },
	{ "name", "TEXT", "whose it is" },
	{ NULL, NULL, NULL },
};
static const struct cli_option passwd_options[] = {
	{ "password-stdin", NULL, "read the password from stdin" },
	{ NULL, NULL, NULL },
};
static const struct cli_option app_options[] = {
	{ "label", "TEXT", "what it is for: \"phone\"" },
	{ "scope", "LIST",
	    "smtp (sending), imap, pop3, sieve, some with commas; all, when left out" },
	{ "expires", "SPAN", "stops working after 30d, 52w ..." },
	{ NULL, NULL, NULL },
};
static const struct cli_option label_option[] = {
	{ "label", "TEXT", "which one" },
	{ NULL, NULL, NULL },
};

const struct cli_command cli_user_commands[] = {
	{ "user", "add", user_add, "ADDRESS", 1, 1, add_options,
	    "a new mailbox; asks for its password" },
	{ "user", "remove", user_remove, "ADDRESS", 1, 1, NULL,
	    "no login and no mail any more; mail on disk stays" },
	{ "user", "list", user_list, "[DOMAIN]", 0, 1, NULL, "all mailboxes" },
	{ "user", "show", user_show, "ADDRESS", 1, 1, NULL, "one mailbox" },
	{ "user", "enable", user_enable, "ADDRESS", 1, 1, NULL, "undo disable" },
	{ "user", "disable", user_disable, "ADDRESS", 1, 1, NULL,
	    "no login, no new mail; nothing is deleted" },
	{ "user", "passwd", user_passwd, "ADDRESS", 1, 1, passwd_options, "a new password" },
	{ "user", "quota", user_quota, "ADDRESS SIZE", 2, 2, NULL,
	    "how much mail it may keep: 500M, 2G, unlimited, default" },
	{ "user", "app-password add", app_add, "ADDRESS", 1, 1, app_options,
	    "one more password, random, for one program or device" },
	{ "user", "app-password remove", app_remove, "ADDRESS", 1, 1, label_option,
	    "take it away again" },
	{ "user", "app-password list", app_list, "ADDRESS", 1, 1, NULL,
	    "which there are (never the passwords themselves)" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
