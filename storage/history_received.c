/* history_received - reports that other servers sent us (DMARC, TLS)
 *
 * Strangers fill these tables, so age and number have ceilings, kept up whenever a report begins.
 *
 * Errors: those of db.c; a part that failed leaves nothing behind. */
#include "storage/history_received.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define DAY (INT64_C(86400) * CLOCK_SECOND)
#define GROUPS_MAX 20000 /* rows of an answer */

static int
run_once(struct history *h, sqlite3_stmt *s, struct err *err)
{
	int rc = db_run(history_db(h), s, err);

	db_done(&s);
	return rc;
}

static int
run_number(struct history *h, const char *sql, int64_t number, struct err *err)
{
	sqlite3_stmt *s = db_prepare(history_db(h), sql, err);

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, number);
	return run_once(h, s, err);
}

/* -- ceilings */

static int
make_room(struct history *h, int64_t now, struct err *err)
{
	static const char drop[] =
	    "DELETE FROM received_dmarc WHERE received NOT IN (SELECT id FROM received);"
	    "DELETE FROM received_tls WHERE received NOT IN (SELECT id FROM received)";
	int before = sqlite3_total_changes(history_db(h));

	if (run_number(h, "DELETE FROM received WHERE taken < ?1", now - RECEIVED_DAYS * DAY, err) == -1 ||
	    run_number(h,
		"DELETE FROM received WHERE id IN (SELECT id FROM received ORDER BY id"
		" LIMIT max(0, (SELECT count(*) FROM received) - ?1))",
		RECEIVED_MAX, err) == -1 ||
	    run_number(h,
		"DELETE FROM received WHERE id IN (SELECT id FROM"
		" (SELECT id, sum(rows) OVER (ORDER BY id DESC) AS so_far FROM received)"
		" WHERE so_far > ?1)",
		RECEIVED_ROWS_MAX, err) == -1)
		return -1;
	return sqlite3_total_changes(history_db(h)) == before ? 0 : db_exec(history_db(h), drop, err);
}

static int
make_room_bad(struct history *h, int64_t now, struct err *err)
{
	if (run_number(h, "DELETE FROM received_bad WHERE taken < ?1", now - RECEIVED_DAYS * DAY, err) == -1)
		return -1;
	return run_number(h,
	    "DELETE FROM received_bad WHERE taken < (SELECT taken FROM received_bad"
	    " ORDER BY taken DESC LIMIT 1 OFFSET ?1)",
	    RECEIVED_BAD_MAX - 1, err);
}

/* -- a report */

#define SAME "kind = ?1 AND domain = ?2 AND org = ?3 AND report = ?4 AND sender = ?5"

static void
bind_key(sqlite3_stmt *s, const struct report *r)
{
	db_bind_i64(s, 1, r->kind);
	db_bind_text(s, 2, r->domain);
	db_bind_text(s, 3, r->org);
	db_bind_text(s, 4, r->id);
	db_bind_text(s, 5, r->sender);
}

/* The row of the report: 1 found, 0 none, -1. */
static int
find(struct history *h, const struct report *r, int64_t *id, int64_t *qid, bool *complete,
    struct err *err)
{
	sqlite3_stmt *s = db_prepare(
	    history_db(h), "SELECT id, qid, complete FROM received WHERE " SAME, err);
	int rc;

	if (s == NULL)
		return -1;
	bind_key(s, r);
	rc = db_step(history_db(h), s, err);
	if (rc == 1) {
		*id = db_i64(s, 0);
		*qid = db_i64(s, 1);
		*complete = db_i64(s, 2) != 0;
	}
	db_done(&s);
	return rc;
}

static int
add_head(struct history *h, const struct report *r, int64_t now, int64_t *id, struct err *err)
{
	sqlite3_stmt *s = db_prepare(history_db(h),
	    "INSERT INTO received (kind, domain, org, report, sender, proven, contact, begins, ends,"
	    " policy, note, taken, qid, rows, complete)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, 0)",
	    err);

	if (s == NULL)
		return -1;
	bind_key(s, r);
	db_bind_i64(s, 6, r->proven);
	db_bind_text(s, 7, r->contact);
	db_bind_i64(s, 8, r->begins);
	db_bind_i64(s, 9, r->ends);
	db_bind_text(s, 10, r->policy);
	db_bind_text(s, 11, r->note);
	db_bind_i64(s, 12, now);
	db_bind_i64(s, 13, (int64_t)r->qid);
	if (run_once(h, s, err) == -1)
		return -1;
	*id = sqlite3_last_insert_rowid(history_db(h));
	return 0;
}

