/* sample - a configuration file with every option in it, as a start and as a reminder */
#include <stdio.h>
#include <string.h>

#include "conf/explain.h"

#define WIDTH 96

/* The sentence as comment lines. */
static void
comment(const char *indent, const char *sentence, struct buf *out)
{
	size_t column = WIDTH;

	for (struct slice rest = slice_of(sentence); rest.at;) {
		struct slice word = slice_cut(&rest, ' ');

		if (column + 1 + word.len > WIDTH - strlen(indent)) {
			buf_printf(out, "%s%s#", column == WIDTH ? "" : "\n", indent);
			column = 1;
		}
		buf_printf(out, " %.*s", SLICE_ARG(word));
		column += 1 + word.len;
	}
	buf_char(out, '\n');
}

static void
option(size_t i, const char *indent, struct buf *out)
{
	char path[128];
	struct conf_explained e;

	if (!conf_explain_at(i, &e, path))
		return;
	comment(indent, e.sentence, out);
	buf_printf(out, "%s#%s = %s", indent, conf_row_name(&conf_rows[i]), e.fallback);
	if (e.range[0])
		buf_printf(out, "\t# %s", e.range);
	else if (conf_rows[i].type == CONF_ENUM)
		buf_printf(out, "\t# %s", e.type);
	buf_char(out, '\n');
}

/* The row's section: its path without the name, "" for the file. */
static struct slice
section_of(const struct conf_row *row)
{
	struct slice path = slice_of(row->path);
	ptrdiff_t dot = slice_find_last(path, '.');

	return dot == -1 ? SLICE("") : slice_first(path, (size_t)dot);
}

static void
open_section(const struct conf_row *row, struct slice section, struct buf *out)
{
	const struct conf_group *g = &conf_groups[row->group];
	const char *dot;

	if (!section.len)
		return;
	if (row->group == GROUP_NONE) {
		buf_printf(out, "\n#%.*s {\n", SLICE_ARG(section));
		return;
	}
	buf_char(out, '\n');
	comment("", g->sentence, out);
	dot = strchr(g->path, '.');
	if (dot) /* in another section, which may be written twice */
		buf_printf(out, "#%.*s { %s \"%s\" {\n", (int)(dot - g->path), g->path, dot + 1, g->title_word);
	else
		buf_printf(out, "#%s \"%s\" {\n", g->path, g->title_word);
}

static void
close_section(struct slice section, struct buf *out)
{
	if (section.len)
		buf_text(out, slice_find(section, '.') != slice_find_last(section, '.') ? "#} }\n" : "#}\n");
}

static bool
must_be_there(const char *path)
{
	static const char *const must[] = { "hostname", "state_dir", "tls.certificate", "tls.key" };

	for (size_t i = 0; i < COUNT(must); i++)
		if (strcmp(must[i], path) == 0)
			return true;
	return false;
}

void
conf_sample(const char *hostname, const char *state_dir, const char *certificate, const char *key, struct buf *out)
{
	struct slice before = SLICE("");

	buf_printf(out,
	    "# Configuration of Tegami. These lines suffice; everything below them shows the defaults.\n"
	    "# `tegamid -t` checks this file, `tegami config explain OPTION` says more, so does tegami.conf(5).\n"
	    "hostname  = \"%s\"\nstate_dir = \"%s\"\ntls {\n\tcertificate = \"%s\"\n\tkey = \"%s\"\n}\n\n",
	    hostname, state_dir, certificate, key);
	for (size_t i = 0; i < conf_n_rows; i++) {
		struct slice section = section_of(&conf_rows[i]);

		if (must_be_there(conf_rows[i].path))
			continue;
		if (!slice_eq(section, before)) {
			close_section(before, out);
			open_section(&conf_rows[i], section, out);
		}
		option(i, section.len ? "\t" : "", out);
		before = section;
	}
	close_section(before, out);
}
