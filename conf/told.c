/* told - the options as (path, value) pairs on their way to a role, and back into a struct conf there
 *
 * Every option that the role is told is told, changed or not. A list is told as an empty value, which empties it, and
 * then its items. */
#include "conf/told.h"

#include "conf/value.h"

struct telling {
	void (*fn)(void *arg, const char *path, const char *value);
	void *arg;
	struct buf value;
};

static void
tell_row(struct telling *t, const void *base, const struct conf_row *row, const char *path)
{
	if (row->list)
		t->fn(t->arg, path, "");
	for (size_t i = 0; i < conf_value_count(base, row); i++) {
		buf_reset(&t->value);
		conf_value_print(base, row, i, true, &t->value);
		t->fn(t->arg, path, buf_cstr(&t->value));
	}
}

static void
tell_group(struct telling *t, const struct conf *c, const struct conf_row *row)
{
	struct buf path;

	buf_init(&path, 1024);
	for (size_t i = 0; i < conf_group_count(c, row->group); i++) {
		char *const *element = conf_group_at(c, row->group, i);

		buf_reset(&path);
		buf_printf(&path, "%s.%s.%s", conf_groups[row->group].path, *element, conf_row_name(row));
		tell_row(t, element, row, buf_cstr(&path));
	}
	buf_free(&path);
}

void
conf_tell(const struct conf *c, enum role role, void (*fn)(void *arg, const char *path, const char *value), void *arg)
{
	struct telling t = { .fn = fn, .arg = arg };

	buf_init(&t.value, 8192);
	for (size_t i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (!(row->told & (1u << role)))
			continue;
		if (row->group != GROUP_NONE)
			tell_group(&t, c, row);
		else
			tell_row(&t, c, row, row->path);
	}
	buf_free(&t.value);
}

/* The group that "listen.mx.kind" begins with, and the rest "mx.kind". */
static enum conf_group_id
group_in(struct slice path, struct slice *rest)
{
	for (unsigned g = GROUP_NONE + 1; g < GROUP_COUNT; g++) {
		struct slice name = slice_of(conf_groups[g].path);

		if (slice_starts(path, name) && path.len > name.len && path.at[name.len] == '.') {
			*rest = slice_skip(path, name.len + 1);
			return (enum conf_group_id)g;
		}
	}
	return GROUP_NONE;
}

static const struct conf_row *
row_in(enum conf_group_id group, struct slice name)
{
	for (size_t i = 0; i < conf_n_rows; i++)
		if (conf_rows[i].group == group && slice_eq(slice_of(conf_row_name(&conf_rows[i])), name))
			return &conf_rows[i];
	return NULL;
}

/* The row of a told path and the struct that its field is in; makes the element when it is new. */
static const struct conf_row *
find(struct conf *c, struct slice path, void **base, struct err *err)
{
	struct slice rest = path;
	enum conf_group_id group = group_in(path, &rest);
	ptrdiff_t dot = slice_find_last(rest, '.');
	const struct conf_row *row;
	struct slice title;

	*base = c;
	if (group == GROUP_NONE)
		return conf_row_of(path);
	if (dot < 1 || !(row = row_in(group, slice_skip(rest, (size_t)dot + 1))))
		return NULL;
	title = slice_first(rest, (size_t)dot);
	if (!(*base = conf_group_find(c, group, title)) && !(*base = conf_group_add(c, group, title, err)))
		return NULL;
	return row;
}

int
conf_hear(struct conf *c, const char *path, const char *value, struct err *err)
{
	void *base;
	const struct conf_row *row;

	if (err)
		err->kind = ERR_NONE;
	if (!(row = find(c, slice_of(path), &base, err)))
		return err && err->kind != ERR_NONE ? -1 : err_set(err, ERR_USAGE, "no option %s", path);
	if (row->list && !*value) {
		conf_value_clear(base, row);
		return 0;
	}
	if (!*value && row->type > CONF_TEXT && row->type <= CONF_NETWORK) /* not given */
		return conf_value_set(base, row, slice_of(row->fallback), false, err);
	return conf_value_set(base, row, slice_of(value), true, err);
}
