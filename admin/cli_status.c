/* cli_status - what runs and what waits; and reload */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "admin/cli.h"
#include "admin/cli_destination.h"
#include "admin/text.h"
#include "base/clock.h"

static const struct column role_columns[] = {
	{ "name", "PROCESS", COLUMN_TEXT, false },
	{ "pid", "PID", COLUMN_NUMBER, false },
	{ "state", "STATE", COLUMN_STATE, false },
	{ "restarts", "RESTARTS", COLUMN_NUMBER, false },
	{ "user", "USER", COLUMN_TEXT, true },
	{ "number", NULL, COLUMN_NUMBER, true },
	{ NULL, NULL, COLUMN_TEXT, false },
};

#define PATIENCE_S 3 /* for each part: who looks wants to see what is wrong, not wait for it */

struct part { /* what one role says; `err` when it does not */
	struct rows rows;
	struct err err;
};
struct answers {
	struct rows roles, destinations;
	struct part queue, clients, control;
	uint64_t space;
};

static bool
is_number(const char *text)
{
	uint64_t n;

	return slice_to_u64(slice_of(text), &n);
}

static void
json_since(struct json *j, const char *value)
{
	int64_t since = strtoll(value, NULL, 10);
	char iso[40];

	if (since == 0) {
		json_null(j);
		return;
	}
	clock_iso(since, iso);
	json_text(j, iso);
}

static void
json_part(struct json *j, const char *key, const struct part *part)
{
	const struct rows *rows = &part->rows;

	json_key(j, key);
	json_open(j, '{');
	for (size_t i = 0; rows->n > 0 && i < rows->at[0].n; i++) {
		const struct admin_word *w = &rows->at[0].words[i];

		json_key(j, w->key);
		if (strcmp(w->key, "since") == 0)
			json_since(j, w->value);
		else if (is_number(w->value))
			json_number(j, strtoll(w->value, NULL, 10));
		else
			json_text(j, w->value);
	}
	if (part->err.kind != ERR_NONE) {
		json_key(j, "error");
		json_text(j, part->err.text);
	}
	json_close(j, '}');
}

/* {roles: [...], queue: {...}, clients: {...}, control: {...}, space: N}; of a part that is not
 * known, `error` says why */
static void
status_json(struct cli *cli, const struct answers *a)
{
	struct json j;

	json_init(&j, &cli->out);
	json_open(&j, '{');
	json_key(&j, "roles");
	table_json(&j, &a->roles, role_columns);
	json_part(&j, "queue", &a->queue);
	json_part(&j, "clients", &a->clients);
	json_part(&j, "control", &a->control);
	json_key(&j, "destinations");
	table_json(&j, &a->destinations, cli_destination_columns);
	json_key(&j, "space");
	json_number(&j, (int64_t)a->space);
	json_close(&j, '}');
}

static void
clients_text(struct cli *cli, const struct row *c)
{
	char memory[TEXT_SHOWN], most[TEXT_SHOWN], since[TEXT_SHOWN];

	text_show_size((uint64_t)row_number(c, "memory"), memory);
	text_show_size((uint64_t)row_number(c, "memory_max"), most);
	cli_say(cli, "Clients  %s of %s connections, which hold %s of %s of memory",
	    row_text(c, "connections"), row_text(c, "connections_max"), memory, most);
	if (strcmp(row_text(c, "level"), "calm") != 0) {
		text_show_time(row_number(c, "since"), clock_now(), since);
		cli_say(cli, "Overload %s since %s: too %s; strangers are sent away before users",
		    row_text(c, "level"), since,
		    strcmp(row_text(c, "reason"), "memory") == 0 ? "much memory is in use"
								 : "many connections");
	}
	if (row_number(c, "shed") + row_number(c, "turned_away") > 0)
		cli_say(cli, "Shed     %s strangers sent away, %s turned away (since the start)",
		    row_text(c, "shed"), row_text(c, "turned_away"));
}

static void
unknown_text(struct cli *cli, const char *what, enum role role, const struct part *part)
{
	if (part->err.kind != ERR_NONE)
		cli_say(cli, "%s not known: %s (it is asked of %s)", what, part->err.text,
		    role_name(role));
}

