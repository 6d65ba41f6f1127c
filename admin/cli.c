/* cli - the `tegami` command: one noun a file, one table of commands each
 *
 * -c FILE and --json may stand anywhere. Whatever a command prints is gathered and written at its
 * end, so that --json is one whole document or none. */
#include "admin/cli.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "admin/text.h"
#include "base/clock.h"

#define OUT_MAX (512u << 20)
#define VERBS_MAX 32

static const struct {
	const char *noun;
	const struct cli_command *commands;
	const char *does;
} nouns[] = {
	{ "init", cli_init_commands, "set up a new mail server on this machine" },
	{ "domain", cli_domain_commands, "the domains it receives mail for" },
	{ "user", cli_user_commands, "mailboxes, passwords, quotas" },
	{ "alias", cli_alias_commands, "addresses that lead to others" },
	{ "queue", cli_queue_commands, "mail that waits to be delivered" },
	{ "route", cli_route_commands, "where would mail to an address go, and why?" },
	{ "trace", cli_trace_commands, "where is my mail, and why?" },
	{ "filter", cli_filter_commands, "try the filters on a message" },
	{ "spam", cli_spam_commands, "teach it what spam looks like" },
	{ "dkim", cli_dkim_commands, "keys that sign outgoing mail" },
	{ "dns", cli_dns_commands, "the records to publish" },
	{ "dmarc", cli_dmarc_commands, "who sends in a domain's name?" },
	{ "tlsrpt", cli_tlsrpt_commands, "how is TLS of mail to a domain?" },
	{ "check", cli_check_commands, "is everything as it should be?" },
	{ "status", cli_status_commands, "what runs, what waits" },
	{ "reload", cli_status_commands, "take a changed configuration" },
	{ "config", cli_config_commands, "every option, explained" },
};

/* -- messages */

static void
complain(const struct cli *cli, const char *text)
{
	struct buf b;
	struct slice rest = slice_of(text), line;

	buf_init(&b, 64 * 1024);
	while (slice_line(&rest, &line)) {
		buf_text(&b, cli->colour_err ? "\033[31mtegami:\033[0m " : "tegami: ");
		text_show(&b, line);
		buf_char(&b, '\n');
	}
	fflush(stdout);
	fwrite(b.at, 1, b.len, stderr);
	buf_free(&b);
}

int
cli_fail(const struct cli *cli, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	complain(cli, text);
	return CLI_FAILED;
}

int
cli_error(const struct cli *cli, const struct err *err)
{
	if (err->text[0] != '\0') /* empty: it was told already */
		complain(cli, err->text);
	return err->kind == ERR_USAGE ? CLI_USAGE : CLI_FAILED;
}

void
cli_say(struct cli *cli, const char *fmt, ...)
{
	char text[4096];
	struct slice rest, line;
	va_list ap;

	if (cli->json)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rest = slice_of(text);
	do {
		line = slice_cut(&rest, '\n');
		text_show(&cli->out, line);
		buf_char(&cli->out, '\n');
	} while (rest.at != NULL);
}

void
cli_flush(struct cli *cli)
{
	if (cli->out.len > 0)
		fwrite(cli->out.at, 1, cli->out.len, stdout);
	fflush(stdout);
	buf_reset(&cli->out);
}

struct table_style
cli_style(const struct cli *cli)
{
	return (struct table_style){ cli->colour, true, clock_now() };
}

unsigned
cli_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
		return size.ws_col;
	return 100;
}

const struct conf *
cli_conf(struct cli *cli)
{
	struct err err = { .kind = ERR_NONE };

	if (cli->conf != NULL)
		return cli->conf;
	if (access(cli->config_file, F_OK) == -1 && errno == ENOENT) {
		cli_fail(cli,
		    "there is no configuration at %s\n"
		    "make one with `tegami init HOSTNAME`, or name yours with -c FILE",
		    cli->config_file);
		return NULL;
	}
	cli->conf = conf_read(cli->config_file, &err);
	if (cli->conf == NULL)
		cli_error(cli, &err);
	return cli->conf;
}

/* -- help */

static void
usage_line(struct buf *b, const struct cli_command *c)
{
	buf_printf(b, "tegami %s", c->noun);
	if (c->verb != NULL)
		buf_printf(b, " %s", c->verb);
	if (c->operands != NULL)
		buf_printf(b, " %s", c->operands);
}

static void
help_all(struct buf *b)
{
	buf_text(b, "Tegami, a whole mail server. Say what you want to see or change:\n\n");
	for (size_t i = 0; i < COUNT(nouns); i++)
		buf_printf(b, "  tegami %-8s %s\n", nouns[i].noun, nouns[i].does);
	buf_text(b,
	    "\n"
	    "  tegami help NOUN  shows what each can do;  -c FILE names another configuration,\n"
	    "  --json prints for programs. Both may stand anywhere.\n\n"
	    "New here? `tegami init HOSTNAME`, then `tegami domain add`, `tegami user add`, "
	    "`tegami check`.\n");
}

