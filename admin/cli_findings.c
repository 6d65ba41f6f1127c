/* cli_findings - findings as a person or a program reads them */
#include "admin/cli_findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/text.h"

#define TEXT_MAX 700

static const struct column columns[] = {
	{ "state", NULL, COLUMN_STATE, false },
	{ "name", NULL, COLUMN_TEXT, false },
	{ "text", NULL, COLUMN_TEXT, false },
	{ "advice", NULL, COLUMN_TEXT, false },
	{ NULL, NULL, COLUMN_TEXT, false },
};

void
findings_init(struct findings *f)
{
	rows_init(&f->rows);
}

void
finding(struct findings *f, const char *name, enum finding_state state, const char *advice,
    const char *fmt, ...)
{
	static const char *const names[] = { "ok", "warning", "error" };
	char text[TEXT_MAX];
	struct admin_word words[] = { { "name", name }, { "state", names[state] }, { "text", text },
		{ "advice", state == FINDING_OK ? "" : advice } };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rows_add(&f->rows, words, COUNT(words));
}

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

int
findings_finish(struct cli *cli, struct findings *f)
{
	int status = any_error(&f->rows) ? CLI_FAILED : CLI_DONE;
	struct json j;

	if (cli->json) {
		json_init(&j, &cli->out);
		table_json(&j, &f->rows, columns);
	} else
		print_rows(cli, &f->rows);
	rows_free(&f->rows);
	return status;
}
