/* cli_trace - where is my mail, and why? The story of messages in plain words
 *
 * Events come from history.db; how a message stands now, from the queue. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/cli.h"
#include "admin/story.h"
#include "admin/text.h"
#include "base/clock.h"

#define MESSAGES_MAX 1000 /* told one by one */
#define FOLLOW_MS 500

static const struct column columns[] = {
	{ "time", NULL, COLUMN_CLOCK, false },
	{ "id", NULL, COLUMN_TEXT, false },
	{ "event", NULL, COLUMN_TEXT, false },
	{ "text", NULL, COLUMN_TEXT, false },
	{ "from", NULL, COLUMN_TEXT, false },
	{ "to", NULL, COLUMN_TEXT, false },
	{ "ip", NULL, COLUMN_TEXT, false },
	{ "msgid", NULL, COLUMN_TEXT, false },
	{ "user", NULL, COLUMN_TEXT, false },
	{ "role", NULL, COLUMN_TEXT, true },
	{ "seq", NULL, COLUMN_NUMBER, true },
	{ NULL, NULL, COLUMN_TEXT, false },
};

struct question {
	struct admin_request rq;
	char since[24], after[24];
};

static int
question(struct cli *cli, const struct cli_args *args, struct question *q)
{
	const char *since = cli_option(args, "since");
	struct err err = { .kind = ERR_NONE };
	int64_t seconds;

	cli_rq(&q->rq, "trace");
	cli_rq_word(&q->rq, "what", args->operand[0]);
	if (since == NULL)
		return CLI_DONE;
	if (text_span(since, &seconds, &err) == -1)
		return cli_error(cli, &err);
	snprintf(q->since, sizeof(q->since), "%" PRId64, clock_now() - seconds * CLOCK_SECOND);
	cli_rq_word(&q->rq, "since", q->since);
	return CLI_DONE;
}

/* -- for programs */

static void
json_event(struct json *j, const struct row *row)
{
	struct buf words;

	json_open(j, '{');
	table_json_members(j, row, columns);
	buf_init(&words, 16 * 1024);
	story_sentence(&words, row);
	json_pair(j, "words", buf_cstr(&words));
	json_pair(j, "class", story_meaning(row)->name);
	json_pair(j, "means", story_meaning(row)->means);
	json_pair(j, "advice", story_meaning(row)->admin);
	buf_free(&words);
	json_close(j, '}');
}

static void
json_events(struct cli *cli, const struct rows *rows)
{
	struct json j;

	json_init(&j, &cli->out);
	json_open(&j, '[');
	for (size_t i = 0; i < rows->n; i++)
		json_event(&j, &rows->at[i]);
	json_close(&j, ']');
}

/* -- for people */

/* "05:52:28.123"; another day in front. */
static void
print_time(struct buf *out, int64_t us, int64_t now)
{
	char shown[TEXT_SHOWN];

	text_show_time(us, now, shown);
	buf_printf(out, "  %s.%03d  ", shown, (int)(us % CLOCK_SECOND / 1000));
}

/* What a refusal means, below it. */
static void
print_meaning(struct cli *cli, const struct row *row)
{
	const struct refusal_words *is = story_meaning(row);

	if (is->means[0] != '\0')
		cli_say(cli, "                that means: %s", is->means);
	if (is->means[0] != '\0' && story_event(row_text(row, "event")) == EVENT_BOUNCED)
		cli_say(cli, "                to do: %s", is->admin);
}

static void
print_event(struct cli *cli, const struct row *row, int64_t now)
{
	struct buf words;

	buf_init(&words, 16 * 1024);
	story_sentence(&words, row);
	print_time(&cli->out, row_number(row, "time"), now);
	text_show(&cli->out, buf_all(&words));
	buf_char(&cli->out, '\n');
	buf_free(&words);
	print_meaning(cli, row);
}

/* The head line of a message: its id, and its Message-ID when an event knows it. */
static void
print_head(struct cli *cli, const struct rows *rows, const char *id)
{
	if (cli->colour)
		buf_text(&cli->out, "\033[1m");
	text_show(&cli->out, slice_of(id));
	if (cli->colour)
		buf_text(&cli->out, "\033[0m");
	for (size_t i = 0; i < rows->n; i++) {
		const char *msgid = row_text(&rows->at[i], "msgid");

		if (*msgid == '\0' || strcmp(row_text(&rows->at[i], "id"), id) != 0)
			continue;
		buf_text(&cli->out, *msgid == '<' ? "  " : "  <");
		text_show(&cli->out, slice_of(msgid));
		buf_text(&cli->out, *msgid == '<' ? "" : ">");
		break;
	}
	buf_char(&cli->out, '\n');
}

static void
print_waiting(struct cli *cli, const struct row *r)
{
	int64_t now = clock_now(), next = row_number(r, "next");
	const char *reason = row_text(r, "reason");
	char when[TEXT_SHOWN] = "soon";

	if (next > now)
		text_show_when(next, now, when);
	if (strcmp(row_text(r, "state"), "held") == 0)
		cli_say(cli, "= Held back for %s; `tegami queue release %s` lets it go.",
		    row_text(r, "to"), row_text(r, "id"));
	else
		cli_say(cli, "= Still waiting for %s: next try %s%s%s.", row_text(r, "to"), when,
		    *reason ? ", because: " : "", reason);
}

