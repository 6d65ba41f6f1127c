/* cli_queue - mail that waits, and what can be done with it
 *
 * `queue` answers a row a recipient; people and programs see a message with its recipients. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/cli.h"
#include "admin/cli_destination.h"
#include "admin/cli_rescue.h"
#include "admin/text.h"
#include "base/clock.h"

#define IDS_MAX 200
#define PATTERN_ROOM 200

static const struct column message_columns[] = {
	{ "id", NULL, COLUMN_TEXT, false },
	{ "from", NULL, COLUMN_TEXT, false },
	{ "size", NULL, COLUMN_SIZE, false },
	{ "created", NULL, COLUMN_TIME, false },
	{ "state", NULL, COLUMN_TEXT, false },
	{ NULL, NULL, COLUMN_TEXT, false },
};
static const struct column recipient_columns[] = {
	{ "to", NULL, COLUMN_TEXT, false },
	{ "state", NULL, COLUMN_TEXT, false },
	{ "attempts", NULL, COLUMN_NUMBER, false },
	{ "next", NULL, COLUMN_TIME, false },
	{ "reason", NULL, COLUMN_TEXT, false },
	{ "class", NULL, COLUMN_TEXT, false },
	{ "means", NULL, COLUMN_TEXT, false },
	{ "advice", NULL, COLUMN_TEXT, false },
	{ "destination", NULL, COLUMN_TEXT, false },
	{ NULL, NULL, COLUMN_TEXT, false },
};

/* -- a message is a run of rows with one id */

static size_t
run_end(const struct rows *rows, size_t i)
{
	const char *id = row_text(&rows->at[i], "id");

	while (i < rows->n && strcmp(row_text(&rows->at[i], "id"), id) == 0)
		i++;
	return i;
}

static size_t
messages_in(const struct rows *rows)
{
	size_t n = 0;

	for (size_t i = 0; i < rows->n; i = run_end(rows, i))
		n++;
	return n;
}

/* The message waits as its first recipient does; held only when all are. */
static const char *
state_of(const struct rows *rows, size_t i, size_t end)
{
	for (; i + 1 < end; i++)
		if (strcmp(row_text(&rows->at[i], "state"), "held") != 0)
			break;
	return row_text(&rows->at[i], "state");
}

