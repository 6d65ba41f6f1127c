/* cli_check - is everything as it should be? A row each: what, how it is, and what to do
 *
 * Each check is a function in the table; it adds rows. Here are those that ask the server, which
 * say nothing while it is down; those that ask the machine are in cli_check_host.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/cli_check.h"
#include "admin/text.h"

#define ROW_TEXT 700

static const struct column columns[] = {
	{ "state", NULL, COLUMN_STATE, false },
	{ "name", NULL, COLUMN_TEXT, false },
	{ "text", NULL, COLUMN_TEXT, false },
	{ "advice", NULL, COLUMN_TEXT, false },
	{ NULL, NULL, COLUMN_TEXT, false },
};

void
check_add(struct check *c, const char *name, enum check_state state, const char *advice,
    const char *fmt, ...)
{
	static const char *const names[] = { "ok", "warning", "error" };
	char text[ROW_TEXT];
	struct admin_word words[] = { { "name", name }, { "state", names[state] }, { "text", text },
		{ "advice", state == CHECK_OK ? "" : advice } };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rows_add(&c->rows, words, COUNT(words));
}

/* -- what the server knows */

static void
check_server(struct check *c)
{
	struct admin_request rq;
	struct err err = { .kind = ERR_NONE };
	struct rows roles;
	size_t bad = 0;

	if (!c->up) {
		check_add(
		    c, "server", CHECK_WARNING, "start it with `tegamid`", "it is not running");
		return;
	}
	rows_init(&roles);
	cli_rq(&rq, "role.list");
	if (cli_ask(c->cli, &rq, &roles, &err) == -1)
		check_add(c, "server", CHECK_ERROR, "read the log of tegamid",
		    "its processes are not known: %s", err.text);
	for (size_t i = 0; i < roles.n; i++) {
		const char *state = row_text(&roles.at[i], "state");

		if (strcmp(state, "running") == 0 || strcmp(state, "ready") == 0 ||
		    strcmp(state, "leaving") == 0)
			continue;
		bad++;
		check_add(c, "server", CHECK_ERROR,
		    "read the log; a process that keeps dying says why there", "%s is %s",
		    row_text(&roles.at[i], "name"), state);
	}
	if (err.kind == ERR_NONE && bad == 0)
		check_add(c, "server", CHECK_OK, "", "all %zu processes run", roles.n);
	rows_free(&roles);
}

/* What the directory finds of itself: users without a domain, aliases into nowhere ... */
static void
check_directory(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;

	cli_rq(&rq, "directory.check");
	if (cli_ask(c->cli, &rq, &c->rows, &err) == -1 && err.text[0] != '\0')
		check_add(c, "directory", CHECK_ERROR, "see what the message says", "%s", err.text);
}

static void
check_world(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;

	if (!c->up)
		return;
	cli_rq(&rq, "status.check");
	if (cli_ask(c->cli, &rq, &c->rows, &err) == -1)
		check_add(c, "dns", CHECK_WARNING, "try again in a moment", "%s", err.text);
}

static void
check_queue(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows q;
	const char *intake, *held;

	if (!c->up)
		return;
	rows_init(&q);
	cli_rq(&rq, "queue.stats");
	if (cli_ask(c->cli, &rq, &q, &err) == 0 && q.n > 0) {
		intake = row_text(&q.at[0], "intake");
		held = row_text(&q.at[0], "held");
		if (*intake != '\0' && strcmp(intake, "open") != 0)
			check_add(c, "queue", CHECK_ERROR,
			    "mend that; mail is taken again by itself", "no mail is taken: %s",
			    intake);
		else if (atoll(held) > 0)
			check_add(c, "queue", CHECK_WARNING,
			    "look at them with `tegami queue list`", "%s are held back", held);
		else
			check_add(c, "queue", CHECK_OK, "", "%s messages wait",
			    row_text(&q.at[0], "messages"));
	}
	rows_free(&q);
}

static bool
has_key(const struct rows *keys, const char *domain)
{
	for (size_t i = 0; i < keys->n; i++)
		if (strcasecmp(row_text(&keys->at[i], "domain"), domain) == 0)
			return true;
	return false;
}

