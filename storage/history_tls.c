/* history_tls - what TLS with other servers came to, and the policies they published */
#include "storage/history_tls.h"

static int
run_once(struct history *h, sqlite3_stmt *s, struct err *err)
{
	int rc = db_run(history_db(h), s, err);

	db_done(&s);
	return rc;
}

/* -- sessions */

static int
forget_days(struct history *h, int64_t today, struct err *err)
{
	sqlite3_stmt *s = db_prepare(history_db(h), "DELETE FROM tls_session WHERE day < ?1", err);

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, today - TLS_DAYS);
	return run_once(h, s, err);
}

static int
add_one(struct history *h, sqlite3_stmt *s, const struct tls_count *c, struct err *err)
{
	const char *texts[] = { c->domain, c->type, c->lines, c->host, c->ip, c->own_ip, c->result,
		c->why };

	db_bind_i64(s, 1, c->day);
	for (size_t i = 0; i < COUNT(texts); i++)
		db_bind_text(s, (int)i + 2, texts[i]);
	db_bind_i64(s, 10, c->sessions);
	return db_run(history_db(h), s, err);
}

static int
add_all(struct history *h, const struct tls_count *counts, size_t n, struct err *err)
{
	sqlite3_stmt *s = db_prepare(history_db(h),
	    "INSERT INTO tls_session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
	    " ON CONFLICT DO UPDATE SET sessions = sessions + excluded.sessions",
	    err);
	int rc = s != NULL ? 0 : -1;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add_one(h, s, &counts[i], err);
	db_done(&s);
	return rc;
}

int
history_tls_add(struct history *h, const struct tls_count *counts, size_t n, struct err *err)
{
	if (n == 0)
		return 0;
	if (db_exec(history_db(h), "BEGIN IMMEDIATE", err) == -1)
		return -1;
	if (add_all(h, counts, n, err) == 0 && forget_days(h, counts[n - 1].day, err) == 0 &&
	    db_exec(history_db(h), "COMMIT", err) == 0)
		return 0;
	db_exec(history_db(h), "ROLLBACK", NULL);
	return -1;
}

/* -- policies */

static int
sts_remove(struct history *h, const char *domain, struct err *err)
{
	sqlite3_stmt *s =
	    db_prepare(history_db(h), "DELETE FROM sts_policy WHERE domain = ?1", err);

	if (s == NULL)
		return -1;
	db_bind_text(s, 1, domain);
	return run_once(h, s, err);
}

static int
sts_make_room(struct history *h, struct err *err)
{
	sqlite3_stmt *s = db_prepare(history_db(h),
	    "DELETE FROM sts_policy WHERE domain IN (SELECT domain FROM sts_policy"
	    " ORDER BY expires LIMIT max(0, (SELECT count(*) FROM sts_policy) - ?1))",
	    err);

	if (s == NULL)
		return -1;
	db_bind_i64(s, 1, STS_POLICIES_MAX);
	return run_once(h, s, err);
}

int
history_sts_put(struct history *h, const struct sts_kept *policy, struct err *err)
{
	sqlite3_stmt *s;

	if (policy->text[0] == '\0')
		return sts_remove(h, policy->domain, err);
	s = db_prepare(
	    history_db(h), "INSERT OR REPLACE INTO sts_policy VALUES (?1, ?2, ?3, ?4, ?5)", err);
	if (s == NULL)
		return -1;
	db_bind_text(s, 1, policy->domain);
	db_bind_text(s, 2, policy->id);
	db_bind_i64(s, 3, policy->fetched);
	db_bind_i64(s, 4, policy->expires);
	db_bind_text(s, 5, policy->text);
	if (run_once(h, s, err) == -1)
		return -1;
	return sts_make_room(h, err);
}

int
history_sts_get(struct history *h, const char *domain, int64_t now, struct pool *pool,
    struct sts_kept *policy, struct err *err)
{
	sqlite3_stmt *s = db_prepare(history_db(h),
	    "SELECT id, text, fetched, expires FROM sts_policy WHERE domain = ?1 AND expires > ?2",
	    err);
	int got;

	if (s == NULL)
		return -1;
	db_bind_text(s, 1, domain);
	db_bind_i64(s, 2, now);
	got = db_step(history_db(h), s, err);
	if (got == 1) {
		policy->domain = domain;
		policy->id = pool_text(pool, slice_of(db_text(s, 0)));
		policy->text = pool_text(pool, slice_of(db_text(s, 1)));
		policy->fetched = db_i64(s, 2);
		policy->expires = db_i64(s, 3);
		if (policy->id == NULL || policy->text == NULL)
			got = err_set(err, ERR_TEMPORARY, "out of memory");
	}
	db_done(&s);
	return got;
}
