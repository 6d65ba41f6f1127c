/* read - the configuration file, through libconfuse
 *
 * libconfuse's option arrays are made from the rows of options.c; it hands over texts with their line, and all meaning is given
 * to them here. Every problem becomes a line "FILE:LINE: what is wrong; what would be right"; a problem of syntax ends the
 * reading, others are collected. Programs only: roles are told their part (told.h). */
#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/reading.h"
#include "conf/value.h"

#define FILE_MAX ((size_t)1 << 20)
#define PLACES_MAX 100000

/* libconfuse's callbacks carry no argument of ours. */
static struct reading *now;

struct given {			/* a value as libconfuse hands it over */
	unsigned line;
	char text[];
};

/* -- problems and places */

void
problem(struct reading *r, unsigned line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (r->problems++ >= PROBLEMS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_printf(&r->text, "%s%s:%u: %s", r->problems > 1 ? "\n" : "", r->file, line ? line : 1, text);
}

unsigned
place_line(const struct reading *r, const char *fmt, ...)
{
	char path[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof path, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < r->n_places; i++)
		if (strcmp(r->places[i].path, path) == 0)
			return r->places[i].line;
	return 0;
}

/* Remember where `path` was given; false when it was given before. */
static bool
place_add(struct reading *r, const char *path, unsigned line)
{
	struct place *more;
	unsigned before = place_line(r, "%s", path);

	if (before) {
		problem(r, line, "%s was set in line %u already; remove one of the two", path, before);
		return false;
	}
	if (r->n_places >= PLACES_MAX || !(more = realloc(r->places, (r->n_places + 1) * sizeof *more)))
		return true;
	r->places = more;
	if ((more[r->n_places].path = strdup(path)))
		more[r->n_places++].line = line;
	return true;
}

/* -- what libconfuse calls */

/* libconfuse forgets an option's value when it is set again: not in silence. */
static bool
first_time(struct reading *r, const cfg_t *cfg, const cfg_opt_t *opt)
{
	struct seen *more;

	for (size_t i = 0; i < r->n_seen; i++)
		if (r->seen[i].section == cfg && r->seen[i].option == opt) {
			problem(r, (unsigned)cfg->line, "%s was set in line %u already; remove one of the two", opt->name,
			    r->seen[i].line);
			return false;
		}
	if (r->n_seen >= PLACES_MAX || !(more = realloc(r->seen, (r->n_seen + 1) * sizeof *more)))
		return true;
	r->seen = more;
	more[r->n_seen++] = (struct seen){ cfg, opt, (unsigned)cfg->line };
	return true;
}

static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	size_t len = value ? strlen(value) : 0;
	struct given *g;

	if (opt->nvalues <= 1 && !first_time(now, cfg, opt)) /* not a further item of a list */
		return -1;
	if (!(g = malloc(sizeof *g + len + 1)))
		return -1;
	g->line = (unsigned)cfg->line;
	memcpy(g->text, value ? value : "", len + 1);
	*(void **)result = g;
	return 0;
}

/* The path of a section as conf_nearest wants it: only its own name is known, which is enough, as no two share one. */
static const char *
section_path(const cfg_t *cfg)
{
	static char path[64];
	const char *inner = cfg->title ? ".*" : "";

	if (!cfg->name || strcmp(cfg->name, "root") == 0)
		return "";
	for (unsigned g = GROUP_NONE + 1; g < GROUP_COUNT; g++) {
		const char *dot = strrchr(conf_groups[g].path, '.');

		if (strcmp(dot ? dot + 1 : conf_groups[g].path, cfg->name) == 0 && cfg->title) {
			snprintf(path, sizeof path, "%s%s", conf_groups[g].path, inner);
			return path;
		}
	}
	snprintf(path, sizeof path, "%s", cfg->name);
	return path;
}

static void
unknown_option(cfg_t *cfg, const char *name)
{
	const char *section = section_path(cfg);
	const struct conf_row *row = conf_elsewhere(name);
	const char *near = conf_nearest(section, name);
	char where[80] = "";

	if (*section)
		snprintf(where, sizeof where, " in section %s", cfg->name);
	if (near)
		problem(now, (unsigned)cfg->line, "there is no option %.60s%s; did you mean %s?", name, where, near);
	else if (row)
		problem(now, (unsigned)cfg->line, "there is no option %.60s%s; it is known as %s", name, where,
		    row->path);
	else
		problem(now, (unsigned)cfg->line,
		    "there is no option %.60s%s; see `tegami config explain` for those there are", name, where);
}