/* Ask the queue how the rest of it stands. */
static void
print_rest(struct cli *cli, const char *id)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows rows;

	if (!cli_server_up(cli)) {
		cli_say(cli, "= Still in the queue when the server stopped; it goes on when the "
			     "server is started.");
		return;
	}
	cli_rq(&rq, "queue.show");
	cli_rq_word(&rq, "id", id);
	rows_init(&rows);
	if (cli_ask(cli, &rq, &rows, &err) == 0)
		for (size_t i = 0; i < rows.n; i++)
			print_waiting(cli, &rows.at[i]);
	else if (err.kind != ERR_NOT_FOUND)
		cli_say(cli, "= How it stands now is not known: %s", err.text);
	else
		cli_say(cli, "= No longer in the queue; the events of its end are not in the "
			     "history (yet).");
	rows_free(&rows);
}

static void
print_end(struct cli *cli, const struct rows *rows, const char *id)
{
	struct slice rest, line;
	enum story_end end;
	struct buf b;

	buf_init(&b, 1 << 20);
	end = story_end(&b, rows, id);
	rest = buf_all(&b);
	while (slice_line(&rest, &line))
		cli_say(cli, "= %.*s", SLICE_ARG(line));
	if (end == STORY_WAITING)
		print_rest(cli, id);
	buf_free(&b);
}

static void
print_story(struct cli *cli, const struct rows *rows, const char *id)
{
	int64_t now = clock_now();

	print_head(cli, rows, id);
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(row_text(&rows->at[i], "id"), id) == 0)
			print_event(cli, &rows->at[i], now);
	print_end(cli, rows, id);
}

/* Was this id told of before row i? */
static bool
told_before(const struct rows *rows, size_t i, const char *id)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(row_text(&rows->at[k], "id"), id) == 0)
			return true;
	return false;
}

/* Message by message, in the order of their first event; events of no message stand where they
 * happened. */
static void
print_stories(struct cli *cli, const struct rows *rows)
{
	int64_t now = clock_now();
	size_t stories = 0;
	bool in_story = false;

	for (size_t i = 0; i < rows->n && stories < MESSAGES_MAX; i++) {
		const char *id = row_text(&rows->at[i], "id");

		if (*id == '\0') {
			if (in_story)
				buf_char(&cli->out, '\n');
			in_story = false;
			print_event(cli, &rows->at[i], now);
		} else if (!told_before(rows, i, id)) {
			if (i > 0)
				buf_char(&cli->out, '\n');
			in_story = true;
			stories++;
			print_story(cli, rows, id);
		}
	}
	if (stories == MESSAGES_MAX)
		cli_say(cli, "\nThese are the first %d messages; --since makes it shorter.",
		    MESSAGES_MAX);
}

/* -- staying with it */

static void
follow_rows(struct cli *cli, const struct rows *rows)
{
	int64_t now = clock_now();
	struct json j;

	for (size_t i = 0; i < rows->n; i++) {
		if (cli->json) {
			json_init(&j, &cli->out);
			json_event(&j, &rows->at[i]);
			continue;
		}
		if (*row_text(&rows->at[i], "id") != '\0')
			buf_printf(&cli->out, "%s", row_text(&rows->at[i], "id"));
		print_event(cli, &rows->at[i], now);
	}
	cli_flush(cli);
}

static int
follow(struct cli *cli, struct question *q)
{
	static const struct timespec pause = { 0, FOLLOW_MS * 1000000L };
	size_t base = q->rq.n_words;
	struct err err = { .kind = ERR_NONE };
	int64_t last = 0;
	int rc;

	if (!cli_server_up(cli))
		return cli_fail(cli, "the server is not running: there is nothing to follow");
	do {
		struct rows rows;

		rows_init(&rows);
		rc = cli_ask(cli, &q->rq, &rows, &err);
		follow_rows(cli, &rows);
		for (size_t i = 0; i < rows.n; i++)
			if (row_number(&rows.at[i], "seq") > last)
				last = row_number(&rows.at[i], "seq");
		rows_free(&rows);
		snprintf(q->after, sizeof(q->after), "%" PRId64, last);
		q->rq.n_words = base;
		cli_rq_word(&q->rq, "after", q->after);
		nanosleep(&pause, NULL);
	} while (rc == 0 && !ferror(stdout));
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static int
trace(struct cli *cli, const struct cli_args *args)
{
	struct err err = { .kind = ERR_NONE };
	struct question q;
	struct rows rows;
	int rc;

	if (question(cli, args, &q) != CLI_DONE)
		return CLI_USAGE;
	if (cli_option(args, "follow") != NULL)
		return follow(cli, &q);
	rows_init(&rows);
	rc = cli_ask(cli, &q.rq, &rows, &err);
	if (rc == 0 && cli->json)
		json_events(cli, &rows);
	else if (rc == 0 && rows.n == 0)
		rc = err_set(&err, ERR_NOT_FOUND, "nothing is known of %.200s%s", args->operand[0],
		    cli_option(args, "since") ? " in that time"
					      : "; events are kept as long as history.keep says");
	else if (rc == 0)
		print_stories(cli, &rows);
	rows_free(&rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static const struct cli_option options[] = {
	{ "since", "SPAN", "only what happened in the last 10m, 2d ..." },
	{ "follow", NULL, "go on telling as it happens" },
	{ NULL, NULL, NULL },
};

const struct cli_command cli_trace_commands[] = {
	{ "trace", NULL, trace, "ID|MESSAGE-ID|ADDRESS|IP", 1, 1, options,
	    "where is my mail, and why?" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
