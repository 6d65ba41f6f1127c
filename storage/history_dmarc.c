/* history_dmarc - rows of reports to be
 *
 * Times are in whole seconds here, as in the reports. */
#include "storage/history_dmarc.h"

#include <string.h>

#define SENT_KEPT (30 * INT64_C(86400)) /* s */
#define GRACE_MAX 60                    /* s that the last messages of a report may take to get here */

static sqlite3_stmt *
prepare(struct history *h, const char *sql, struct err *err)
{
	return db_prepare(history_db(h), sql, err);
}

static int
run_once(struct history *h, sqlite3_stmt *s, struct err *err)
{
	int rc = db_run(history_db(h), s, err);

	db_done(&s);
	return rc;
}

/* The number that a question answers with; -1 + err. */
static int64_t
number(struct history *h, sqlite3_stmt *s, struct err *err)
{
	int64_t n = -1;
	int got = db_step(history_db(h), s, err);

	if (got == 1)
		n = db_i64(s, 0);
	else if (got == 0)
		n = 0;
	db_done(&s);
	return n;
}

static int64_t
count(struct history *h, const char *sql, struct err *err)
{
	sqlite3_stmt *s = prepare(h, sql, err);

	return s != NULL ? number(h, s, err) : -1;
}

/* -- adding */

struct adding {
	struct history *h;
	sqlite3_stmt *find, *begin, *more, *room, *row, *drop;
	int64_t domains, rows; /* there are; -1: not counted yet, as most messages add none */
	int64_t interval;
};

/* Is there room for one more? Counts at the first one. -1 + err. */
static int
has_room(struct adding *a, int64_t *there, int64_t most, const char *count_sql, struct err *err)
{
	if (*there == -1 && (*there = count(a->h, count_sql, err)) == -1)
		return -1;
	return *there < most;
}

/* Not all at the same second: receivers of many reports are thankful (RFC 8460 5.4 says so, too). */
static int64_t
delay_of(const char *domain, int64_t interval)
{
	uint32_t hash = 2166136261u;

	for (; *domain != '\0'; domain++)
		hash = (hash ^ (unsigned char)*domain) * 16777619u;
	return (interval / 10 < GRACE_MAX ? interval / 10 : GRACE_MAX) +
	       (interval >= 6 ? hash % (interval / 6) : 0);
}

/* The report's number; 0: there is no room for one more; -1 + err. The policy seen last is the one told. */
static int64_t
report_of(struct adding *a, const struct dmarc_seen *m, struct err *err)
{
	sqlite3 *db = history_db(a->h);
	int64_t time = m->time / 1000000, start = time - time % a->interval, id = 0;
	int got;

	db_bind_i64(a->find, 1, start);
	db_bind_text(a->find, 2, m->domain);
	got = db_step(db, a->find, err);
	if (got == 1) {
		id = db_i64(a->find, 0);
		sqlite3_reset(a->find);
	} else if (got == 0) {
		got = has_room(a, &a->domains, DMARC_DOMAINS_MAX, "SELECT count(*) FROM dmarc_seen", err);
		if (got == 0)
			return 0;
	}
	if (got == -1)
		return -1;
	db_bind_i64(a->begin, 1, start);
	db_bind_i64(a->begin, 2, start + a->interval);
	db_bind_text(a->begin, 3, m->domain);
	db_bind_text(a->begin, 4, m->organization);
	db_bind_text(a->begin, 5, m->policy);
	db_bind_text(a->begin, 6, m->rua);
	db_bind_i64(a->begin, 7, start + a->interval + delay_of(m->domain, a->interval));
	if (db_run(db, a->begin, err) == -1)
		return -1;
	if (id == 0) {
		id = sqlite3_last_insert_rowid(db);
		a->domains++;
	}
	return id;
}

static void
bind_row(sqlite3_stmt *s, int64_t report, const struct dmarc_seen *m)
{
	const char *texts[] = { m->ip, m->disposition, m->dkim, m->spf, m->reasons, m->header_from,
		m->envelope_from, m->results };

	db_bind_i64(s, 1, report);
	for (size_t i = 0; i < COUNT(texts); i++)
		db_bind_text(s, (int)i + 2, texts[i]);
}

