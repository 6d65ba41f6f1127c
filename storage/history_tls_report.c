/* history_tls_report - rows of TLS reports to be */
#include "storage/history_tls_report.h"

#include <string.h>

#define DAY INT64_C(86400)
#define SPREAD (4 * 3600) /* s over which the reports of a day are sent (RFC 8460 5.4) */

static sqlite3_stmt *
prepare(struct history *h, const char *sql, struct err *err)
{
	return db_prepare(history_db(h), sql, err);
}

static int
run(struct history *h, const char *sql, int64_t a, int64_t b, const char *text, struct err *err)
{
	sqlite3_stmt *s = prepare(h, sql, err);
	int rc;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, a);
	db_bind_i64(s, 2, b);
	if (text != NULL)
		db_bind_text(s, 3, text);
	rc = db_run(history_db(h), s, err);
	db_done(&s);
	return rc;
}

static int64_t
delay_of(const char *domain)
{
	uint32_t hash = 2166136261u;

	for (; *domain != '\0'; domain++)
		hash = (hash ^ (unsigned char)*domain) * 16777619u;
	return 60 + hash % SPREAD;
}

static const char *
keep(struct pool *pool, sqlite3_stmt *s, int column)
{
	const char *text = pool_text(pool, slice_of(db_text(s, column)));

	return text != NULL ? text : "";
}

/* -- a new report */

static int
begin_one(struct history *h, int64_t day, const char *domain, int64_t now, bool at_once, struct err *err)
{
	sqlite3_stmt *s = prepare(h,
	    "INSERT INTO tls_report (start, until, domain, tries, next) VALUES (?1, ?2, ?3, 0, ?4)", err);
	int64_t start = day * DAY, until = start + DAY;
	int rc;

	if (s == NULL)
		return -1;
	if (at_once && until > now)
		until = now + 1;
	db_bind_i64(s, 1, start);
	db_bind_i64(s, 2, until);
	db_bind_text(s, 3, domain);
	db_bind_i64(s, 4, at_once ? now : until + delay_of(domain));
	rc = db_run(history_db(h), s, err);
	db_done(&s);
	if (rc == -1 ||
	    run(h,
		"INSERT INTO tls_report_row SELECT ?2, type, lines, host, ip, own_ip, result, why, sessions"
		" FROM tls_session WHERE day = ?1 AND domain = ?3",
		day, sqlite3_last_insert_rowid(history_db(h)), domain, err) == -1)
		return -1;
	return run(h, "DELETE FROM tls_session WHERE day = ?1 AND domain = ?3 AND ?2 = 0", day, 0, domain, err);
}

/* Make reports of the days that are over, a few at a time. Says how many, or -1 + err. */
static int
begin_some(struct history *h, int64_t now, bool at_once, struct pool *pool, struct err *err)
{
	sqlite3_stmt *s = prepare(
	    h, "SELECT DISTINCT day, domain FROM tls_session WHERE day < ?1 LIMIT 100", err);
	const char *domains[100];
	int64_t days[100];
	int n = 0, got, rc = 0;

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, now / DAY + (at_once ? 1 : 0));
	while ((got = db_step(history_db(h), s, err)) == 1) {
		days[n] = db_i64(s, 0);
		domains[n++] = keep(pool, s, 1);
	}
	db_done(&s);
	if (got == -1 || n == 0)
		return got == -1 ? -1 : 0;
	if (db_exec(history_db(h), "BEGIN IMMEDIATE", err) == -1)
		return -1;
	for (int i = 0; i < n && rc == 0; i++)
		rc = begin_one(h, days[i], domains[i], now, at_once, err);
	if (rc == 0)
		rc = db_exec(history_db(h), "COMMIT", err);
	if (rc == -1)
		db_exec(history_db(h), "ROLLBACK", NULL);
	return rc == -1 ? -1 : n;
}

/* -- one that is there */

static int
read_rows(struct history *h, struct pool *pool, struct tls_report *r, struct err *err)
{
	sqlite3_stmt *s = prepare(h,
	    "SELECT type, lines, host, ip, own_ip, result, why, sessions FROM tls_report_row WHERE report = ?1"
	    " ORDER BY type, lines, sessions DESC, host, ip, own_ip, result, why LIMIT ?2",
	    err);
	int got = -1;

	if (s == NULL)
		return -1;
	r->rows = pool_alloc(pool, TLS_REPORT_ROWS_MAX * sizeof(*r->rows));
	db_bind_i64(s, 1, r->id);
	db_bind_i64(s, 2, TLS_REPORT_ROWS_MAX);
	while (r->rows != NULL && (got = db_step(history_db(h), s, err)) == 1) {
		struct tls_count *c = &r->rows[r->n++];
		const char **texts[] = { &c->type, &c->lines, &c->host, &c->ip, &c->own_ip,
			&c->result, &c->why };

		for (size_t i = 0; i < COUNT(texts); i++)
			*texts[i] = keep(pool, s, (int)i);
		c->sessions = db_i64(s, 7);
	}
	db_done(&s);
	if (r->rows == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	return got;
}

static int
find_due(struct history *h, int64_t now, struct pool *pool, struct tls_report *r, struct err *err)
{
	sqlite3_stmt *s = prepare(h,
	    "SELECT id, start, until, tries, domain FROM tls_report WHERE next <= ?1 ORDER BY next, id LIMIT 1",
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
		r->tries = db_i64(s, 3);
		r->domain = keep(pool, s, 4);
	}
	db_done(&s);
	return got == 1 && read_rows(h, pool, r, err) == -1 ? -1 : got;
}

int
history_tls_due(struct history *h, int64_t now, bool at_once, struct pool *pool, struct tls_report *r,
    struct err *err)
{
	int got = find_due(h, now, pool, r, err);

	if (got != 0)
		return got;
	got = begin_some(h, now, at_once, pool, err);
	return got > 0 ? find_due(h, now, pool, r, err) : got;
}

int
history_tls_told(struct history *h, int64_t id, struct err *err)
{
	if (run(h, "DELETE FROM tls_report_row WHERE report = ?1 AND ?2 = 0", id, 0, NULL, err) == -1)
		return -1;
	return run(h, "DELETE FROM tls_report WHERE id = ?1 AND ?2 = 0", id, 0, NULL, err);
}

int
history_tls_later(struct history *h, int64_t id, int64_t next, const char *why, struct err *err)
{
	return run(h, "UPDATE tls_report SET next = ?2, tries = tries + 1, why = ?3 WHERE id = ?1", id, next, why, err);
}