static void
help_options(struct buf *b, const struct cli_command *c)
{
	for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
		char flag[60];

		snprintf(flag, sizeof(flag), "--%s%s%s", o->name, o->value ? " " : "",
		    o->value ? o->value : "");
		buf_printf(b, "      %-24s %s\n", flag, o->does);
	}
}

/* "  tegami user add ADDRESS     a new mailbox", the sentence on its own line when the words are
 * long. */
static void
help_line(struct buf *b, const struct cli_command *c, size_t width)
{
	size_t before = b->len, len;

	buf_text(b, "  ");
	usage_line(b, c);
	len = b->len - before;
	if (len > width)
		buf_printf(b, "\n%*s", (int)width, "");
	else
		buf_printf(b, "%*s", (int)(width - len), "");
	buf_printf(b, "  %s\n", c->does);
}

static void
help_command(struct buf *b, const struct cli_command *c)
{
	help_line(b, c, strlen(c->noun) + 24);
	help_options(b, c);
}

/* All commands of one noun; with their options when they are few. */
static void
help_noun(struct buf *b, const struct cli_command *commands, const char *noun)
{
	size_t n = 0;

	for (const struct cli_command *c = commands; c->noun != NULL; c++)
		n += strcmp(c->noun, noun) == 0;
	for (const struct cli_command *c = commands; c->noun != NULL; c++) {
		if (strcmp(c->noun, noun) != 0)
			continue;
		help_line(b, c, n > 2 ? 40 : strlen(noun) + 24);
		if (n <= 2)
			help_options(b, c);
	}
	if (n > 2)
		buf_printf(b, "\n  tegami help %s VERB tells more of one of them.\n", noun);
}

static const struct cli_command *
commands_of(const char *noun)
{
	for (size_t i = 0; i < COUNT(nouns); i++)
		if (strcmp(nouns[i].noun, noun) == 0)
			return nouns[i].commands;
	return NULL;
}

static int
no_such_noun(const struct cli *cli, const char *noun)
{
	const char *names[COUNT(nouns)], *near;

	for (size_t i = 0; i < COUNT(nouns); i++)
		names[i] = nouns[i].noun;
	near = cli_nearest(noun, names, COUNT(nouns));
	if (near != NULL)
		cli_fail(cli, "there is no `tegami %s`; did you mean `tegami %s`?", noun, near);
	else
		cli_fail(cli, "there is no `tegami %s`; `tegami help` shows what there is", noun);
	return CLI_USAGE;
}

/* How many words of argv name this command (1..3); 0: they do not. */
static int
named_by(const struct cli_command *c, int argc, char **argv)
{
	struct slice rest, word;
	int used = 1;

	if (strcmp(c->noun, argv[0]) != 0)
		return 0;
	if (c->verb == NULL)
		return 1;
	rest = slice_of(c->verb);
	do {
		word = slice_cut(&rest, ' ');
		if (used >= argc || !slice_eq(word, slice_of(argv[used])))
			return 0;
		used++;
	} while (rest.at != NULL);
	return used;
}

static int
help(struct cli *cli, int argc, char **argv)
{
	const struct cli_command *commands;

	if (argc == 0) {
		help_all(&cli->out);
		return CLI_DONE;
	}
	commands = commands_of(argv[0]);
	if (commands == NULL)
		return no_such_noun(cli, argv[0]);
	for (const struct cli_command *c = commands; argc > 1 && c->noun != NULL; c++) {
		if (named_by(c, argc, argv) < 2)
			continue;
		help_command(&cli->out, c);
		return CLI_DONE;
	}
	help_noun(&cli->out, commands, argv[0]);
	return CLI_DONE;
}

/* -- finding and running a command */

static int
no_such_verb(const struct cli *cli, const struct cli_command *commands, int argc, char **argv)
{
	const char *verbs[VERBS_MAX], *near;
	char said[100];
	struct buf b;
	size_t n = 0;

	buf_init(&b, 64 * 1024);
	for (const struct cli_command *c = commands; c->noun != NULL && n < COUNT(verbs); c++)
		if (strcmp(c->noun, argv[0]) == 0 && c->verb != NULL)
			verbs[n++] = c->verb;
	if (argc > 1) {
		near = cli_nearest(argv[1], verbs, n);
		if (near == NULL && argc > 2) {
			snprintf(said, sizeof(said), "%.40s %.40s", argv[1], argv[2]);
			near = cli_nearest(said, verbs, n);
		}
		if (near != NULL)
			cli_fail(cli, "there is no `tegami %s %s`; did you mean `tegami %s %s`?",
			    argv[0], argv[1], argv[0], near);
		else
			cli_fail(cli, "there is no `tegami %s %s`; there is:", argv[0], argv[1]);
		if (near != NULL)
			return CLI_USAGE;
	} else {
		cli_fail(cli, "what about %s? There is:", argv[0]);
	}
	help_noun(&b, commands, argv[0]);
	fwrite(b.at, 1, b.len, stderr);
	buf_free(&b);
	return CLI_USAGE;
}

