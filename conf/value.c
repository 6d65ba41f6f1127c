/* value - from text to a field of struct conf and back, by the type in the option's row
 *
 * A value that is wrong changes nothing; the error says what would be right. How numbers and texts
 * are written is known in value_number.c and value_text.c. */
#include "conf/value.h"

#include <stdlib.h>
#include <string.h>

#include "conf/value_form.h"

/* -- fields */

static void *
field_of(const void *base, size_t at)
{
	return (char *)(uintptr_t)base + at;
}

static bool
is_text(const struct conf_row *row)
{
	return row->type <= CONF_NETWORK;
}

static size_t
item_size(const struct conf_row *row)
{
	if (is_text(row))
		return sizeof(char *);
	return row->type == CONF_BOOL ? sizeof(bool) : sizeof(int64_t);
}

/* Where the i-th item stands. */
static void *
item_of(const void *base, const struct conf_row *row, size_t i)
{
	char *field = field_of(base, row->at);

	return row->list ? *(char **)(void *)field + i * item_size(row) : field;
}

size_t
conf_value_count(const void *base, const struct conf_row *row)
{
	return row->list ? *(size_t *)field_of(base, row->at_n) : 1;
}

/* A place for one item more at the end of the list. */
static void *
list_grow(void *base, const struct conf_row *row, struct err *err)
{
	char **list = field_of(base, row->at);
	size_t *n = field_of(base, row->at_n);
	char *more;

	if (*n >= CONF_LIST_MAX) {
		err_set(err, ERR_USAGE, "%s has more than %d items; leave some out", row->path,
		    CONF_LIST_MAX);
		return NULL;
	}
	if (!(more = realloc(*list, (*n + 1) * item_size(row)))) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		return NULL;
	}
	*list = more;
	return more + (*n)++ * item_size(row);
}

/* Free the texts of the value (not a list's array). */
static void
free_texts(void *base, const struct conf_row *row)
{
	if (!is_text(row))
		return;
	for (size_t i = 0; i < conf_value_count(base, row); i++) {
		char **text = item_of(base, row, i);

		free(*text);
		*text = NULL;
	}
}

void
conf_value_clear(void *base, const struct conf_row *row)
{
	void **list = field_of(base, row->at);

	free_texts(base, row);
	free(*list);
	*list = NULL;
	*(size_t *)field_of(base, row->at_n) = 0;
}

static int
wrong(const struct conf_row *row, struct slice s, const char *what, struct err *err)
{
	struct buf wanted;

	buf_init(&wanted, 1024);
	conf_value_wanted(row, &wanted);
	err_set(err, ERR_USAGE, "%s = \"%.*s\" %s; give %s", row->path,
	    (int)(s.len < 80 ? s.len : 80), s.at, what, buf_cstr(&wanted));
	buf_free(&wanted);
	return -1;
}

static int
set_text(void *base, const struct conf_row *row, struct slice s, struct err *err)
{
	char *text = memchr(s.at ? s.at : "", 0, s.len) ? NULL : slice_dup(s);
	char **field;

	if (!text || !value_text_ok(row, s, text)) {
		free(text);
		return wrong(row, s, "is not right", err);
	}
	if (!(field = row->list ? list_grow(base, row, err) : item_of(base, row, 0))) {
		free(text);
		return -1;
	}
	if (!row->list)
		free(*field);
	*field = text;
	return 0;
}

static int
set_int(void *base, const struct conf_row *row, struct slice s, bool plain, struct err *err)
{
	int64_t v, *field;

	if (!value_number_read(row, s, plain, &v))
		return wrong(row, s,
		    row->type == CONF_ENUM ? "is no choice" : "is not of the right form", err);
	if ((row->min || row->max) && (v < row->min || v > row->max))
		return wrong(row, s, "is out of range", err);
	if (!(field = row->list ? list_grow(base, row, err) : item_of(base, row, 0)))
		return -1;
	*field = v;
	return 0;
}

static bool
to_bool(struct slice s, bool *out)
{
	static const char *const yes[] = { "true", "yes", "on" };
	static const char *const no[] = { "false", "no", "off" };

	for (size_t i = 0; i < COUNT(yes); i++)
		if (slice_eq_nocase(slice_of(yes[i]), s) || slice_eq_nocase(slice_of(no[i]), s)) {
			*out = slice_eq_nocase(slice_of(yes[i]), s);
			return true;
		}
	return false;
}

