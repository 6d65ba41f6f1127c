/* cli_destination - domains that mail waits for: suspend, resume, and how they stand */
#include "admin/cli_destination.h"

#include <inttypes.h>
#include <string.h>

#include "admin/text.h"
#include "base/clock.h"

const struct column cli_destination_columns[] = {
	{ "domain", "DOMAIN", COLUMN_TEXT, false },
	{ "state", "STATE", COLUMN_STATE, false },
	{ "recipients", "WAITING", COLUMN_NUMBER, false },
	{ "sessions", "SESSIONS", COLUMN_NUMBER, false },
	{ "limit", "AT MOST", COLUMN_NUMBER, false },
	{ "until", "UNTIL", COLUMN_TIME, false },
	{ "since", NULL, COLUMN_TIME, true },
	{ "why", "WHY", COLUMN_TEXT, false },
	{ NULL, NULL, COLUMN_TEXT, false },
};

const struct cli_option cli_suspend_options[] = { { "reason", "TEXT", "why; it is shown wherever its mail is" },
	{ NULL, NULL, NULL } };

/* -1: it was told why. Else the recipients that wait. */
static int64_t
change(struct cli *cli, const char *verb, const char *domain, const char *why, int *status)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	int64_t waiting = -1;
	struct rows rows;

	cli_rq(&rq, verb);
	cli_rq_word(&rq, "domain", domain);
	cli_rq_word(&rq, "why", why);
	rows_init(&rows);
	if (cli_ask(cli, &rq, &rows, &err) == 0)
		waiting = rows.n > 0 ? row_number(&rows.at[0], "recipients") : 0;
	*status = waiting >= 0 ? CLI_DONE : cli_error(cli, &err);
	if (waiting >= 0 && cli->json)
		buf_text(&cli->out, "{\"ok\": true}\n");
	rows_free(&rows);
	return waiting;
}

int
cli_queue_suspend(struct cli *cli, const struct cli_args *args)
{
	const char *domain = args->operand[0];
	int status;
	int64_t n = change(cli, "queue.suspend", domain, cli_option(args, "reason"), &status);

	if (n >= 0)
		cli_say(cli,
		    "Nothing more is sent to %s; mail for %" PRId64 " recipient%s waits. What is being sent just now goes on.\n"
		    "It stays so, also after a restart, until `tegami queue resume %s`.",
		    domain, n, n == 1 ? "" : "s", domain);
	return status;
}

int
cli_queue_resume(struct cli *cli, const struct cli_args *args)
{
	const char *domain = args->operand[0];
	int status;
	int64_t n = change(cli, "queue.resume", domain, NULL, &status);

	if (n >= 0)
		cli_say(cli, "Mail to %s goes on; %" PRId64 " recipient%s waited for it.", domain, n, n == 1 ? "" : "s");
	return status;
}

int
cli_queue_list_destinations(struct cli *cli, const struct cli_args *args)
{
	struct admin_request rq;

	cli_rq(&rq, "queue.destinations");
	cli_rq_word(&rq, "domain", args->n > 0 ? args->operand[0] : NULL);
	return cli_list(cli, &rq, cli_destination_columns, "No mail waits for another server.");
}

/* -- told beside other things */

int
cli_notable_destinations(struct cli *cli, struct rows *rows, struct err *err)
{
	struct admin_request rq;

	cli_rq(&rq, "queue.destinations");
	cli_rq_word(&rq, "notable", "1");
	return cli_ask(cli, &rq, rows, err);
}

static void
say_one(struct cli *cli, const struct row *r, int64_t now)
{
	bool suspended = strcmp(row_text(r, "state"), "suspended") == 0;
	const char *why = row_text(r, "why");
	char when[TEXT_SHOWN];

	text_show_when(row_number(r, suspended ? "since" : "until"), now, when);
	if (suspended)
		cli_say(cli, "Mail to %s was suspended %s%s%s. `tegami queue resume %s` lets it go.",
		    row_text(r, "domain"), when, *why != '\0' ? ": " : "", why, row_text(r, "domain"));
	else
		cli_say(cli, "The mail host of %s is out of reach; tried again %s.", row_text(r, "domain"), when);
}

void
cli_queue_destinations(struct cli *cli)
{
	struct err ignored = { .kind = ERR_NONE };
	int64_t now = clock_now();
	struct rows rows;

	if (cli->json)
		return;
	rows_init(&rows);
	cli_notable_destinations(cli, &rows, &ignored);
	for (size_t i = 0; i < rows.n && i < 20; i++)
		say_one(cli, &rows.at[i], now);
	if (rows.n > 20)
		cli_say(cli, "And %zu more: `tegami queue destinations`.", rows.n - 20);
	rows_free(&rows);
}
