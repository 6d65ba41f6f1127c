/* reading - between the files that make up conf_read: problems found, and where in the file each value stands */
#ifndef CONF_READING_H
#define CONF_READING_H

#include "base/buf.h"
#include "conf/options.h"

#define PROBLEMS_MAX 20

struct place {			/* where a value was given */
	char *path;		/* with titles: "listen.mx.kind" */
	unsigned line;
};

struct seen {			/* an option while libconfuse reads: which, and where it was set first */
	const void *section, *option;
	unsigned line;
};

struct reading {
	const char *file;
	struct conf *conf;
	struct buf text;	/* the problems, a line each */
	unsigned problems;
	struct place *places;
	size_t n_places;
	struct seen *seen;
	size_t n_seen;
};

/* Note a problem: "FILE:LINE: TEXT". Beyond PROBLEMS_MAX they are only counted. */
void problem(struct reading *r, unsigned line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The line where a path was given, or 0. */
unsigned place_line(const struct reading *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What libconfuse lets pass: sections, strings and comments that never end, braces too many, control characters. */
void conf_scan(struct reading *r, struct slice text);
/* What no single row can state: things missing, and things that do not go together. Also fills in what depends on others. */
void conf_check(struct reading *r);
/* The name in `rows` (those that stand directly in section `path`) that is nearest to `name`; NULL when none is near. */
const char *conf_nearest(const char *path, const char *name);
/* Where an option of this name would be right: "limits", or NULL. */
const struct conf_row *conf_elsewhere(const char *name);
/* Letters to change, add, drop or swap to make b of a (both cut at 40). */
unsigned conf_distance(const char *a, const char *b);

#endif
