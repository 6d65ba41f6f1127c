/* report_read - a report of another server from its text: XML for DMARC (RFC 9990, 7489), JSON for TLS
 * (RFC 8460)
 *
 * The text comes in pieces. XML is read as it comes, JSON once it is all there. Which of them it is shows
 * in its first character. Written by strangers: depth, sizes, rows and numbers have ceilings, entities and
 * DOCTYPE are refused; a report that breaks one is not taken at all, and err says why. */
#ifndef FILTERS_REPORT_READ_H
#define FILTERS_REPORT_READ_H

#include "base/err.h"
#include "base/report.h"

#define REPORT_POOL_MAX (24u << 20) /* of all texts of one report */
#define REPORT_JSON_MAX (8u << 20)

struct report_reader;

/* Texts of the report go into `pool`, its rows belong to the reader. NULL: out of memory. */
struct report_reader *report_reader_new(struct pool *pool);
/* Sets *r to NULL; accepts NULL. */
void report_reader_free(struct report_reader **r);
int report_reader_feed(struct report_reader *r, struct slice piece, struct err *err);
/* That was all. *out is what it says, borrowed until the reader goes; sender, proven and qid are left
 * empty. */
int report_reader_end(struct report_reader *r, struct report *out, struct err *err);
/* What is known of a report that cannot be read: its kind, and its domain ("" when unknown). */
enum report_kind report_reader_kind(const struct report_reader *r);
const char *report_reader_domain(const struct report_reader *r);

#endif
