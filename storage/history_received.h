/* history_received - reports that other servers sent us (DMARC, TLS), in history.db
 *
 * `received` has a report a row, `received_dmarc` and `received_tls` what stands in it; a report that
 * comes in parts counts once the last of them is there. `received_bad` has those that could not be
 * read, with the reason. A report is known by its kind, its domain, who made it, his id for it and the domain
 * that mailed it: one that is mailed twice is kept once. */
#ifndef STORAGE_HISTORY_RECEIVED_H
#define STORAGE_HISTORY_RECEIVED_H

#include "base/admin.h"
#include "base/report.h"
#include "storage/history.h"

#define RECEIVED_DAYS 400 /* kept */
#define RECEIVED_MAX 20000 /* reports; the oldest go first ... */
#define RECEIVED_ROWS_MAX 2000000 /* ... also when their rows are too many */
#define RECEIVED_BAD_MAX 1000

/* One part of it, all of its rows or none. `now`: us since 1970. */
int received_add(struct history *h, const struct report *r, const struct report_part *part,
    int64_t now, struct err *err);

struct received_bad {
	enum report_kind kind;
	uint64_t qid;
	const char *sender, *domain, *file, *why; /* domain "": not known */
};
int received_add_bad(
    struct history *h, const struct received_bad *bad, int64_t now, struct err *err);

/* Owner: a struct history.
 *   dmarc.show {domain, since (us)} -> {what: report, ...}*, {what: source, ...}*, {what: bad, ...}*
 *   tlsrpt.show likewise, with {what: result, ...} */
int received_show(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err);

#endif
