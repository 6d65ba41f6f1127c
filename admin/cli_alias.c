/* cli_alias - addresses that lead to other addresses */
#include <stdio.h>
#include <string.h>

#include "admin/cli.h"

#define TARGETS_MAX 200

static int
alias_change(struct cli *cli, const struct cli_args *args, const char *verb, const char *done)
{
	struct admin_request rq;

	if (args->n > TARGETS_MAX)
		return cli_fail(cli, "at most %d targets at a time", TARGETS_MAX - 1);
	cli_rq(&rq, verb);
	cli_rq_word(&rq, "address", args->operand[0]);
	for (unsigned i = 1; i < args->n; i++)
		cli_rq_word(&rq, "target", args->operand[i]);
	return cli_do(cli, &rq, "%s", done);
}

static int
alias_add(struct cli *cli, const struct cli_args *args)
{
	char done[600];

	if (args->operand[0][0] == '@')
		snprintf(done, sizeof(done),
		    "Mail to any unknown name %.250s now goes to %.250s%s.", args->operand[0],
		    args->operand[1], args->n > 2 ? " and others" : "");
	else
		snprintf(done, sizeof(done), "Mail to %.250s now goes to %.250s%s.",
		    args->operand[0], args->operand[1], args->n > 2 ? " and others" : "");
	return alias_change(cli, args, "alias.add", done);
}

static int
alias_remove(struct cli *cli, const struct cli_args *args)
{
	char done[600];

	if (args->n == 1)
		snprintf(done, sizeof(done), "Removed the alias %.250s.", args->operand[0]);
	else
		snprintf(done, sizeof(done), "Mail to %.250s no longer goes to %.250s%s.",
		    args->operand[0], args->operand[1], args->n > 2 ? " and others" : "");
	return alias_change(cli, args, "alias.remove", done);
}

/* The server gives a row a target; people and programs want a row an alias. */
static void
json_aliases(struct json *j, const struct rows *rows)
{
	json_open(j, '[');
	for (size_t i = 0; i < rows->n;) {
		const char *address = row_text(&rows->at[i], "address");

		json_open(j, '{');
		json_pair(j, "address", address);
		json_key(j, "targets");
		json_open(j, '[');
		for (; i < rows->n && strcmp(row_text(&rows->at[i], "address"), address) == 0; i++)
			json_text(j, row_text(&rows->at[i], "target"));
		json_close(j, ']');
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* The address only in the first of its lines. */
static void
print_aliases(struct cli *cli, const struct rows *rows)
{
	static const struct column columns[] = {
		{ "address", "ADDRESS", COLUMN_TEXT, false },
		{ "target", "GOES TO", COLUMN_TEXT, false },
		{ NULL, NULL, COLUMN_TEXT, false },
	};
	struct table_style style = cli_style(cli);
	const char *last = "";
	struct rows shown;

	rows_init(&shown);
	for (size_t i = 0; i < rows->n; i++) {
		const char *address = row_text(&rows->at[i], "address");
		struct admin_word words[] = { { "address",
						  strcmp(address, last) == 0 ? "" : address },
			{ "target", row_text(&rows->at[i], "target") } };

		rows_add(&shown, words, COUNT(words));
		last = address;
	}
	table_text(&cli->out, &shown, columns, &style);
	rows_free(&shown);
}

static int
alias_list(struct cli *cli, const struct cli_args *args)
{
	struct admin_request rq;
	struct err err = { .kind = ERR_NONE };
	struct rows rows;
	struct json j;
	int rc;

	cli_rq(&rq, "alias.list");
	cli_rq_word(&rq, "domain", args->n > 0 ? args->operand[0] : NULL);
	rows_init(&rows);
	rc = cli_ask(cli, &rq, &rows, &err);
	if (rc == 0 && cli->json) {
		json_init(&j, &cli->out);
		json_aliases(&j, &rows);
	} else if (rc == 0 && rows.n == 0)
		cli_say(cli, "No aliases%s.", args->n > 0 ? " in this domain" : " yet");
	else if (rc == 0)
		print_aliases(cli, &rows);
	rows_free(&rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

const struct cli_command cli_alias_commands[] = {
	{ "alias", "add", alias_add, "ADDRESS TARGET...", 2, CLI_ANY, NULL,
	    "send what comes for ADDRESS to the targets (@DOMAIN: every name nobody has)" },
	{ "alias", "remove", alias_remove, "ADDRESS [TARGET...]", 1, CLI_ANY, NULL,
	    "take these targets away, or the whole alias" },
	{ "alias", "list", alias_list, "[DOMAIN]", 0, 1, NULL, "all aliases" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
