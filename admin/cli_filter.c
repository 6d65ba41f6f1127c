/* cli_filter - the whole filter pipeline on one message, nothing delivered
 *
 * The answer has one row of the verdict and a row for each check. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/cli.h"
#include "admin/message.h"
#include "admin/text.h"

static const struct column check_columns[] = {
	{ "name", "CHECK", COLUMN_TEXT, false },
	{ "result", "RESULT", COLUMN_STATE, false },
	{ "score", "SCORE", COLUMN_MILLI, false },
	{ "text", "WHY", COLUMN_TEXT, false },
	{ NULL, NULL, COLUMN_TEXT, false },
};

/* The row of the verdict is the one that has it. */
static const struct row *
verdict_row(const struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		if (row_get(&rows->at[i], "verdict") != NULL)
			return &rows->at[i];
	return NULL;
}

static void
checks_of(const struct rows *rows, struct rows *checks)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->at[i];
		const char *name =
		    row_get(r, "name") != NULL ? row_text(r, "name") : row_text(r, "check");
		struct admin_word words[] = { { "name", name }, { "result", row_text(r, "result") },
			{ "score", row_text(r, "score") }, { "text", row_text(r, "text") } };

		if (row_get(r, "verdict") == NULL)
			rows_add(checks, words, COUNT(words));
	}
}

static void
filter_json(struct cli *cli, const struct row *v, const struct rows *checks)
{
	struct json j;

	json_init(&j, &cli->out);
	json_open(&j, '{');
	json_pair(&j, "verdict", row_text(v, "verdict"));
	json_pair(&j, "reply", row_text(v, "reply"));
	json_pair(&j, "why", row_text(v, "why"));
	json_key(&j, "score");
	json_milli(&j, row_number(v, "score"));
	json_key(&j, "required");
	json_milli(&j, row_number(v, "required"));
	json_key(&j, "checks");
	table_json(&j, checks, check_columns);
	json_pair(&j, "authentication_results", row_text(v, "authentication_results"));
	json_close(&j, '}');
}

static void
filter_text(struct cli *cli, const struct row *v, const struct rows *checks)
{
	struct table_style style = cli_style(cli);
	const char *reply = row_text(v, "reply"), *why = row_text(v, "why"),
		   *ar = row_text(v, "authentication_results");

	table_text(&cli->out, checks, check_columns, &style);
	buf_text(&cli->out, "\nVerdict  ");
	table_show(&cli->out, COLUMN_STATE, row_text(v, "verdict"), &style);
	buf_text(&cli->out, ", score ");
	table_show(&cli->out, COLUMN_MILLI, row_text(v, "score"), &style);
	buf_text(&cli->out, " (junk from ");
	table_show(&cli->out, COLUMN_MILLI, row_text(v, "required"), &style);
	buf_text(&cli->out, ")\n");
	if (*why != '\0')
		cli_say(cli, "Because  %s", why);
	if (*reply != '\0')
		cli_say(cli, "Reply    %s", reply);
	if (*ar != '\0')
		cli_say(cli, "Header   %s%s",
		    strncmp(ar, "Authentication-Results", 22) == 0 ? ""
								   : "Authentication-Results: ",
		    ar);
}

/* The message as a memory file; -1: it was told. */
static int
open_message(struct cli *cli, const char *name)
{
	struct err err = { .kind = ERR_NONE };
	struct buf text;
	int in = STDIN_FILENO, fd = -1;

	if (name != NULL && strcmp(name, "-") != 0)
		in = open(name, O_RDONLY | O_CLOEXEC);
	if (in < 0) {
		err_sys(&err, "%.200s", name);
		cli_error(cli, &err);
		return -1;
	}
	if (in == STDIN_FILENO && isatty(in))
		fprintf(stderr, "Reading the message from the terminal; end it with Ctrl-D.\n");
	buf_init(&text, MESSAGE_MAX);
	if (message_read(in, &text, &err) == 0 && text.len == 0)
		err_set(&err, ERR_USAGE, "the message is empty");
	else if (err.kind == ERR_NONE)
		fd = message_fd(buf_all(&text), &err);
	if (fd == -1)
		cli_error(cli, &err);
	buf_free(&text);
	if (in != STDIN_FILENO)
		close(in);
	return fd;
}

static int
filter_test(struct cli *cli, const struct cli_args *args)
{
	const char *now = cli_option(args, "now");
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows rows, checks;
	char word[24];
	int64_t us;
	int rc;

	cli_rq(&rq, "filter.test");
	cli_rq_word(&rq, "ip", cli_option(args, "ip"));
	cli_rq_word(&rq, "helo", cli_option(args, "helo"));
	cli_rq_word(&rq, "from", cli_option(args, "from"));
	cli_rq_word(&rq, "to", cli_option(args, "to"));
	if (rq.n_words < 3 || cli_option(args, "ip") == NULL || cli_option(args, "helo") == NULL ||
	    cli_option(args, "from") == NULL) {
		cli_fail(
		    cli, "the filters need to know who sent it: --ip ADDR --helo NAME --from ADDR");
		return CLI_USAGE;
	}
	if (now != NULL) {
		if (text_time(now, &us, &err) == -1)
			return cli_error(cli, &err);
		snprintf(word, sizeof(word), "%" PRId64, us);
		cli_rq_word(&rq, "now", word);
	}
	rq.fd = open_message(cli, args->n > 0 ? args->operand[0] : NULL);
	if (rq.fd < 0)
		return CLI_FAILED;
	rows_init(&rows);
	rows_init(&checks);
	rc = cli_ask(cli, &rq, &rows, &err);
	if (rc == 0 && verdict_row(&rows) == NULL)
		rc = err_set(&err, ERR_TEMPORARY, "the filter gave no verdict");
	if (rc == 0) {
		checks_of(&rows, &checks);
		if (cli->json)
			filter_json(cli, verdict_row(&rows), &checks);
		else
			filter_text(cli, verdict_row(&rows), &checks);
	}
	rows_free(&rows);
	rows_free(&checks);
	close(rq.fd);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static const struct cli_option options[] = {
	{ "ip", "ADDR", "the client it came from" },
	{ "helo", "NAME", "what the client called itself" },
	{ "from", "ADDR", "its envelope sender" },
	{ "to", "ADDR", "its first recipient" },
	{ "now", "TIME", "as if it came then: 2026-11-24T05:52:28Z" },
	{ NULL, NULL, NULL },
};

const struct cli_command cli_filter_commands[] = {
	{ "filter", "test", filter_test, "[FILE]", 0, 1, options,
	    "what the filters say of a message (from FILE or stdin), check by check; nothing is "
	    "delivered" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