static const char *const add_row[REPORT_KINDS] = {
	[REPORT_DMARC] = "INSERT OR REPLACE INTO received_dmarc"
			 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[REPORT_TLS] = "INSERT OR REPLACE INTO received_tls"
		       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
};

static int
add_rows(struct history *h, const struct report *r, const struct report_part *part, int64_t id,
    struct err *err)
{
	sqlite3_stmt *s = db_prepare(history_db(h), add_row[r->kind], err);
	int rc = s != NULL ? 0 : -1;

	for (size_t i = 0; i < r->n && rc == 0; i++) {
		db_bind_i64(s, 1, id);
		db_bind_i64(s, 2, (int64_t)(part->first + i));
		db_bind_i64(s, 3, r->rows[i].count);
		for (int t = 0; t < REPORT_TEXTS; t++)
			db_bind_text(s, 4 + t, r->rows[i].text[t]);
		rc = db_run(history_db(h), s, err);
	}
	db_done(&s);
	return rc;
}

static int
add_end(struct history *h, const struct report *r, const struct report_part *part, int64_t id,
    struct err *err)
{
	sqlite3_stmt *s = db_prepare(
	    history_db(h), "UPDATE received SET rows = ?2, complete = ?3 WHERE id = ?1", err);

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, id);
	db_bind_i64(s, 2, (int64_t)(part->first + r->n));
	db_bind_i64(s, 3, part->last);
	return run_once(h, s, err);
}

/* What was begun by another message and never ended. */
static int
drop(struct history *h, int64_t id, struct err *err)
{
	if (run_number(h, "DELETE FROM received_dmarc WHERE received = ?1", id, err) == -1 ||
	    run_number(h, "DELETE FROM received_tls WHERE received = ?1", id, err) == -1)
		return -1;
	return run_number(h, "DELETE FROM received WHERE id = ?1", id, err);
}

static int
add_part(struct history *h, const struct report *r, const struct report_part *part, int64_t now,
    struct err *err)
{
	int64_t id = 0, qid = 0;
	bool complete = false;
	int found;

	if (part->first == 0 && make_room(h, now, err) == -1)
		return -1;
	found = find(h, r, &id, &qid, &complete, err);
	if (found == -1)
		return -1;
	if (found == 1 && complete)
		return 0;
	if (part->first > 0 && (found == 0 || qid != (int64_t)r->qid))
		return err_set(err, ERR_TEMPORARY, "its first part is not there");
	if (found == 1 && part->first == 0 && drop(h, id, err) == -1)
		return -1;
	if (part->first == 0 && add_head(h, r, now, &id, err) == -1)
		return -1;
	if (add_rows(h, r, part, id, err) == -1)
		return -1;
	return add_end(h, r, part, id, err);
}

int
received_add(struct history *h, const struct report *r, const struct report_part *part, int64_t now,
    struct err *err)
{
	if (db_exec(history_db(h), "BEGIN IMMEDIATE", err) == -1)
		return -1;
	if (add_part(h, r, part, now, err) == 0 && db_exec(history_db(h), "COMMIT", err) == 0)
		return 0;
	db_exec(history_db(h), "ROLLBACK", NULL);
	return -1;
}

int
received_add_bad(struct history *h, const struct received_bad *bad, int64_t now, struct err *err)
{
	sqlite3_stmt *s = db_prepare(history_db(h),
	    "INSERT OR REPLACE INTO received_bad VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", err);

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, bad->kind);
	db_bind_text(s, 2, bad->sender);
	db_bind_text(s, 3, bad->domain);
	db_bind_text(s, 4, bad->file);
	db_bind_text(s, 5, bad->why);
	db_bind_i64(s, 6, now);
	db_bind_i64(s, 7, (int64_t)bad->qid);
	return run_once(h, s, err) == -1 ? -1 : make_room_bad(h, now, err);
}