/* One more of a row that is there, or a new row; above the ceiling it is counted in its report. */
static int
add_row(struct adding *a, int64_t report, const struct dmarc_seen *m, struct err *err)
{
	sqlite3 *db = history_db(a->h);
	int64_t there;
	int room;

	bind_row(a->more, report, m);
	if (db_run(db, a->more, err) == -1)
		return -1;
	if (sqlite3_changes(db) > 0)
		return 0;
	db_bind_i64(a->room, 1, report);
	if (db_step(db, a->room, err) != 1)
		return -1;
	there = db_i64(a->room, 0);
	sqlite3_reset(a->room);
	room = has_room(a, &a->rows, DMARC_ROWS_MAX, "SELECT count(*) FROM dmarc_seen_row", err);
	if (room == -1)
		return -1;
	if (room == 0 || there >= DMARC_DOMAIN_ROWS_MAX) {
		db_bind_i64(a->drop, 1, report);
		return db_run(db, a->drop, err);
	}
	a->rows++;
	bind_row(a->row, report, m);
	return db_run(db, a->row, err);
}

#define ROW_IS                                                                                     \
	"seen = ?1 AND ip = ?2 AND disposition = ?3 AND dkim = ?4 AND spf = ?5 AND reasons = ?6"   \
	" AND header_from = ?7 AND envelope_from = ?8 AND results = ?9"

static int
adding_start(struct adding *a, struct err *err)
{
	struct history *h = a->h;

	a->domains = a->rows = -1;
	a->find = prepare(h, "SELECT id FROM dmarc_seen WHERE start = ?1 AND domain = ?2", err);
	a->begin = prepare(h,
	    "INSERT INTO dmarc_seen (start, until, domain, organization, policy, rua, dropped, tries, next)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7) ON CONFLICT (start, domain) DO UPDATE SET"
	    " organization = excluded.organization, policy = excluded.policy, rua = excluded.rua",
	    err);
	a->more = prepare(
	    h, "UPDATE dmarc_seen_row SET messages = messages + 1 WHERE " ROW_IS, err);
	a->room = prepare(h, "SELECT count(*) FROM dmarc_seen_row WHERE seen = ?1", err);
	a->row = prepare(h,
	    "INSERT INTO dmarc_seen_row (seen, ip, disposition, dkim, spf, reasons, header_from, envelope_from,"
	    " results, messages) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1)",
	    err);
	a->drop = prepare(h, "UPDATE dmarc_seen SET dropped = dropped + 1 WHERE id = ?1", err);
	return a->find == NULL || a->begin == NULL || a->more == NULL || a->room == NULL ||
		       a->row == NULL || a->drop == NULL
		   ? -1
		   : 0;
}

static void
adding_end(struct adding *a)
{
	sqlite3_stmt **all[] = { &a->find, &a->begin, &a->more, &a->room, &a->row, &a->drop };

	for (size_t i = 0; i < COUNT(all); i++)
		if (*all[i] != NULL)
			db_done(all[i]);
}

static int
add_all(struct adding *a, const struct dmarc_seen *seen, size_t n, uint64_t *dropped,
    struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int64_t report = report_of(a, &seen[i], err);

		if (report == -1 || (report > 0 && add_row(a, report, &seen[i], err) == -1))
			return -1;
		*dropped += report == 0;
	}
	return 0;
}

int
history_dmarc_add(struct history *h, const struct dmarc_seen *seen, size_t n, int64_t interval,
    uint64_t *dropped, struct err *err)
{
	struct adding a = { .h = h, .interval = interval > 0 ? interval : 1 };
	int rc = -1;

	if (n == 0)
		return 0;
	if (db_exec(history_db(h), "BEGIN IMMEDIATE", err) == -1)
		return -1;
	if (adding_start(&a, err) == 0)
		rc = add_all(&a, seen, n, dropped, err);
	adding_end(&a);
	if (rc == 0)
		rc = db_exec(history_db(h), "COMMIT", err);
	if (rc == -1)
		db_exec(history_db(h), "ROLLBACK", NULL);
	return rc;
}

/* -- telling */

static const char *
keep(struct pool *pool, sqlite3_stmt *s, int column)
{
	const char *text = pool_text(pool, slice_of(db_text(s, column)));

	return text != NULL ? text : "";
}