static void
check_dkim(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows domains, keys;
	char advice[400];

	rows_init(&domains);
	rows_init(&keys);
	cli_rq(&rq, "domain.list");
	if (cli_ask(c->cli, &rq, &domains, &err) == 0 && cli_dkim_keys(c->cli, &keys, &err) == 0) {
		for (size_t i = 0; i < domains.n; i++) {
			const char *domain = row_text(&domains.at[i], "domain");

			snprintf(advice, sizeof(advice), "tegami dkim create %.250s", domain);
			if (has_key(&keys, domain))
				check_add(c, "dkim", CHECK_OK, "", "mail of %s is signed", domain);
			else
				check_add(c, "dkim", CHECK_WARNING, advice,
				    "mail of %s is not signed", domain);
		}
		if (domains.n == 0)
			check_add(c, "domains", CHECK_WARNING, "tegami domain add example.org",
			    "there is none yet: no mail can arrive");
	}
	rows_free(&domains);
	rows_free(&keys);
}

static void (*const checks[])(struct check *) = { check_server, check_state_dir, check_databases,
	check_directory, check_ports, check_certificates, check_dkim, check_antivirus, check_queue,
	check_clock, check_disk, check_world };

/* -- printing */

static void
print_rows(struct cli *cli, const struct rows *rows)
{
	struct table_style style = cli_style(cli);
	size_t problems = 0, warnings = 0;

	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->at[i];
		const char *state = row_text(r, "state"), *advice = row_text(r, "advice");
		size_t w = table_show(&cli->out, COLUMN_STATE, state, &style);

		problems += strcmp(state, "error") == 0;
		warnings += strcmp(state, "warning") == 0;
		buf_printf(&cli->out, "%*s", (int)(w < 9 ? 9 - w : 1), "");
		w = text_show(&cli->out, slice_of(row_text(r, "name")));
		buf_printf(&cli->out, "%*s", (int)(w < 14 ? 14 - w : 1), "");
		text_show(&cli->out, slice_of(row_text(r, "text")));
		buf_char(&cli->out, '\n');
		if (*advice != '\0') {
			buf_printf(&cli->out, "%23s-> ", "");
			text_show(&cli->out, slice_of(advice));
			buf_char(&cli->out, '\n');
		}
	}
	if (problems + warnings == 0)
		cli_say(cli, "\nAll is well.");
	else if (problems == 0)
		cli_say(cli, "\nNo errors, %zu warning%s.", warnings, warnings == 1 ? "" : "s");
	else
		cli_say(cli, "\n%zu error%s, %zu warning%s.", problems, problems == 1 ? "" : "s",
		    warnings, warnings == 1 ? "" : "s");
}

static bool
any_error(const struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(row_text(&rows->at[i], "state"), "error") == 0)
			return true;
	return false;
}

static int
finish(struct check *c)
{
	int status = any_error(&c->rows) ? CLI_FAILED : CLI_DONE;
	struct json j;

	if (c->cli->json) {
		json_init(&j, &c->cli->out);
		table_json(&j, &c->rows, columns);
	} else
		print_rows(c->cli, &c->rows);
	rows_free(&c->rows);
	return status;
}

static int
check(struct cli *cli, const struct cli_args *args)
{
	struct check c = { .cli = cli };
	struct err err = { .kind = ERR_NONE };

	(void)args;
	rows_init(&c.rows);
	if (access(cli->config_file, F_OK) == 0 && cli->conf == NULL)
		cli->conf = conf_read(cli->config_file, &err);
	c.conf = cli->conf;
	if (c.conf == NULL) {
		check_add(&c, "config", CHECK_ERROR,
		    err.kind == ERR_NONE
			? "make one with `tegami init HOSTNAME`, or name it with -c FILE"
			: "correct these lines; `tegami config explain OPTION` helps",
		    err.kind == ERR_NONE ? "there is no configuration at %s" : "%s",
		    err.kind == ERR_NONE ? cli->config_file : err.text);
		return finish(&c);
	}
	check_add(&c, "config", CHECK_OK, "", "%s reads well", cli->config_file);
	c.up = cli_server_up(cli);
	for (size_t i = 0; i < COUNT(checks); i++)
		checks[i](&c);
	return finish(&c);
}

const struct cli_command cli_check_commands[] = {
	{ "check", NULL, check, NULL, 0, 0, NULL,
	    "is everything as it should be? A row each, and what to do" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