static int
misused(const struct cli *cli, const struct cli_command *c, const char *why)
{
	struct buf b;

	cli_fail(cli, "%s", why);
	buf_init(&b, 64 * 1024);
	help_command(&b, c);
	fwrite(b.at, 1, b.len, stderr);
	buf_free(&b);
	return CLI_USAGE;
}

/* The first word of the usage line that is not there: "ADDRESS is missing". */
static int
word_missing(const struct cli *cli, const struct cli_command *c, unsigned given)
{
	struct slice rest = slice_of(c->operands), word = { 0 };
	char why[100];

	for (unsigned i = 0; i <= given && rest.at != NULL; i++)
		word = slice_cut(&rest, ' ');
	if (word.len > 0 &&
	    word.at[0] == '-') /* an option shown among the words: the next one is meant */
		word = slice_cut(&rest, ' ');
	if (slice_ends_nocase(word, SLICE("...")))
		word.len -= 3;
	snprintf(why, sizeof(why), "%.*s is missing:", SLICE_ARG(word));
	return misused(cli, c, why);
}

static int
run_command(struct cli *cli, const struct cli_command *c, int argc, char **argv)
{
	struct cli_args args;
	struct err err = { .kind = ERR_NONE };
	char why[100];

	if (cli_args_parse(c->options, argc, argv, &args, &err) == -1)
		return misused(cli, c, err.text);
	if (args.n < c->least)
		return word_missing(cli, c, args.n);
	if (args.n > c->most) {
		snprintf(why, sizeof(why), "one word too many: \"%.60s\"", args.operand[c->most]);
		return misused(cli, c, why);
	}
	return c->run(cli, &args);
}

static int
dispatch(struct cli *cli, bool wants_help, int argc, char **argv)
{
	const struct cli_command *commands;

	if (argc == 0 || strcmp(argv[0], "help") == 0)
		return help(cli, argc > 0 ? argc - 1 : 0, argv + (argc > 0));
	commands = commands_of(argv[0]);
	if (commands == NULL)
		return no_such_noun(cli, argv[0]);
	for (const struct cli_command *c = commands; c->noun != NULL; c++) {
		int used = named_by(c, argc, argv);

		if (used == 0)
			continue;
		if (!wants_help)
			return run_command(cli, c, argc - used, argv + used);
		help_command(&cli->out, c);
		return CLI_DONE;
	}
	if (wants_help)
		return help(cli, 1, argv);
	return no_such_verb(cli, commands, argc, argv);
}

/* Take -c FILE, --json and --help out of argv, wherever they stand. Returns the new argc, or -1. */
static int
take_global(struct cli *cli, int argc, char **argv, bool *wants_help, bool *wants_version)
{
	int n = 0, i = 0;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0)
			cli->json = true;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			*wants_help = true;
		else if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0)
			*wants_version = true;
		else if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) {
			if (i + 1 == argc)
				return -1;
			cli->config_file = argv[++i];
			cli->config_named = true;
		} else
			argv[n++] = argv[i];
	}
	for (; i < argc; i++)
		argv[n++] = argv[i];
	return n;
}

int
main(int argc, char **argv)
{
	struct cli cli = { .config_file = conf_default_file() };
	bool wants_help = false, wants_version = false, plain = getenv("NO_COLOR") != NULL;
	int n, status;

	setlocale(LC_TIME, "C");
	signal(SIGPIPE, SIG_IGN);
	buf_init(&cli.out, OUT_MAX);
	cli.colour = !plain && isatty(STDOUT_FILENO);
	cli.colour_err = !plain && isatty(STDERR_FILENO);
	n = take_global(&cli, argc - 1, argv + 1, &wants_help, &wants_version);
	if (n == -1) {
		cli_fail(&cli, "-c needs the name of a configuration file behind it");
		return CLI_USAGE;
	}
	if (wants_version) {
		puts("tegami " TEGAMI_VERSION);
		return CLI_DONE;
	}
	status = dispatch(&cli, wants_help, n, argv + 1);
	if (cli.out.failed)
		status = cli_fail(&cli, "the answer is too large to print");
	else
		cli_flush(&cli);
	cli_close(&cli);
	conf_free(&cli.conf);
	buf_free(&cli.out);
	if (ferror(stdout) && errno != EPIPE)
		status = CLI_FAILED;
	return status;
}
