/* report_build - a report as it grows: what its readers (XML, JSON) see goes by path to what fills it in
 *
 * A path names an element below all that it stands in: "feedback/record/row/count"; an item of a JSON
 * list has the path of the list. Private to filters/report_*.c. */
#ifndef FILTERS_REPORT_BUILD_H
#define FILTERS_REPORT_BUILD_H

#include "filters/report_read.h"

#define REPORT_DEPTH_MAX 20
#define REPORT_PATH_MAX 300
#define REPORT_DETAILS_MAX 100 /* of one policy */

struct report_build {
	struct pool *pool;
	struct report report;
	size_t rows_size;
	struct report_row row;              /* the next one */
	/* TLS: the failures of a policy, until it ends; the one that is read stands behind them */
	struct report_row details[REPORT_DETAILS_MAX + 1];
	size_t n_details;
	bool details_left;                  /* there were more */
	int64_t good, failed;               /* TLS: sessions that the summary counts */
	const char *domain, *selector, *result; /* of a DKIM or SPF check */
};

/* Something ended: an element with its text, a value, or (text empty) an object. 0 or -1 + err. */
int report_dmarc_value(
    struct report_build *b, const char *path, struct slice text, struct err *err);
int report_tls_value(struct report_build *b, const char *path, struct slice text, struct err *err);
/* Is it whole and does it make sense? */
int report_finish(struct report_build *b, struct err *err);

/* -- for both */

struct report_path {
	const char *path;
	int (*take)(struct report_build *b, size_t at, struct slice text, struct err *err);
	size_t at; /* an offset in struct report_build, or an enum */
};
int report_take(const struct report_path *paths, size_t n, struct report_build *b, const char *path,
    struct slice text, struct err *err);
/* The text as it is kept: trimmed, cut, without control characters; in the pool. */
int report_text(struct report_build *b, struct slice text, const char **out, struct err *err);
/* ... added behind what is there, with a comma. */
int report_more(struct report_build *b, const char **to, const char *text, struct err *err);
int report_number(struct slice text, const char *what, int64_t *out, struct err *err);
/* An address in its one form; "" when the text is none. */
int report_ip(struct report_build *b, struct slice text, const char **out, struct err *err);
int report_domain(struct report_build *b, struct slice text, const char **out, struct err *err);
int report_row_add(struct report_build *b, const struct report_row *row, struct err *err);
/* Takers for any table: a text, a domain (at: offset of a const char *). */
int report_take_text(struct report_build *b, size_t at, struct slice text, struct err *err);
int report_take_domain(struct report_build *b, size_t at, struct slice text, struct err *err);

/* -- the two readers */
struct report_xml;
struct report_xml *report_xml_new(struct report_build *b);
void report_xml_free(struct report_xml **x);
int report_xml_feed(struct report_xml *x, struct slice piece, bool last, struct err *err);
int report_json_read(struct report_build *b, struct slice text, struct err *err);

#endif
