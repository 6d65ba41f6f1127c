/* rescue - see rescue.h
 *
 * Rows go into the new file as they are read (rescue_rows.c). Then the new file is asked what does not fit
 * together. */
#include "storage/rescue_rows.h"

#include <string.h>
#include <unistd.h>

#include "base/envelope.h"
#include "storage/spool.h"

#define PAGE_SIZE 4096 /* of queue.db, when its header does not say */
#define RECORD_MAX (20u << 20)

static const char may_be_delivered[] =
    "queue.db was damaged where this stood: it may have been delivered already";
static const char no_journal[] =
    "the journal of queue.db was missing: it may have been delivered already";

/* -- what does not fit together */

static const char *const misfits[][2] = {
	{ "SELECT r.qid, '', r.address, x'', x'' FROM rcpt r WHERE r.qid NOT IN (SELECT qid FROM "
	  "message)"
	  " AND (r.qid, r.n) NOT IN doubt",
	    "its sender and body cannot be read" },
	{ "SELECT m.qid, m.sender, '', m.prefix, m.body FROM message m WHERE m.qid NOT IN (SELECT "
	  "qid FROM rcpt)"
	  " AND (m.qid, -1) NOT IN doubt",
	    "its recipients cannot be read" },
	{ "SELECT m.qid, m.sender, r.address, m.prefix, m.body FROM rcpt r JOIN message m USING "
	  "(qid)"
	  " WHERE (r.flags & 2) = 0 AND length(m.body) <> r.size",
	    "its body has not the size that its record says" },
};
_Static_assert(ENVELOPE_SPOOLED == 2 && QUEUE_HELD == 2 && QUEUE_OWED == 3,
    "the statements of this file say so");

/* A body that is a file must be there. */
static void
sql_spooled(sqlite3_context *context, int n, sqlite3_value **v)
{
	struct rescue_job *j = sqlite3_user_data(context);
	int fd = n == 2 && j->spool_dir != -1
		     ? spool_read(j->spool_dir, (uint64_t)sqlite3_value_int64(v[0]),
			   (uint64_t)sqlite3_value_int64(v[1]), NULL)
		     : -1;

	sqlite3_result_int(context, fd != -1);
	if (fd != -1)
		close(fd);
}

static const char spooled[] =
    "SELECT m.qid, m.sender, r.address, m.prefix, x'' FROM rcpt r JOIN message m USING (qid)"
    " WHERE (r.flags & 2) <> 0 AND NOT spooled(r.qid, r.size)";

static int
tell_misfits(struct rescue_job *j, const char *sql, const char *why)
{
	sqlite3_stmt *st = db_prepare(j->db, sql, j->err);
	int got = -1;

	while (st != NULL && (got = db_step(j->db, st, j->err)) == 1) {
		struct rescue_lost l = { (uint64_t)db_i64(st, 0), db_text(st, 1), db_text(st, 2),
			why, db_blob(st, 3), db_blob(st, 4) };

		rescue_tell(j, &l);
	}
	db_done(&st);
	return got;
}

static int64_t
count(struct rescue_job *j, const char *sql)
{
	sqlite3_stmt *st = db_prepare(j->db, sql, j->err);
	int64_t n = st != NULL && db_step(j->db, st, j->err) == 1 ? db_i64(st, 0) : -1;

	db_done(&st);
	return n;
}