/* -- what is asked of it: one statement for each kind of row, its columns named as in the answer */

static const struct {
	const char *verb;
	enum report_kind kind;
	const char *what, *sql;
} questions[] = {
	{ "dmarc.show", REPORT_DMARC, "report",
	    "SELECT org, report AS id, contact, sender, proven, begins, ends, policy, note, taken,"
	    " (SELECT sum(messages) FROM received_dmarc d WHERE d.received = r.id) AS messages"
	    " FROM received r WHERE kind = ?1 AND domain = ?2 AND complete AND ends >= ?3"
	    " ORDER BY ends DESC, r.id DESC LIMIT ?4" },
	{ "dmarc.show", REPORT_DMARC, "source",
	    "SELECT ip, disposition, dkim, spf, reason, header_from, envelope_from, dkim_auth,"
	    " spf_auth, proven, sum(messages) AS messages"
	    " FROM received r JOIN received_dmarc d ON d.received = r.id"
	    " WHERE kind = ?1 AND r.domain = ?2 AND complete AND ends >= ?3"
	    " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ORDER BY messages DESC, ip LIMIT ?4" },
	{ "tlsrpt.show", REPORT_TLS, "report",
	    "SELECT org, report AS id, contact, sender, proven, begins, ends, note, taken FROM received r"
	    " WHERE kind = ?1 AND complete AND ends >= ?3"
	    " AND r.id IN (SELECT received FROM received_tls WHERE domain = ?2)"
	    " ORDER BY ends DESC, r.id DESC LIMIT ?4" },
	{ "tlsrpt.show", REPORT_TLS, "result",
	    "SELECT t.policy, mx, result, host, host_ip, sender_ip, reason, info, org, proven,"
	    " sum(sessions) AS sessions, max(ends) AS latest"
	    " FROM received r JOIN received_tls t ON t.received = r.id"
	    " WHERE kind = ?1 AND t.domain = ?2 AND complete AND ends >= ?3"
	    " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ORDER BY sessions DESC LIMIT ?4" },
	{ "", REPORT_KINDS, "bad",
	    "SELECT sender, domain, file, why, taken, qid FROM received_bad"
	    " WHERE kind = ?1 AND domain IN (?2, '') AND taken >= ?3 * 1000000"
	    " ORDER BY taken DESC LIMIT ?4" },
};

/* A row of the statement, every column under its name. */
static void
tell(struct admin_out *out, const char *what, sqlite3_stmt *s)
{
	struct admin_word words[20] = { { "what", what } };
	size_t n = 1;

	for (int i = 0; i < sqlite3_column_count(s) && n < COUNT(words); i++)
		words[n++] = (struct admin_word){ sqlite3_column_name(s, i), db_text(s, i) };
	out->row(out, words, n);
}

static int
answer(struct history *h, const char *sql, const char *what, enum report_kind kind,
    const struct admin_request *rq, int64_t since, struct admin_out *out, struct err *err)
{
	sqlite3_stmt *s = db_prepare(history_db(h), sql, err);
	int rc;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, kind);
	db_bind_text(s, 2, admin_get(rq, "domain"));
	db_bind_i64(s, 3, since);
	db_bind_i64(s, 4, GROUPS_MAX);
	while ((rc = db_step(history_db(h), s, err)) == 1)
		tell(out, what, s);
	db_done(&s);
	return rc;
}

int
received_show(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	enum report_kind kind = strcmp(rq->verb, "dmarc.show") == 0 ? REPORT_DMARC : REPORT_TLS;
	uint64_t since;

	if (admin_get(rq, "domain") == NULL)
		return err_set(err, ERR_USAGE, "which domain?");
	if (admin_get_u64(rq, "since", 0, &since, err) == -1)
		return -1;
	for (size_t i = 0; i < COUNT(questions); i++) {
		if (*questions[i].verb != '\0' && strcmp(questions[i].verb, rq->verb) != 0)
			continue;
		if (answer(owner, questions[i].sql, questions[i].what, kind, rq,
			(int64_t)(since / CLOCK_SECOND), out, err) == -1)
			return -1;
	}
	return 0;
}
