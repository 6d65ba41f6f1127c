/* group - finding rows, and the arrays of titled sections in struct conf */
#include "conf/options.h"

#include <stdlib.h>
#include <string.h>

#include "conf/value.h"

const struct conf_row *
conf_row_of(struct slice path)
{
	for (size_t i = 0; i < conf_n_rows; i++)
		if (slice_eq(slice_of(conf_rows[i].path), path))
			return &conf_rows[i];
	return NULL;
}

enum conf_group_id
conf_group_of(struct slice path)
{
	for (unsigned g = GROUP_NONE + 1; g < GROUP_COUNT; g++)
		if (slice_eq(slice_of(conf_groups[g].path), path))
			return (enum conf_group_id)g;
	return GROUP_NONE;
}

const char *
conf_row_name(const struct conf_row *row)
{
	const char *dot = strrchr(row->path, '.');

	return dot ? dot + 1 : row->path;
}

/* The array of a group and its count, as fields of struct conf. */
static char **
array_of(const struct conf *c, enum conf_group_id group)
{
	return (char **)(void *)((char *)(uintptr_t)c + conf_groups[group].at);
}

static size_t *
count_of(const struct conf *c, enum conf_group_id group)
{
	return (size_t *)(void *)((char *)(uintptr_t)c + conf_groups[group].at_n);
}

size_t
conf_group_count(const struct conf *c, enum conf_group_id group)
{
	return *count_of(c, group);
}

void *
conf_group_at(const struct conf *c, enum conf_group_id group, size_t i)
{
	return *array_of(c, group) + i * conf_groups[group].size;
}

void *
conf_group_find(const struct conf *c, enum conf_group_id group, struct slice title)
{
	for (size_t i = 0; i < conf_group_count(c, group); i++) {
		char **name = conf_group_at(c, group, i);

		if (slice_eq_nocase(slice_of(*name), title))
			return name;
	}
	return NULL;
}

/* One more element, all zero. */
static void *
grow(struct conf *c, enum conf_group_id group)
{
	const struct conf_group *g = &conf_groups[group];
	char **array = array_of(c, group);
	size_t *n = count_of(c, group);
	char *more = realloc(*array, (*n + 1) * g->size);

	if (!more)
		return NULL;
	*array = more;
	memset(more + *n * g->size, 0, g->size);
	return more + (*n)++ * g->size;
}

void *
conf_group_add(struct conf *c, enum conf_group_id group, struct slice title, struct err *err)
{
	const struct conf_group *g = &conf_groups[group];
	const struct conf_row title_row = { .path = g->path, .type = g->title, .max = 255, .min = 1 };
	void *element;

	if (conf_group_find(c, group, title)) {
		err_set(err, ERR_USAGE, "a section %s \"%.*s\" is there already; give each one its own name",
		    g->path, SLICE_ARG(title));
		return NULL;
	}
	if (conf_group_count(c, group) >= g->at_most) {
		err_set(err, ERR_USAGE, "more than %zu sections %s; leave some out", g->at_most, g->path);
		return NULL;
	}
	if (!(element = grow(c, group))) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		return NULL;
	}
	if (conf_value_set(element, &title_row, title, false, err) == -1 ||
	    conf_value_defaults(element, group, err) == -1) {
		conf_value_free(element, group);
		free(*(char **)element);
		(*count_of(c, group))--;
		return NULL;
	}
	return element;
}