/* Told what is lost, the new file keeps what is whole; what is doubtful is held. */
static int
fit_together(struct rescue_job *j)
{
	static const char keep_whole[] =
	    "DELETE FROM rcpt WHERE qid NOT IN (SELECT qid FROM message);"
	    "DELETE FROM rcpt WHERE (flags & 2) = 0 AND size <> (SELECT length(body) FROM message "
	    "m WHERE m.qid = rcpt.qid);"
	    "DELETE FROM rcpt WHERE (flags & 2) <> 0 AND NOT spooled(qid, size);"
	    "DELETE FROM message WHERE qid NOT IN (SELECT qid FROM rcpt);"
	    "UPDATE rcpt SET state = 2 WHERE state NOT IN (0, 1, 2, 3)";
	/* released, such a one would go to the other server a second time: say that it is there */
	char *hold = sqlite3_mprintf(
	    "UPDATE rcpt SET state = 2, reason = CASE state WHEN 3 THEN 'another server has taken it, "
	    "only the report of that may be missing (' || reason || '); ' ELSE '' END || %Q WHERE %s",
	    j->out->health.no_journal ? no_journal : may_be_delivered,
	    j->out->health.no_journal ? "1" : "(qid, n) IN doubt OR (qid, -1) IN doubt");
	int64_t before, after;
	int rc = hold == NULL ? -1 : 0;

	for (size_t i = 0; i < COUNT(misfits) && rc == 0; i++)
		rc = tell_misfits(j, misfits[i][0], misfits[i][1]);
	if (rc == 0)
		rc = tell_misfits(
		    j, spooled, "the file of its body in the spool is missing or has another size");
	before = count(j, "SELECT count(*) FROM doubt");
	if (rc == 0)
		rc = db_exec(j->db, keep_whole, j->err);
	after = count(j, "SELECT (SELECT count(*) FROM rcpt WHERE (qid, n) IN doubt) + (SELECT "
			 "count(*) FROM message WHERE (qid, -1) IN doubt)");
	if (before > after)
		j->out->remains += (uint64_t)(before - after);
	if (rc == 0)
		rc = db_exec(j->db, hold, j->err);
	sqlite3_free(hold);
	j->out->messages = (uint64_t)count(j, "SELECT count(*) FROM message");
	j->out->recipients = (uint64_t)count(j, "SELECT count(*) FROM rcpt");
	j->out->held = (uint64_t)count(j, "SELECT count(DISTINCT qid) FROM rcpt WHERE state = 2 "
					  "AND reason LIKE '%it may have been delivered already'");
	return rc;
}

/* -- the new file */

static int
open_new(struct rescue_job *j, const char *to)
{
	struct db_schema schema = queue_schema;

	schema.file = to;
	j->db = db_open(&schema, DB_CREATE, j->err);
	if (j->db == NULL || db_exec(j->db,
				 "PRAGMA synchronous = OFF; CREATE TEMP TABLE doubt (qid INTEGER, "
				 "n INTEGER, PRIMARY KEY (qid, n)) WITHOUT ROWID;"
				 "BEGIN",
				 j->err) == -1)
		return -1;
	j->doubt = db_prepare(j->db, "INSERT OR IGNORE INTO doubt VALUES (?1, ?2)", j->err);
	j->certain = db_prepare(j->db, "DELETE FROM doubt WHERE qid = ?1 AND n = ?2", j->err);
	if (j->doubt == NULL || j->certain == NULL)
		return -1;
	if (sqlite3_create_function(j->db, "spooled", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, j,
		sql_spooled, NULL, NULL) != SQLITE_OK)
		return db_error(j->db, j->err, to);
	return 0;
}

/* One file without a journal; the caller makes it durable. */
static int
close_new(struct rescue_job *j)
{
	for (int i = 0; i < 2 * RESCUE_TABLES; i++)
		db_done(&j->insert[i / 2][i % 2]);
	db_done(&j->doubt);
	db_done(&j->certain);
	return db_exec(j->db, "COMMIT; PRAGMA journal_mode = DELETE", j->err);
}

static bool
is_whole(const struct rescue_result *r)
{
	return !r->health.no_header && r->health.bad_frames == 0 && r->found.bad_pages == 0 &&
	       !r->found.no_free_list && r->found.stray_pages == 0 && r->lost == 0;
}

int
rescue(int db, int wal, int spool_dir, const char *to,
    void (*lost)(void *arg, const struct rescue_lost *l), void *arg, struct rescue_result *out,
    struct err *err)
{
	struct rescue_job j = { .spool_dir = spool_dir,
		.tell = lost,
		.arg = arg,
		.out = out,
		.err = err,
		.last_qid = INT64_MIN };
	struct pages *p = pages_open(db, wal, PAGE_SIZE, err);
	int rc;

	memset(out, 0, sizeof(*out));
	if (p == NULL)
		return -1;
	out->health = *pages_health(p);
	rc = open_new(&j, to);
	if (rc == 0)
		rc = tree_read(p, rescue_tables, COUNT(rescue_tables), RECORD_MAX, rescue_row, &j, &out->found, err);
	if (rc == 0)
		rc = j.rc;
	if (rc == 0)
		rc = fit_together(&j);
	if (rc == 0)
		rc = close_new(&j);
	out->whole = rc == 0 && is_whole(out);
	db_close(&j.db);
	pages_free(&p);
	return rc;
}

bool
rescue_journal_damaged(int db, int wal)
{
	struct err err;
	struct pages *p = pages_open(db, wal, PAGE_SIZE, &err);
	bool damaged = p != NULL && !pages_health(p)->no_header && pages_health(p)->bad_frames > 0;

	pages_free(&p);
	return damaged;
}