/* libconfuse's own complaints, and what to say with them. */
static const struct {
	const char *begins, *advice;
} complaints[] = {
	{ "missing title", "give it one: NAME \"TITLE\" { ... }" },
	{ "found duplicate title", "give each section its own name" },
	{ "missing equal sign", "write NAME = VALUE" },
	{ "unexpected closing brace", "remove it" },
	{ "missing opening brace", "write NAME { ... }" },
	{ "unexpected token", "write NAME = VALUE, texts with other than letters and digits in double quotes" },
	{ "unterminated", "close it" },
};

static void __attribute__((format(printf, 2, 0)))
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	const char *advice = "see tegami.conf(5) for the syntax";
	char text[512];

	if (now->problems > 0) /* what follows from one that was told already */
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	if (strncmp(text, "no such option '", 16) == 0) {
		text[strcspn(text + 16, "'") + 16] = '\0';
		unknown_option(cfg, text + 16);
		return;
	}
	for (size_t i = 0; i < COUNT(complaints); i++)
		if (strncmp(text, complaints[i].begins, strlen(complaints[i].begins)) == 0)
			advice = complaints[i].advice;
	problem(now, (unsigned)cfg->line, "%s; %s", text, advice);
}

/* -- libconfuse's arrays, made from the rows */

#define OPTS_MAX 64

static void
opts_free(cfg_opt_t *opts)
{
	for (cfg_opt_t *o = opts; o && o->name; o++) {
		opts_free(o->subopts);
		free((char *)(uintptr_t)o->name);
	}
	free(opts);
}

static bool
opts_have(const cfg_opt_t *opts, const char *name)
{
	for (; opts->name; opts++)
		if (strcmp(opts->name, name) == 0)
			return true;
	return false;
}

/* The options of the section `path` ("" is the file, "listen.*" in a titled one). NULL when memory is gone. */
static cfg_opt_t *
opts_make(struct slice path)
{
	cfg_opt_t *opts = calloc(OPTS_MAX, sizeof *opts), *o = opts;

	for (size_t i = 0; opts && i < conf_n_rows && o < opts + OPTS_MAX - 1; i++) {
		const struct conf_row *row = &conf_rows[i];
		struct slice rest = slice_of(row->path), name;
		char *text;

		if (path.len && (!slice_starts(rest, path) || rest.at[path.len] != '.'))
			continue;
		rest = path.len ? slice_skip(rest, path.len + 1) : rest;
		name = slice_cut(&rest, '.');
		if (!(text = slice_dup(name)) || opts_have(opts, text)) {
			free(text);
			continue;
		}
		if (!rest.at) {
			*o++ = (cfg_opt_t)CFG_PTR_CB(text, NULL, row->list ? CFGF_LIST : CFGF_NONE, on_value, free);
		} else {
			bool titled = slice_starts(rest, SLICE("*."));
			size_t len = (size_t)(rest.at - row->path) - 1 + (titled ? 2 : 0);

			/* MULTI: a section that stands there twice is merged; else its first half would be lost. */
			*o++ = (cfg_opt_t)CFG_SEC(text, opts_make(slice_first(slice_of(row->path), len)),
			    titled ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_MULTI);
		}
	}
	return opts;
}

/* -- from libconfuse's tree into struct conf */

struct walk {
	struct reading *r;
	cfg_t *section;
	const char *table_path;	/* "listen.*" */
	const char *path;	/* "listen.mx" */
	void *base;
};

static void
take_values(struct walk *w, cfg_opt_t *opt)
{
	char table_path[128], path[512];
	const struct conf_row *row;
	struct err err = { .kind = ERR_NONE };

	snprintf(table_path, sizeof table_path, "%s%s%s", w->table_path, *w->table_path ? "." : "", opt->name);
	snprintf(path, sizeof path, "%s%s%s", w->path, *w->path ? "." : "", opt->name);
	if (!(row = conf_row_of(slice_of(table_path))) || opt->nvalues == 0)
		return;
	if (!place_add(w->r, path, ((struct given *)opt->values[0]->ptr)->line))
		return;
	if (row->list)
		conf_value_clear(w->base, row);
	for (unsigned i = 0; i < opt->nvalues; i++) {
		const struct given *g = opt->values[i]->ptr;

		if (conf_value_set(w->base, row, slice_of(g->text), false, &err) == -1)
			problem(w->r, g->line, "%s", err.text);
	}
}

