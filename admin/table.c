/* table - the rows of an answer as aligned columns for people, or as JSON for programs, from one
 * description */
#include "admin/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/text.h"
#include "base/clock.h"

#define COLUMNS_MAX 24
#define GAP 2

bool
table_true(const char *value)
{
	return strcmp(value, "1") == 0 || strcmp(value, "true") == 0 || strcmp(value, "yes") == 0;
}

static const char *
colour_of(const char *state)
{
	static const struct {
		const char *word, *colour;
	} colours[] = { { "ok", "32" }, { "running", "32" }, { "ready", "32" },
		{ "delivered", "32" }, { "accept", "32" }, { "pass", "32" }, { "warning", "33" },
		{ "deferred", "33" }, { "held", "33" }, { "junk", "33" }, { "defer", "33" },
		{ "starting", "33" }, { "restarting", "33" }, { "error", "31" }, { "failed", "31" },
		{ "down", "31" }, { "refuse", "31" }, { "fail", "31" }, { "bounced", "31" } };

	for (size_t i = 0; i < COUNT(colours); i++)
		if (strcmp(state, colours[i].word) == 0)
			return colours[i].colour;
	return NULL;
}

static size_t
show_milli(struct buf *out, int64_t n)
{
	size_t before = out->len;
	int64_t whole = n / 1000, rest = llabs(n % 1000);

	if (n < 0 && whole == 0)
		buf_char(out, '-');
	buf_printf(out, "%lld", (long long)whole);
	if (rest != 0)
		buf_printf(out,
		    rest % 100 == 0  ? ".%01lld"
		    : rest % 10 == 0 ? ".%02lld"
				     : ".%03lld",
		    (long long)(rest % 100 == 0  ? rest / 100
				: rest % 10 == 0 ? rest / 10
						 : rest));
	return out->len - before;
}

static size_t
show_state(struct buf *out, const char *value, const struct table_style *style)
{
	const char *colour = style->colour ? colour_of(value) : NULL;
	size_t width;

	if (colour != NULL)
		buf_printf(out, "\033[%sm", colour);
	width = text_show(out, slice_of(value));
	if (colour != NULL)
		buf_text(out, "\033[0m");
	return width;
}

size_t
table_show(
    struct buf *out, enum column_kind kind, const char *value, const struct table_style *style)
{
	char shown[TEXT_SHOWN] = "";
	int64_t n = strtoll(value, NULL, 10);

	if (*value == '\0' || kind == COLUMN_TEXT || kind == COLUMN_NUMBER)
		return text_show(out, slice_of(value));
	switch (kind) {
	case COLUMN_SIZE:
		text_show_size((uint64_t)n, shown);
		break;
	case COLUMN_QUOTA:
		if (n == 0)
			snprintf(shown, sizeof(shown), "unlimited");
		else
			text_show_size((uint64_t)n, shown);
		break;
	case COLUMN_TIME:
		if (n == 0)
			snprintf(shown, sizeof(shown), "never");
		else
			text_show_when(n, style->now, shown);
		break;
	case COLUMN_CLOCK:
		text_show_time(n, style->now, shown);
		break;
	case COLUMN_BOOL:
		snprintf(shown, sizeof(shown), table_true(value) ? "yes" : "no");
		break;
	case COLUMN_MILLI:
		return show_milli(out, n);
	case COLUMN_STATE:
		return show_state(out, value, style);
	default:
		break;
	}
	buf_text(out, shown);
	return strlen(shown);
}

static bool
to_the_right(enum column_kind kind)
{
	return kind == COLUMN_NUMBER || kind == COLUMN_SIZE || kind == COLUMN_MILLI;
}

static void
blanks(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_char(out, ' ');
}

/* A column goes when it has no title, or is optional and empty everywhere. */
static bool
is_shown(const struct rows *rows, const struct column *c)
{
	if (c->title == NULL)
		return false;
	if (!c->optional)
		return true;
	for (size_t i = 0; i < rows->n; i++)
		if (*row_text(&rows->at[i], c->key) != '\0')
			return true;
	return false;
}

static size_t
width_in(const struct rows *rows, const struct column *c, const struct table_style *style)
{
	struct buf scratch;
	size_t most = style->titles ? strlen(c->title) : 0;

	buf_init(&scratch, 1 << 20);
	for (size_t i = 0; i < rows->n; i++) {
		size_t w = table_show(&scratch, c->kind, row_text(&rows->at[i], c->key), style);

		most = w > most ? w : most;
		buf_reset(&scratch);
	}
	buf_free(&scratch);
	return most;
}

