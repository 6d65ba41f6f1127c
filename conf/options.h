/* options - the table of all options: one row each, from which everything about them is made
 *
 * To add an option: a field in struct conf (conf.h) and a row in options.c. Parser, range check, default, what roles are
 * told, `tegami config explain`, the sample file and the manual page follow from the row. */
#ifndef CONF_OPTIONS_H
#define CONF_OPTIONS_H

#include "conf/conf.h"

enum conf_type {
	CONF_TEXT,	/* char *: any printable text */
	CONF_HOSTNAME,	/* char *: labels of letters, digits and hyphens */
	CONF_PATH,	/* char *: absolute; "" only where that is the default */
	CONF_HOST_PORT,	/* char *: HOST or HOST:PORT; "" only where that is the default */
	CONF_LISTEN,	/* char *: HOST:PORT, :PORT or an absolute path */
	CONF_NETWORK,	/* char *: an address, or an address with a prefix length */
	CONF_BOOL,	/* bool */
	CONF_NUMBER,	/* int64_t */
	CONF_SIZE,	/* int64_t: bytes */
	CONF_TIME,	/* int64_t: milliseconds */
	CONF_SCORE,	/* int64_t: thousandths of a point */
	CONF_ENUM	/* int64_t: place in `names` */
};

enum conf_group_id { GROUP_NONE, GROUP_SNI, GROUP_LISTEN, GROUP_DNSBL, GROUP_ROUTE, GROUP_COUNT };

struct conf_group {		/* sections with a title: an array in struct conf */
	const char *path;	/* "spam.dnsbl" */
	size_t at, at_n;	/* offsets of the array and of its count */
	size_t size;		/* of an element; its first field is char *name */
	size_t at_most;		/* elements */
	enum conf_type title;	/* what the title must look like */
	const char *title_word;	/* and what it is called in the manual */
	const char *sentence;
};
extern const struct conf_group conf_groups[GROUP_COUNT];

struct conf_row {
	const char *path;	/* "limits.recipients"; in a group "listen.*.kind" */
	enum conf_group_id group;
	enum conf_type type;
	bool list;
	size_t at, at_n;	/* offset in struct conf or in the group's element; and of a list's count */
	const char *fallback;	/* the default, as one would write it; items of a list apart by ", " */
	int64_t min, max;	/* both 0: any that the type allows */
	const char *const *names; /* CONF_ENUM: by value, NULL where a value is no choice here */
	size_t n_names;
	unsigned told;		/* roles */
	const char *sentence;
};
extern const struct conf_row conf_rows[];
extern const size_t conf_n_rows;

#define CONF_LIST_MAX 1024	/* items in a list */

/* The row of a path as in the table ("listen.*.kind"), or NULL. */
const struct conf_row *conf_row_of(struct slice path);
/* The group of a path ("spam.dnsbl"), or GROUP_NONE. */
enum conf_group_id conf_group_of(struct slice path);
/* The last part of the row's path: the name in its section. */
const char *conf_row_name(const struct conf_row *row);

/* -- elements of a group */

size_t conf_group_count(const struct conf *c, enum conf_group_id group);
/* The i-th element; its first field is its title. */
void *conf_group_at(const struct conf *c, enum conf_group_id group, size_t i);
/* A new one with all defaults. NULL + err: too many, a bad title, a title that is there already, or no memory. */
void *conf_group_add(struct conf *c, enum conf_group_id group, struct slice title, struct err *err);
/* The one of this title, or NULL. */
void *conf_group_find(const struct conf *c, enum conf_group_id group, struct slice title);

#endif