static void walk_section(struct walk *w);

static void
take_section(const struct walk *outer, cfg_opt_t *opt, cfg_t *section)
{
	char table_path[128], path[512];
	struct walk w = { .r = outer->r, .section = section, .table_path = table_path, .path = path,
		.base = outer->base };
	struct err err = { .kind = ERR_NONE };

	snprintf(table_path, sizeof table_path, "%s%s%s%s", outer->table_path, *outer->table_path ? "." : "",
	    opt->name, section->title ? ".*" : "");
	snprintf(path, sizeof path, "%s%s%s%s%s", outer->path, *outer->path ? "." : "", opt->name,
	    section->title ? "." : "", section->title ? section->title : "");
	if (section->title) {
		struct slice group = slice_first(slice_of(table_path), strlen(table_path) - 2);

		w.base = conf_group_add(w.r->conf, conf_group_of(group), slice_of(section->title), &err);
		if (!w.base) {
			problem(w.r, (unsigned)section->line, "%s", err.text);
			return;
		}
		place_add(w.r, path, (unsigned)section->line);
	}
	walk_section(&w);
}

static void
walk_section(struct walk *w)
{
	for (cfg_opt_t *o = w->section->opts; o->name; o++)
		if (o->type == CFGT_PTR)
			take_values(w, o);
		else if (o->type == CFGT_SEC)
			for (unsigned i = 0; i < o->nvalues; i++)
				take_section(w, o, o->values[i]->section);
}

static void
parse(struct reading *r, struct slice text)
{
	cfg_opt_t *opts = opts_make(SLICE(""));
	FILE *in = fmemopen((void *)(uintptr_t)text.at, text.len, "r");
	cfg_t *cfg = opts && in ? cfg_init(opts, CFGF_NONE) : NULL;
	struct walk w = { .r = r, .section = cfg, .table_path = "", .path = "", .base = r->conf };

	if (!cfg) {
		problem(r, 1, "out of memory; free some");
	} else {
		now = r;
		cfg_set_error_function(cfg, on_error);
		if (cfg_parse_fp(cfg, in) != CFG_SUCCESS && r->problems == 0)
			problem(r, (unsigned)cfg->line, "this cannot be understood; see tegami.conf(5) for the syntax");
		now = NULL;
		if (r->problems == 0)
			walk_section(&w);
		cfg_free(cfg);
	}
	if (in)
		fclose(in);
	opts_free(opts);
}

/* -- the file */

/* The text, with a line end added. NULL + err. */
static char *
load(const char *file, size_t *len, struct err *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	struct buf text;

	if (fd == -1 || fstat(fd, &st) == -1) {
		err_sys(err, "%s", file);
		if (fd != -1)
			close(fd);
		return NULL;
	}
	buf_init(&text, FILE_MAX + 1);
	while (S_ISREG(st.st_mode)) {
		char *room = buf_room(&text, 4096);
		ssize_t n = room ? read(fd, room, 4096) : -1;

		if (n <= 0) {
			text.failed |= n == -1;
			break;
		}
		buf_wrote(&text, (size_t)n);
	}
	close(fd);
	buf_char(&text, '\n');
	if (text.failed || !S_ISREG(st.st_mode)) {
		err_set(err, ERR_USAGE, "%s: cannot be read; give a text file of less than 1 MiB", file);
		buf_free(&text);
		return NULL;
	}
	return buf_take(&text, len);
}

static void
reading_end(struct reading *r)
{
	for (size_t i = 0; i < r->n_places; i++)
		free(r->places[i].path);
	free(r->places);
	free(r->seen);
	buf_free(&r->text);
}

struct conf *
conf_read(const char *file, struct err *err)
{
	struct reading r = { .file = file, .conf = conf_defaults() };
	size_t len = 0;
	char *text = load(file, &len, err);

	buf_init(&r.text, 64 * 1024);
	if (text && r.conf) {
		conf_scan(&r, (struct slice){ text, len });
		if (r.problems == 0)
			parse(&r, (struct slice){ text, len });
		if (r.problems == 0)
			conf_check(&r);
		if (r.problems > 0)
			err_set(err, ERR_USAGE, "%s", buf_cstr(&r.text));
	}
	if (!text || r.problems > 0)
		conf_free(&r.conf);
	else if (!r.conf)
		err_set(err, ERR_TEMPORARY, "out of memory");
	free(text);
	reading_end(&r);
	return r.conf;
}
