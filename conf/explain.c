/* explain - the options in words, from their rows */
#include "conf/explain.h"

#include <stdio.h>
#include <string.h>

#include "conf/reading.h"
#include "conf/value.h"

static const char *const type_words[] = {
	[CONF_TEXT] = "text", [CONF_HOSTNAME] = "host name", [CONF_PATH] = "path", [CONF_HOST_PORT] = "host:port",
	[CONF_LISTEN] = "address", [CONF_NETWORK] = "network", [CONF_BOOL] = "true | false",
	[CONF_NUMBER] = "number", [CONF_SIZE] = "size", [CONF_TIME] = "time", [CONF_SCORE] = "decimal",
};

static void
type_of(const struct conf_row *row, char *out, size_t size)
{
	const char *between = "";
	size_t n = 0;

	if (row->type != CONF_ENUM) {
		snprintf(out, size, "%s%s", row->list ? "list of " : "", type_words[row->type]);
		return;
	}
	out[0] = '\0';
	for (size_t i = 0; i < row->n_names && n < size; i++)
		if (row->names[i]) {
			n += (size_t)snprintf(out + n, size - n, "%s%s", between, row->names[i]);
			between = " | ";
		}
}

static void
range_of(const struct conf_row *row, char *out, size_t size)
{
	struct buf wanted;
	const char *from;

	out[0] = '\0';
	if ((row->min == 0 && row->max == 0) || row->type == CONF_TEXT)
		return;
	buf_init(&wanted, 1024);
	conf_value_wanted(row, &wanted);
	from = strstr(buf_cstr(&wanted), " from ");
	snprintf(out, size, "%s", from ? from + 6 : "");
	buf_free(&wanted);
}

static void
fallback_of(const struct conf_row *row, char *out, size_t size)
{
	const char *open = row->list ? "{" : row->type <= CONF_NETWORK ? "\"" : "";
	const char *close = row->list ? "}" : row->type <= CONF_NETWORK ? "\"" : "";

	snprintf(out, size, "%s%s%s", open, row->fallback, close);
}

/* "listen.*.kind" as "listen.NAME.kind". */
static void
path_of(const struct conf_row *row, char *out, size_t size)
{
	const struct conf_group *g = &conf_groups[row->group];

	if (row->group == GROUP_NONE)
		snprintf(out, size, "%s", row->path);
	else
		snprintf(out, size, "%s.%s.%s", g->path, g->title_word, conf_row_name(row));
}

bool
conf_explain_at(size_t i, struct conf_explained *out, char *path_room)
{
	const struct conf_row *row;

	if (i >= conf_n_rows)
		return false;
	row = &conf_rows[i];
	path_of(row, path_room, 128);
	out->path = path_room;
	out->sentence = row->sentence;
	type_of(row, out->type, sizeof out->type);
	fallback_of(row, out->fallback, sizeof out->fallback);
	range_of(row, out->range, sizeof out->range);
	return true;
}

static void
explain_row(size_t i, struct buf *out)
{
	char path[128];
	struct conf_explained e;

	if (!conf_explain_at(i, &e, path))
		return;
	buf_printf(out, "%s (%s)\n  %s\n  default: %s", e.path, e.type, e.sentence, e.fallback);
	if (e.range[0])
		buf_printf(out, ", range: %s", e.range);
	buf_char(out, '\n');
}

static void
explain_line(size_t i, struct buf *out)
{
	char path[128];
	struct conf_explained e;

	if (conf_explain_at(i, &e, path))
		buf_printf(out, "%-32s %s\n", e.path, e.sentence);
}

/* Is the row named by `path`: itself, its section, or one with a title in the place of the star? */
static bool
names_row(struct slice path, const struct conf_row *row)
{
	struct slice rest = slice_of(row->path);

	while (path.at && rest.at) {
		struct slice a = slice_cut(&path, '.'), b = slice_cut(&rest, '.');

		if (!slice_eq(a, b) && !slice_eq(b, SLICE("*")))
			return false;
	}
	return !path.at;
}

static int
not_found(const char *path, struct err *err)
{
	const char *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
	const struct conf_row *row = conf_elsewhere(name);
	char section[128] = "";
	const char *near;

	if (dot)
		snprintf(section, sizeof section, "%.*s", (int)(dot - path), path);
	near = conf_nearest(section, name);
	if (near)
		return err_set(err, ERR_NOT_FOUND, "there is no option %.100s; did you mean %s%s%s?", path, section, dot ? "." : "",
		    near);
	if (row)
		return err_set(err, ERR_NOT_FOUND, "there is no option %.100s; did you mean %s?", path, row->path);
	return err_set(err, ERR_NOT_FOUND, "there is no option %.100s; `tegami config explain` lists them all", path);
}

int
conf_explain(const char *path, struct buf *out, struct err *err)
{
	bool found = false;

	for (size_t i = 0; i < conf_n_rows; i++) {
		if (!path) {
			explain_line(i, out);
		} else if (names_row(slice_of(path), &conf_rows[i])) {
			explain_row(i, out);
			found = true;
		}
	}
	return !path || found ? 0 : not_found(path, err);
}

/* -- current values */

struct each {
	void (*fn)(void *arg, const char *path, const char *value, bool changed);
	void *arg;
	struct buf value, fallback;
};

static void
each_value(struct each *e, const void *base, const void *defaults, const struct conf_row *row, const char *path)
{
	buf_reset(&e->value);
	buf_reset(&e->fallback);
	conf_value_written(base, row, &e->value);
	if (defaults)
		conf_value_written(defaults, row, &e->fallback);
	e->fn(e->arg, path, buf_cstr(&e->value), !defaults || !slice_eq(buf_all(&e->value), buf_all(&e->fallback)));
}

static void
each_element(struct each *e, const struct conf *c, const struct conf_row *row)
{
	struct buf path;

	buf_init(&path, 1024);
	for (size_t i = 0; i < conf_group_count(c, row->group); i++) {
		char *const *element = conf_group_at(c, row->group, i);

		buf_reset(&path);
		buf_printf(&path, "%s.%s.%s", conf_groups[row->group].path, *element, conf_row_name(row));
		each_value(e, element, NULL, row, buf_cstr(&path));
	}
	buf_free(&path);
}

void
conf_each(const struct conf *c, void (*fn)(void *arg, const char *path, const char *value, bool changed), void *arg)
{
	struct each e = { .fn = fn, .arg = arg };
	struct conf *defaults = conf_defaults();

	buf_init(&e.value, 1 << 20);
	buf_init(&e.fallback, 1 << 20);
	for (size_t i = 0; i < conf_n_rows; i++)
		if (conf_rows[i].group == GROUP_NONE)
			each_value(&e, c, defaults, &conf_rows[i], conf_rows[i].path);
		else
			each_element(&e, c, &conf_rows[i]);
	buf_free(&e.value);
	buf_free(&e.fallback);
	conf_free(&defaults);
}