static int
read_rows(struct history *h, struct pool *pool, struct dmarc_report *r, struct err *err)
{
	sqlite3_stmt *s = prepare(h,
	    "SELECT id, ip, disposition, dkim, spf, reasons, header_from, envelope_from, results, messages"
	    " FROM dmarc_seen_row WHERE seen = ?1 ORDER BY id LIMIT ?2",
	    err);
	int got = -1;

	if (s == NULL)
		return -1;
	r->rows = pool_alloc(pool, DMARC_REPORT_ROWS_MAX * sizeof(*r->rows));
	db_bind_i64(s, 1, r->id);
	db_bind_i64(s, 2, DMARC_REPORT_ROWS_MAX);
	while (r->rows != NULL && (got = db_step(history_db(h), s, err)) == 1) {
		struct dmarc_seen *m = &r->rows[r->n++];
		const char **texts[] = { &m->ip, &m->disposition, &m->dkim, &m->spf, &m->reasons,
			&m->header_from, &m->envelope_from, &m->results };

		m->id = db_i64(s, 0);
		for (size_t i = 0; i < COUNT(texts); i++)
			*texts[i] = keep(pool, s, (int)i + 1);
		m->messages = db_i64(s, 9);
	}
	db_done(&s);
	if (r->rows == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	return got;
}

int
history_dmarc_due(struct history *h, int64_t now, struct pool *pool, struct dmarc_report *r,
    struct err *err)
{
	sqlite3_stmt *s = prepare(h,
	    "SELECT id, start, until, domain, organization, policy, rua, dropped, tries FROM dmarc_seen"
	    " WHERE next <= ?1 ORDER BY next, id LIMIT 1",
	    err);
	int got;

	memset(r, 0, sizeof(*r));
	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, now);
	got = db_step(history_db(h), s, err);
	if (got == 1) {
		r->id = db_i64(s, 0);
		r->start = db_i64(s, 1);
		r->until = db_i64(s, 2);
		r->domain = keep(pool, s, 3);
		r->organization = keep(pool, s, 4);
		r->policy = keep(pool, s, 5);
		r->rua = keep(pool, s, 6);
		r->dropped = db_i64(s, 7);
		r->tries = db_i64(s, 8);
	}
	db_done(&s);
	if (got == 1 && read_rows(h, pool, r, err) == -1)
		return -1;
	return got;
}

int
history_dmarc_told(struct history *h, int64_t id, int64_t last, struct err *err)
{
	sqlite3_stmt *s =
	    prepare(h, "DELETE FROM dmarc_seen_row WHERE seen = ?1 AND id <= ?2", err);

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, id);
	db_bind_i64(s, 2, last);
	if (run_once(h, s, err) == -1)
		return -1;
	s = prepare(h, "UPDATE dmarc_seen SET dropped = 0, tries = 0 WHERE id = ?1", err);
	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, id);
	if (run_once(h, s, err) == -1)
		return -1;
	s = prepare(h,
	    "DELETE FROM dmarc_seen WHERE id = ?1 AND NOT EXISTS"
	    " (SELECT 1 FROM dmarc_seen_row WHERE seen = ?1)",
	    err);
	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, id);
	return run_once(h, s, err);
}

int
history_dmarc_later(struct history *h, int64_t id, int64_t next, const char *why, struct err *err)
{
	sqlite3_stmt *s =
	    prepare(h, "UPDATE dmarc_seen SET next = ?2, tries = tries + 1, why = ?3 WHERE id = ?1", err);

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, id);
	db_bind_i64(s, 2, next);
	db_bind_text(s, 3, why);
	return run_once(h, s, err);
}

/* -- what was sent */

static int
forget_sent(struct history *h, int64_t now, struct err *err)
{
	sqlite3_stmt *s = prepare(h, "DELETE FROM report_sent WHERE time < ?1", err);

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, now - SENT_KEPT);
	return run_once(h, s, err);
}

int
history_report_sent(struct history *h, const char *report, const char *destination, int64_t now,
    struct err *err)
{
	sqlite3_stmt *s =
	    prepare(h, "INSERT OR REPLACE INTO report_sent VALUES (?1, ?2, ?3)", err);

	if (s == NULL)
		return -1;
	db_bind_text(s, 1, report);
	db_bind_text(s, 2, destination);
	db_bind_i64(s, 3, now);
	if (run_once(h, s, err) == -1)
		return -1;
	return forget_sent(h, now, err);
}

int
history_report_was_sent(
    struct history *h, const char *report, const char *destination, struct err *err)
{
	sqlite3_stmt *s = prepare(
	    h, "SELECT count(*) FROM report_sent WHERE report = ?1 AND destination = ?2", err);

	if (s == NULL)
		return -1;
	db_bind_text(s, 1, report);
	db_bind_text(s, 2, destination);
	return (int)number(h, s, err);
}