static void
json_message(struct json *j, const struct rows *rows, size_t i, size_t end)
{
	const struct row *first = &rows->at[i];

	json_open(j, '{');
	for (const struct column *c = message_columns; c->key != NULL; c++) {
		json_key(j, c->key);
		table_json_value(j, c->kind,
		    strcmp(c->key, "state") == 0 ? state_of(rows, i, end)
						 : row_text(first, c->key));
	}
	json_key(j, "recipients");
	json_open(j, '[');
	for (; i < end; i++) {
		json_open(j, '{');
		for (const struct column *c = recipient_columns; c->key != NULL; c++) {
			json_key(j, c->key);
			table_json_value(j, c->kind, row_text(&rows->at[i], c->key));
		}
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
}

/* "waiting, tried 3 times, next try in 5 minutes" */
static void
print_state(struct cli *cli, const struct row *r, int64_t now)
{
	int64_t next = row_number(r, "next"), tries = row_number(r, "attempts");
	const char *state = row_text(r, "state"), *destination = row_text(r, "destination");
	struct table_style style = cli_style(cli);
	char when[TEXT_SHOWN];

	table_show(&cli->out, COLUMN_STATE, state, &style);
	if (tries > 0)
		buf_printf(&cli->out, ", tried %s", tries == 1 ? "once" : "");
	if (tries > 1)
		buf_printf(&cli->out, "%" PRId64 " times", tries);
	if (strcmp(destination, "suspended") == 0)
		buf_text(&cli->out, ", mail to its domain is suspended");
	else if (next > 0 && strcmp(state, "held") != 0) {
		text_show_when(next, now, when);
		buf_printf(&cli->out, ", next try %s", next <= now ? "now" : when);
	}
}

static void
print_words(struct cli *cli, const char *before, const char *words)
{
	if (*words == '\0')
		return;
	buf_printf(&cli->out, "\n       %s: ", before);
	text_show(&cli->out, slice_of(words));
}

static void
print_recipient(struct cli *cli, const struct row *r, int64_t now, bool whole)
{
	const char *original = row_text(r, "original");

	buf_text(&cli->out, "    to ");
	text_show(&cli->out, slice_of(row_text(r, "to")));
	if (whole && *original != '\0' && strcmp(original, row_text(r, "to")) != 0) {
		buf_text(&cli->out, " (sent to ");
		text_show(&cli->out, slice_of(original));
		buf_char(&cli->out, ')');
	}
	buf_text(&cli->out, "  ");
	print_state(cli, r, now);
	print_words(cli, "because", row_text(r, "reason"));
	print_words(cli, "that means", row_text(r, "means"));
	if (whole)
		print_words(cli, "to do", row_text(r, "advice"));
	buf_char(&cli->out, '\n');
}

static void
print_message(struct cli *cli, const struct rows *rows, size_t i, size_t end, bool whole)
{
	const struct row *first = &rows->at[i];
	const char *from = row_text(first, "from");
	char size[TEXT_SHOWN], when[TEXT_SHOWN];
	int64_t now = clock_now();

	text_show_size((uint64_t)row_number(first, "size"), size);
	text_show_when(row_number(first, "created"), now, when);
	if (cli->colour)
		buf_text(&cli->out, "\033[1m");
	text_show(&cli->out, slice_of(row_text(first, "id")));
	if (cli->colour)
		buf_text(&cli->out, "\033[0m");
	buf_text(&cli->out, "  from ");
	if (*from == '\0')
		buf_text(&cli->out, "<> (a report)");
	else
		text_show(&cli->out, slice_of(from));
	buf_printf(&cli->out, "  %s, came %s\n", size, when);
	for (; i < end; i++)
		print_recipient(cli, &rows->at[i], now, whole);
}

static void
print_messages(struct cli *cli, const struct rows *rows)
{
	uint64_t bytes = 0;
	size_t n = messages_in(rows);
	char size[TEXT_SHOWN];

	for (size_t i = 0, end; i < rows->n; i = end) {
		end = run_end(rows, i);
		bytes += (uint64_t)row_number(&rows->at[i], "size");
		print_message(cli, rows, i, end, false);
	}
	text_show_size(bytes, size);
	cli_say(cli, "%zu message%s, %zu recipient%s, %s.", n, n == 1 ? "" : "s", rows->n,
	    rows->n == 1 ? "" : "s", size);
}

static void
json_messages(struct cli *cli, const struct rows *rows)
{
	struct json j;

	json_init(&j, &cli->out);
	json_open(&j, '[');
	for (size_t i = 0, end; i < rows->n; i = end) {
		end = run_end(rows, i);
		json_message(&j, rows, i, end);
	}
	json_close(&j, ']');
}

/* -- which messages */

/* A pattern for the server: a plain word means "has it in it". */
static const char *
pattern(const char *text, bool whole, char room[static PATTERN_ROOM])
{
	if (text == NULL || whole || strpbrk(text, "*?[") != NULL ||
	    strlen(text) > PATTERN_ROOM - 3)
		return text;
	snprintf(room, PATTERN_ROOM, "*%s*", text);
	return room;
}

struct texts { /* what the words of a request point to */
	char older[24], from[PATTERN_ROOM], to[PATTERN_ROOM], error[PATTERN_ROOM];
};

static bool
is_address(const char *text)
{
	return text != NULL && strchr(text, '@') > text;
}

static int
filters(struct cli *cli, const struct cli_args *args, struct admin_request *rq, struct texts *t)
{
	const char *from = cli_option(args, "from"), *to = cli_option(args, "to");
	const char *span = cli_option(args, "older");
	struct err err = { .kind = ERR_NONE };
	int64_t seconds;

	cli_rq_word(rq, "from", pattern(from, is_address(from), t->from));
	cli_rq_word(rq, "to", pattern(to, is_address(to), t->to));
	cli_rq_word(rq, "domain", cli_option(args, "domain"));
	cli_rq_word(rq, "error", pattern(cli_option(args, "error"), false, t->error));
	if (span == NULL)
		return CLI_DONE;
	if (text_span(span, &seconds, &err) == -1)
		return cli_error(cli, &err);
	snprintf(t->older, sizeof(t->older), "%" PRId64, seconds);
	cli_rq_word(rq, "older", t->older);
	return CLI_DONE;
}

static int
queue_list(struct cli *cli, const struct cli_args *args)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows rows;
	struct texts texts;
	int rc;

	cli_rq(&rq, "queue.list");
	if (filters(cli, args, &rq, &texts) != CLI_DONE)
		return CLI_USAGE;
	rows_init(&rows);
	cli->counting = "recipients";
	rc = cli_ask(cli, &rq, &rows, &err);
	cli->counting = NULL;
	if (rc == 0 || rows.n > 0) {
		if (cli->json)
			json_messages(cli, &rows);
		else if (rows.n == 0)
			cli_say(cli, rq.n_words > 0 ? "Nothing like that in the queue."
						    : "The queue is empty.");
		else
			print_messages(cli, &rows);
		cli_queue_destinations(cli);
	}
	rows_free(&rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static int
queue_show(struct cli *cli, const struct cli_args *args)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows rows;
	struct json j;
	int rc;

	cli_rq(&rq, "queue.show");
	cli_rq_word(&rq, "id", args->operand[0]);
	rows_init(&rows);
	rc = cli_ask(cli, &rq, &rows, &err);
	if (rc == 0 && rows.n == 0)
		rc = err_set(&err, ERR_NOT_FOUND,
		    "%.40s is not in the queue (any more); `tegami trace %.40s` tells why",
		    args->operand[0], args->operand[0]);
	if (rc == 0 && cli->json) {
		json_init(&j, &cli->out);
		json_message(&j, &rows, 0, rows.n);
	} else if (rc == 0)
		print_message(cli, &rows, 0, rows.n, true);
	rows_free(&rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

/* -- doing something with them */

struct deed {
	const char *verb, *done, *would;
};

/* Every row is a recipient that was (or would be) changed; `queue` leaves out what it cannot touch
 * just now. */
static void
print_results(struct cli *cli, const struct deed *deed, const struct rows *rows, bool dry)
{
	size_t n = messages_in(rows);

	cli_say(cli, "%s %zu message%s%s", dry ? deed->would : deed->done, n, n == 1 ? "" : "s",
	    dry ? ":" : ".");
	for (size_t i = 0; dry && i < rows->n; i++) {
		const struct row *r = &rows->at[i];

		cli_say(cli, "  %s  from %s to %s", row_text(r, "id"), row_text(r, "from"),
		    row_text(r, "to"));
	}
}

static void
print_deed(struct cli *cli, const struct deed *deed, const struct rows *rows, bool dry)
{
	size_t n = messages_in(rows);
	struct json j;

	if (cli->json) {
		json_init(&j, &cli->out);
		json_open(&j, '{');
		json_key(&j, "ok");
		json_bool(&j, true);
		json_key(&j, "dry_run");
		json_bool(&j, dry);
		json_key(&j, "ids");
		json_open(&j, '[');
		for (size_t i = 0; i < rows->n; i = run_end(rows, i))
			json_text(&j, row_text(&rows->at[i], "id"));
		json_close(&j, ']');
		json_close(&j, '}');
		return;
	}
	if (n == 0) {
		cli_say(cli, "Nothing in the queue fits; nothing was done.");
		return;
	}
	print_results(cli, deed, rows, dry);
}

static int
queue_do(struct cli *cli, const struct cli_args *args, const struct deed *deed)
{
	bool dry = cli_option(args, "dry-run") != NULL;
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows rows;
	struct texts texts;
	int rc;

	if (args->n > IDS_MAX)
		return cli_fail(cli, "at most %d ids at a time; use --all or a filter", IDS_MAX);
	cli_rq(&rq, deed->verb);
	for (unsigned i = 0; i < args->n; i++)
		cli_rq_word(&rq, "id", args->operand[i]);
	cli_rq_word(&rq, "all", cli_option(args, "all") != NULL ? "1" : NULL);
	if (filters(cli, args, &rq, &texts) != CLI_DONE)
		return CLI_USAGE;
	if (rq.n_words == 0) {
		cli_fail(cli, "which messages? Give ids, a filter (--from, --to, --domain, "
			      "--older, --error), or --all");
		return CLI_USAGE;
	}
	cli_rq_word(&rq, "dry_run", dry ? "1" : NULL);
	rows_init(&rows);
	cli->counting = "recipients";
	rc = cli_ask(cli, &rq, &rows, &err);
	cli->counting = NULL;
	if (rc == 0)
		print_deed(cli, deed, &rows, dry);
	rows_free(&rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

#define DEED(name, done, would)                                                                    \
	static int queue_##name(struct cli *cli, const struct cli_args *args)                      \
	{                                                                                          \
		static const struct deed deed = { "queue." #name, done, would };                   \
		return queue_do(cli, args, &deed);                                                 \
	}
DEED(retry, "Trying again now:", "Would try again now:")
DEED(hold, "Holding back", "Would hold back")
DEED(release, "Released", "Would release")
DEED(bounce, "Returned to their senders:", "Would return to their senders:")
DEED(delete, "Deleted, without a word to anybody:", "Would delete")

#define FILTERS                                                                                    \
	{ "from", "PAT", "the sender looks like this (* stands for anything)" },                   \
	    { "to", "PAT", "a recipient looks like this" },                                        \
	    { "domain", "D", "a recipient is of this domain" },                                    \
	    { "older", "SPAN", "waiting for longer than 2h, 3d ..." },                             \
	{                                                                                          \
		"error", "PAT", "the last reason looks like this"                                  \
	}
static const struct cli_option list_options[] = { FILTERS, { NULL, NULL, NULL } };
static const struct cli_option deed_options[] = { FILTERS, { "all", NULL, "every message" },
	{ "dry-run", NULL, "only show which" }, { NULL, NULL, NULL } };

static const struct cli_option rescue_options[] = {
	{ "dry-run", NULL, "only say what could be saved" }, { NULL, NULL, NULL }
};

const struct cli_command cli_queue_commands[] = {
	{ "queue", "list", queue_list, NULL, 0, 0, list_options,
	    "what waits, for whom, why and until when" },
	{ "queue", "show", queue_show, "ID", 1, 1, NULL, "one message" },
	{ "queue", "retry", queue_retry, "[ID...]", 0, CLI_ANY, deed_options,
	    "try to deliver now" },
	{ "queue", "hold", queue_hold, "[ID...]", 0, CLI_ANY, deed_options,
	    "keep, and do not try" },
	{ "queue", "release", queue_release, "[ID...]", 0, CLI_ANY, deed_options, "undo hold" },
	{ "queue", "bounce", queue_bounce, "[ID...]", 0, CLI_ANY, deed_options,
	    "give up and tell the sender" },
	{ "queue", "delete", queue_delete, "[ID...]", 0, CLI_ANY, deed_options,
	    "throw away; nobody is told" },
	{ "queue", "rescue", cli_queue_rescue, NULL, 0, 0, rescue_options,
	    "save what a damaged queue.db still holds; the server must be stopped" },
	CLI_DESTINATION_COMMANDS,
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
