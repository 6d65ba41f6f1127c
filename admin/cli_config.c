/* cli_config - every option, explained; and the configuration in force */
#include <string.h>

#include "admin/cli.h"
#include "conf/explain.h"

static void
json_option(struct json *j, const struct conf_explained *e)
{
	json_open(j, '{');
	json_pair(j, "option", e->path);
	json_pair(j, "type", e->type);
	json_pair(j, "default", e->fallback);
	json_pair(j, "range", e->range);
	json_pair(j, "text", e->sentence);
	json_close(j, '}');
}

/* "listen.mx.kind" is the option "listen.NAME.kind": part by part, capitals stand for any name. */
static bool
is_asked(const char *asked, const char *path)
{
	struct slice a = slice_of(asked), p = slice_of(path);

	while (a.at != NULL && p.at != NULL) {
		struct slice wanted = slice_cut(&a, '.'), has = slice_cut(&p, '.');

		if (!slice_eq_nocase(wanted, has) &&
		    (has.len == 0 || has.at[0] < 'A' || has.at[0] > 'Z'))
			return false;
	}
	return a.at == NULL;
}

static int
explain_json(struct cli *cli, const char *asked)
{
	struct conf_explained e;
	char room[128];
	struct json j;

	json_init(&j, &cli->out);
	json_open(&j, '[');
	for (size_t i = 0; conf_explain_at(i, &e, room); i++)
		if (asked == NULL || is_asked(asked, e.path))
			json_option(&j, &e);
	json_close(&j, ']');
	return CLI_DONE;
}

static int
config_explain(struct cli *cli, const struct cli_args *args)
{
	const char *asked = args->n > 0 ? args->operand[0] : NULL;
	struct err err = { .kind = ERR_NONE };
	struct buf b;
	int rc;

	buf_init(&b, 1 << 20);
	rc = conf_explain(asked, &b, &err);
	if (rc == 0 && cli->json)
		explain_json(cli, asked);
	else if (rc == 0)
		buf_slice(&cli->out, buf_all(&b));
	buf_free(&b);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

struct shown {
	struct cli *cli;
	struct rows rows;
	struct json json;
};

static void
show_one(void *arg, const char *path, const char *value, bool changed)
{
	struct shown *s = arg;
	struct admin_word words[] = { { "option", path }, { "value", value },
		{ "set", changed ? "" : "default" } };

	if (!s->cli->json) {
		rows_add(&s->rows, words, COUNT(words));
		return;
	}
	json_open(&s->json, '{');
	json_pair(&s->json, "option", path);
	json_pair(&s->json, "value", value);
	json_key(&s->json, "default");
	json_bool(&s->json, !changed);
	json_close(&s->json, '}');
}

static int
config_show(struct cli *cli, const struct cli_args *args)
{
	static const struct column columns[] = { { "option", "OPTION", COLUMN_TEXT, false },
		{ "value", "VALUE", COLUMN_TEXT, false }, { "set", "", COLUMN_TEXT, true },
		{ NULL, NULL, COLUMN_TEXT, false } };
	struct table_style style = cli_style(cli);
	struct shown s = { .cli = cli };

	(void)args;
	if (cli_conf(cli) == NULL)
		return CLI_FAILED;
	rows_init(&s.rows);
	json_init(&s.json, &cli->out);
	if (cli->json)
		json_open(&s.json, '[');
	conf_each(cli_conf(cli), show_one, &s);
	if (cli->json)
		json_close(&s.json, ']');
	else
		table_text(&cli->out, &s.rows, columns, &style);
	rows_free(&s.rows);
	return CLI_DONE;
}

const struct cli_command cli_config_commands[] = {
	{ "config", "explain", config_explain, "[OPTION]", 0, 1, NULL,
	    "what an option means, its range and default" },
	{ "config", "show", config_show, NULL, 0, 0, NULL, "every option with its value" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
