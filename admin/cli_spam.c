/* cli_spam - teach the statistical classifier
 *
 * A PATH is a message, or a folder whose files are messages (a Maildir: its cur/ and new/, and
 * below). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/cli.h"
#include "admin/message.h"

#define DEPTH_MAX 32
#define LEARN_MAX (4u << 20) /* bytes looked at of one message */
#define GIVE_UP 5            /* failures in a row */
#define WORTH_KNOWING 10     /* mails of a kind, before anything is said of new ones */

struct lesson {
	struct cli *cli;
	const char *as; /* "spam", "ham" */
	unsigned learned, known, failed;
	unsigned in_a_row; /* failures without a success between */
};

static struct lesson *lesson; /* for nftw, which has no argument */

static int
learn_bytes(struct lesson *l, struct slice message, bool *changed, struct err *err)
{
	struct admin_request rq;
	struct rows rows;
	int rc;

	cli_rq(&rq, "spam.learn");
	cli_rq_word(&rq, "class", l->as);
	rq.fd = message_fd(message, err);
	if (rq.fd < 0)
		return -1;
	rows_init(&rows);
	rc = cli_ask(l->cli, &rq, &rows, err);
	*changed = rows.n > 0 && table_true(row_text(&rows.at[0], "changed"));
	rows_free(&rows);
	close(rq.fd);
	return rc;
}

static void
learn_file(struct lesson *l, const char *name)
{
	struct err err = { .kind = ERR_NONE };
	struct buf text;
	bool changed = false;
	int in = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), rc;

	buf_init(&text, LEARN_MAX);
	if (in < 0)
		rc = err_sys(&err, "cannot open");
	else if (message_read(in, &text, &err) == -1 && err.kind != ERR_PERMANENT)
		rc = -1;
	else
		rc = learn_bytes(l, buf_all(&text), &changed, &err);
	if (in >= 0)
		close(in);
	buf_free(&text);
	if (rc == 0) {
		l->in_a_row = 0;
		l->learned += changed;
		l->known += !changed;
		return;
	}
	l->failed++;
	l->in_a_row++;
	if (err.text[0] != '\0')
		cli_fail(l->cli, "%s: %s", name, err.text);
}

/* Of a Maildir only cur/ and new/ hold whole mail; index files of IMAP servers are none. */
static bool
is_mail(const char *path, const char *base)
{
	return base[0] != '.' && strncmp(base, "dovecot", 7) != 0 &&
	       strcmp(base, "maildirsize") != 0 && strcmp(base, "subscriptions") != 0 &&
	       strcmp(base, "maildirfolder") != 0 &&
	       strstr(path, "/tmp/") != path + (base - path) - 5;
}

static int
on_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	if (lesson->in_a_row >= GIVE_UP)
		return 1;
	if (type == FTW_F && S_ISREG(st->st_mode) && is_mail(path, path + at->base))
		learn_file(lesson, path);
	else if (type == FTW_DNR) {
		lesson->failed++;
		cli_fail(lesson->cli, "%s: cannot be read", path);
	}
	return 0;
}

static void
learn_path(struct lesson *l, const char *path)
{
	struct stat st;

	lesson = l;
	if (stat(path, &st) == -1) {
		l->failed++;
		cli_fail(l->cli, "%s: %s", path, strerror(errno));
	} else if (S_ISDIR(st.st_mode))
		nftw(path, on_entry, DEPTH_MAX, FTW_PHYS);
	else
		learn_file(l, path);
}

static int
stats(struct cli *cli, struct rows *rows, struct err *err)
{
	struct admin_request rq;

	cli_rq(&rq, "spam.stats");
	return cli_ask(cli, &rq, rows, err);
}

static const struct column stats_columns[] = {
	{ "spam", NULL, COLUMN_NUMBER, false },
	{ "ham", NULL, COLUMN_NUMBER, false },
	{ "tokens", NULL, COLUMN_NUMBER, false },
	{ NULL, NULL, COLUMN_TEXT, false },
};

/* "It has seen 120 spams and 300 wanted mails." */
static void
say_stats(struct cli *cli, const struct row *row)
{
	int64_t spam = row_number(row, "spam"), ham = row_number(row, "ham");

	cli_say(cli,
	    "It has now learned from %lld spam and %lld wanted mail%s, and knows %s words.",
	    (long long)spam, (long long)ham, ham == 1 ? "" : "s", row_text(row, "tokens"));
	if (spam < WORTH_KNOWING || ham < WORTH_KNOWING)
		cli_say(cli, "It starts to judge when it has seen %d of each.", WORTH_KNOWING);
}

static int
spam_stats(struct cli *cli, const struct cli_args *args)
{
	struct err err = { .kind = ERR_NONE };
	struct rows rows;
	struct json j;
	int rc;

	(void)args;
	rows_init(&rows);
	rc = stats(cli, &rows, &err);
	if (rc == 0 && cli->json && rows.n > 0) {
		json_init(&j, &cli->out);
		json_open(&j, '{');
		table_json_members(&j, &rows.at[0], stats_columns);
		json_close(&j, '}');
	} else if (rc == 0 && rows.n > 0)
		say_stats(cli, &rows.at[0]);
	rows_free(&rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static void
report(struct cli *cli, const struct lesson *l)
{
	struct err err = { .kind = ERR_NONE };
	struct rows rows;
	struct json j;

	if (cli->json) {
		json_init(&j, &cli->out);
		json_open(&j, '{');
		json_key(&j, "learned");
		json_number(&j, l->learned);
		json_key(&j, "known");
		json_number(&j, l->known);
		json_key(&j, "failed");
		json_number(&j, l->failed);
		json_close(&j, '}');
		return;
	}
	cli_say(cli, "Learned %u message%s as %s.", l->learned, l->learned == 1 ? "" : "s",
	    strcmp(l->as, "spam") == 0 ? "spam" : "wanted mail");
	if (l->known > 0)
		cli_say(
		    cli, "%u %s known as that already.", l->known, l->known == 1 ? "was" : "were");
	rows_init(&rows);
	if (stats(cli, &rows, &err) == 0 && rows.n > 0)
		say_stats(cli, &rows.at[0]);
	rows_free(&rows);
}

static int
spam_learn(struct cli *cli, const struct cli_args *args)
{
	bool spam = cli_option(args, "spam") != NULL, ham = cli_option(args, "ham") != NULL;
	struct lesson l = { .cli = cli, .as = spam ? "spam" : "ham" };

	if (spam == ham) {
		cli_fail(cli, "is it spam or not? Say --spam or --ham");
		return CLI_USAGE;
	}
	if (cli_conf(cli) == NULL)
		return CLI_FAILED;
	for (unsigned i = 0; i < args->n && l.in_a_row < GIVE_UP; i++)
		learn_path(&l, args->operand[i]);
	if (l.learned + l.known + l.failed == 0)
		return cli_fail(cli, "there are no messages in there");
	if (l.learned + l.known > 0)
		report(cli, &l);
	return l.failed == 0 ? CLI_DONE : CLI_FAILED;
}

static const struct cli_option options[] = {
	{ "spam", NULL, "this is what nobody wants" },
	{ "ham", NULL, "this is wanted mail" },
	{ NULL, NULL, NULL },
};

const struct cli_command cli_spam_commands[] = {
	{ "spam", "learn", spam_learn, "--spam|--ham PATH...", 1, CLI_ANY, options,
	    "learn from messages: files, or folders (Maildirs) of them" },
	{ "spam", "stats", spam_stats, NULL, 0, 0, NULL, "how much it has learned" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