static void
cell(struct buf *out, struct slice shown, size_t width, size_t full, bool right, bool last)
{
	size_t pad = full > width ? full - width : 0;

	if (right)
		blanks(out, pad);
	buf_slice(out, shown);
	if (!last)
		blanks(out, (right ? 0 : pad) + GAP);
}

/* Blanks at the end of the line that began at `from` go: an empty last column leaves none behind.
 */
static void
end_line(struct buf *out, size_t from)
{
	while (out->len > from && out->at[out->len - 1] == ' ')
		out->len--;
	buf_char(out, '\n');
}

static void
title_line(struct buf *out, const struct column *const *shown, const size_t *widths, size_t n,
    const struct table_style *style)
{
	size_t from = out->len;

	if (style->colour)
		buf_text(out, "\033[1m");
	for (size_t i = 0; i < n; i++)
		cell(out, slice_of(shown[i]->title), strlen(shown[i]->title), widths[i],
		    to_the_right(shown[i]->kind), i + 1 == n);
	if (style->colour)
		buf_text(out, "\033[0m");
	end_line(out, from);
}

void
table_text(struct buf *out, const struct rows *rows, const struct column *columns,
    const struct table_style *style)
{
	const struct column *shown[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX], n = 0;
	struct buf one;

	for (const struct column *c = columns; c->key != NULL && n < COLUMNS_MAX; c++) {
		if (!is_shown(rows, c))
			continue;
		widths[n] = width_in(rows, c, style);
		shown[n++] = c;
	}
	if (style->titles)
		title_line(out, shown, widths, n, style);
	buf_init(&one, 1 << 20);
	for (size_t r = 0; r < rows->n; r++) {
		size_t from = out->len;

		for (size_t i = 0; i < n; i++) {
			size_t w;

			buf_reset(&one);
			w = table_show(
			    &one, shown[i]->kind, row_text(&rows->at[r], shown[i]->key), style);
			cell(out, buf_all(&one), w, widths[i], to_the_right(shown[i]->kind),
			    i + 1 == n);
		}
		end_line(out, from);
	}
	buf_free(&one);
}

void
table_card(struct buf *out, const struct row *row, const struct column *columns,
    const struct table_style *style)
{
	size_t most = 0;

	for (const struct column *c = columns; c->key != NULL; c++)
		if (c->title != NULL && *row_text(row, c->key) != '\0' && strlen(c->title) > most)
			most = strlen(c->title);
	for (const struct column *c = columns; c->key != NULL; c++) {
		const char *value = row_text(row, c->key);

		if (c->title == NULL || *value == '\0')
			continue;
		buf_text(out, c->title);
		blanks(out, most - strlen(c->title) + GAP);
		table_show(out, c->kind, value, style);
		buf_char(out, '\n');
	}
}

void
table_json_value(struct json *j, enum column_kind kind, const char *value)
{
	int64_t n = strtoll(value, NULL, 10);
	char iso[40];

	switch (kind) {
	case COLUMN_NUMBER:
	case COLUMN_SIZE:
	case COLUMN_QUOTA:
		if (*value == '\0')
			json_null(j);
		else
			json_number(j, n);
		break;
	case COLUMN_TIME:
	case COLUMN_CLOCK:
		if (n == 0) {
			json_null(j);
			break;
		}
		clock_iso(n, iso);
		json_text(j, iso);
		break;
	case COLUMN_BOOL:
		json_bool(j, table_true(value));
		break;
	case COLUMN_MILLI:
		json_milli(j, n);
		break;
	default:
		json_text(j, value);
	}
}

static bool
has_column(const struct column *columns, const char *key)
{
	for (const struct column *c = columns; c->key != NULL; c++)
		if (strcmp(c->key, key) == 0)
			return true;
	return false;
}

void
table_json_members(struct json *j, const struct row *row, const struct column *columns)
{
	for (const struct column *c = columns; c->key != NULL; c++) {
		const char *value = row_get(row, c->key);

		if (value == NULL && c->optional)
			continue;
		json_key(j, c->key);
		table_json_value(j, c->kind, value != NULL ? value : "");
	}
	for (size_t i = 0; i < row->n; i++)
		if (!has_column(columns, row->words[i].key))
			json_pair(j, row->words[i].key, row->words[i].value);
}

void
table_json(struct json *j, const struct rows *rows, const struct column *columns)
{
	json_open(j, '[');
	for (size_t i = 0; i < rows->n; i++) {
		json_open(j, '{');
		table_json_members(j, &rows->at[i], columns);
		json_close(j, '}');
	}
	json_close(j, ']');
}
