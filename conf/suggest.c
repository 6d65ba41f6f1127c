/* suggest - "did you mean": the option whose name is nearest to what was written */
#include "conf/reading.h"

#include <string.h>

#define LONGEST 40

static unsigned
least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

unsigned
conf_distance(const char *a, const char *b)
{
	size_t la = strnlen(a, LONGEST), lb = strnlen(b, LONGEST);
	unsigned d[LONGEST + 1][LONGEST + 1];

	for (unsigned i = 0; i <= la; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++)
		for (size_t j = 1; j <= lb; j++) {
			d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1, d[i][j]);
		}
	return d[la][lb];
}

/* What stands directly in section `path` on the way to the row: an option or a section. false when the row is not below it. */
static bool
child_of(const struct conf_row *row, const char *path, struct slice *child)
{
	struct slice rest = slice_of(row->path), section = slice_of(path);

	if (section.len) {
		if (!slice_starts(rest, section) || rest.len <= section.len || rest.at[section.len] != '.')
			return false;
		rest = slice_skip(rest, section.len + 1);
	}
	*child = slice_cut(&rest, '.');
	return true;
}

const char *
conf_nearest(const char *path, const char *name)
{
	static char best[LONGEST + 1];
	unsigned least_distance = (unsigned)strnlen(name, LONGEST) / 3 + 2;
	char text[LONGEST + 1];
	struct slice child;

	best[0] = '\0';
	for (size_t i = 0; i < conf_n_rows; i++) {
		unsigned distance;

		if (!child_of(&conf_rows[i], path, &child) || !slice_copy(child, text, sizeof text))
			continue;
		distance = conf_distance(text, name);
		if (distance < least_distance) {
			least_distance = distance;
			slice_copy(child, best, sizeof best);
		}
	}
	return best[0] ? best : NULL;
}

const struct conf_row *
conf_elsewhere(const char *name)
{
	for (size_t i = 0; i < conf_n_rows; i++)
		if (strcmp(conf_row_name(&conf_rows[i]), name) == 0)
			return &conf_rows[i];
	return NULL;
}