static void
status_text(struct cli *cli, const struct answers *a)
{
	struct table_style style = cli_style(cli);
	char space[TEXT_SHOWN];

	table_text(&cli->out, &a->roles, role_columns, &style);
	buf_char(&cli->out, '\n');
	if (a->queue.rows.n > 0) {
		const struct row *q = &a->queue.rows.at[0];
		int64_t messages = row_number(q, "messages");
		const char *intake = row_text(q, "intake");

		if (messages == 0)
			cli_say(cli, "Queue    empty");
		else
			cli_say(cli, "Queue    %lld message%s for %s recipients, %s of them held",
			    (long long)messages, messages == 1 ? "" : "s",
			    row_text(q, "recipients"), row_text(q, "held"));
		cli_say(cli,
		    "Done     %s accepted, %s delivered here, %s handed on, %s returned (since the "
		    "start)",
		    row_text(q, "accepted"), row_text(q, "delivered"), row_text(q, "relayed"),
		    row_text(q, "bounced"));
		cli_queue_destinations(cli);
		if (*intake != '\0' && strcmp(intake, "open") != 0)
			cli_say(cli, "Intake   STOPPED: %s", intake);
	}
	unknown_text(cli, "Queue   ", ROLE_QUEUE, &a->queue);
	if (a->clients.rows.n > 0)
		clients_text(cli, &a->clients.rows.at[0]);
	unknown_text(cli, "Clients ", ROLE_SMTPD, &a->clients);
	text_show_size(a->space, space);
	cli_say(cli, "Disk     %s free", space);
	if (a->control.rows.n > 0 && row_number(&a->control.rows.at[0], "lines_dropped") > 0)
		cli_say(cli, "Log      %s lines were lost: nobody read the log fast enough",
		    row_text(&a->control.rows.at[0], "lines_dropped"));
	if (a->control.rows.n > 0 && row_number(&a->control.rows.at[0], "events_dropped") > 0)
		cli_say(cli, "History  %s events were lost under load",
		    row_text(&a->control.rows.at[0], "events_dropped"));
}

static int
ask(struct cli *cli, const char *verb, struct rows *rows, struct err *err)
{
	struct admin_request rq;

	cli_rq(&rq, verb);
	return cli_ask(cli, &rq, rows, err);
}

/* One role that does not answer must not hide the others. */
static void
ask_part(struct cli *cli, const char *verb, struct part *part)
{
	part->err = (struct err){ .kind = ERR_NONE };
	ask(cli, verb, &part->rows, &part->err);
}

static int
status(struct cli *cli, const struct cli_args *args)
{
	struct err err = { .kind = ERR_NONE };
	struct answers a = { .space = 0 };
	struct statvfs fs;
	int rc;

	(void)args;
	if (cli_conf(cli) == NULL)
		return CLI_FAILED;
	rows_init(&a.roles);
	rows_init(&a.destinations);
	rows_init(&a.queue.rows);
	rows_init(&a.clients.rows);
	rows_init(&a.control.rows);
	cli->patience = PATIENCE_S;
	rc = ask(cli, "role.list", &a.roles, &err);
	if (rc == 0) {
		ask_part(cli, "queue.stats", &a.queue);
		ask_part(cli, "clients.stats", &a.clients);
		ask_part(cli, "status", &a.control);
		if (cli->json) {
			struct err ignored = { .kind = ERR_NONE };

			cli_notable_destinations(cli, &a.destinations, &ignored);
		}
		if (statvfs(cli_conf(cli)->state_dir, &fs) == 0)
			a.space = (uint64_t)fs.f_bavail * fs.f_frsize;
		if (cli->json)
			status_json(cli, &a);
		else
			status_text(cli, &a);
	}
	rows_free(&a.roles);
	rows_free(&a.destinations);
	rows_free(&a.queue.rows);
	rows_free(&a.clients.rows);
	rows_free(&a.control.rows);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static int
reload(struct cli *cli, const struct cli_args *args)
{
	struct admin_request rq;

	(void)args;
	/* The own look at the file names file and line before the server is asked. */
	if (cli_conf(cli) == NULL)
		return CLI_FAILED;
	cli_rq(&rq, "server.reload");
	return cli_do(cli, &rq, "The server runs on the new configuration.");
}

const struct cli_command cli_status_commands[] = {
	{ "status", NULL, status, NULL, 0, 0, NULL, "what runs, what waits" },
	{ "reload", NULL, reload, NULL, 0, 0, NULL,
	    "take a changed configuration, new keys and certificates" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