int
conf_value_set(void *base, const struct conf_row *row, struct slice text, bool plain,
    struct err *err)
{
	bool *field = field_of(base, row->at);

	if (row->type != CONF_BOOL)
		return is_text(row) ? set_text(base, row, text, err) :
		    set_int(base, row, text, plain, err);
	return to_bool(text, field) ? 0 : wrong(row, text, "is neither true nor false", err);
}

/* Items of the row's default; "" is none for a list. */
static int
set_default(void *base, const struct conf_row *row, struct err *err)
{
	struct slice rest = slice_of(row->fallback);

	/* an empty text needs no check: that is "not given" */
	if (!row->list && is_text(row) && !rest.len)
		return (*(char **)field_of(base, row->at) = strdup("")) ? 0 : -1;
	if (!row->list)
		return conf_value_set(base, row, rest, false, err);
	while (rest.len)
		if (conf_value_set(base, row, slice_trim(slice_cut(&rest, ',')), false, err) == -1)
			return -1;
	return 0;
}

int
conf_value_defaults(void *base, enum conf_group_id group, struct err *err)
{
	for (size_t i = 0; i < conf_n_rows; i++)
		if (conf_rows[i].group == group && set_default(base, &conf_rows[i], err) == -1)
			return -1;
	return 0;
}

void
conf_value_free(void *base, enum conf_group_id group)
{
	for (size_t i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (row->group != group)
			continue;
		if (row->list)
			conf_value_clear(base, row);
		else
			free_texts(base, row);
	}
}

/* -- back to text */

void
conf_value_print(const void *base, const struct conf_row *row, size_t i, bool plain,
    struct buf *out)
{
	const void *item = item_of(base, row, i);

	if (row->type == CONF_BOOL)
		buf_text(out, *(const bool *)item ? "true" : "false");
	else if (is_text(row))
		buf_text(out, *(char *const *)item ? *(char *const *)item : "");
	else
		value_number_print(row, *(const int64_t *)item, plain, out);
}

static void
print_quoted(const char *text, struct buf *out)
{
	buf_char(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_char(out, '\\');
		buf_char(out, *text);
	}
	buf_char(out, '"');
}

void
conf_value_written(const void *base, const struct conf_row *row, struct buf *out)
{
	size_t n = conf_value_count(base, row);

	if (row->list)
		buf_char(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_text(out, ", ");
		if (is_text(row))
			print_quoted(*(char **)item_of(base, row, i), out);
		else
			conf_value_print(base, row, i, false, out);
	}
	if (row->list)
		buf_char(out, '}');
}

/* -- what would be right */

static const char *const wanted[] = {
	[CONF_TEXT] = "a text",
	[CONF_HOSTNAME] = "a host name such as \"mx.example.org\"",
	[CONF_PATH] = "an absolute path such as \"/var/lib/tegami\"",
	[CONF_HOST_PORT] = "HOST or HOST:PORT such as \"192.0.2.1:25\"",
	[CONF_LISTEN] = "\"IP:PORT\", \":PORT\" or \"/a/path\"",
	[CONF_NETWORK] = "an address or network such as \"192.0.2.0/24\"",
	[CONF_BOOL] = "true or false",
	[CONF_NUMBER] = "a whole number",
	[CONF_SIZE] = "a size such as 500K, 25M or 1G",
	[CONF_TIME] = "a time such as 30s, 5m, 2h, 5d or 1w",
	[CONF_SCORE] = "a number such as 5 or 2.5 (at most three decimals)",
};

static void
wanted_names(const struct conf_row *row, struct buf *out)
{
	const char *between = "one of ";

	for (size_t i = 0; i < row->n_names; i++)
		if (row->names[i]) {
			buf_printf(out, "%s%s", between, row->names[i]);
			between = ", ";
		}
}

void
conf_value_wanted(const struct conf_row *row, struct buf *out)
{
	if (row->type == CONF_ENUM) {
		wanted_names(row, out);
		return;
	}
	if (row->type == CONF_TEXT && row->max == 1) {
		buf_text(out, "one character or \"\"");
		return;
	}
	buf_text(out, wanted[row->type]);
	if (row->min == 0 && row->max == 0)
		return;
	buf_text(out, row->type == CONF_TEXT ? " of " : " from ");
	value_number_print(row, row->min, false, out);
	buf_text(out, " to ");
	value_number_print(row, row->max, false, out);
	if (row->type == CONF_TEXT)
		buf_text(out, " bytes");
}
