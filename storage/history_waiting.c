/* history_waiting - the reports of history_dmarc.c and history_tls_report.c that were tried and wait for their next try */
#include "storage/history_waiting.h"

int
history_waiting(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	static const char sql[] =
	    "WITH waiting AS (SELECT 'DMARC' AS kind, domain, tries, next, why FROM dmarc_seen WHERE tries > 0"
	    " UNION ALL SELECT 'TLS', domain, tries, next, why FROM tls_report WHERE tries > 0)"
	    " SELECT kind, domain, tries, next, why, (SELECT count(*) FROM waiting) FROM waiting"
	    " ORDER BY tries DESC, domain, kind LIMIT 5";
	struct history *h = owner;
	sqlite3_stmt *s = db_prepare(history_db(h), sql, err);
	int got;

	(void)rq;
	if (s == NULL)
		return -1;
	while ((got = db_step(history_db(h), s, err)) == 1)
		admin_row(out, "kind", db_text(s, 0), "domain", db_text(s, 1), "tries", db_text(s, 2), "next",
		    db_text(s, 3), "why", db_text(s, 4), "all", db_text(s, 5), NULL);
	db_done(&s);
	return got;
}
