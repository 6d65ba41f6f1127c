/* rescue - see rescue.h
 *
 * Rows go into the new file as they are read, those that are certain in place of doubtful ones. Then the new file is asked what
 * does not fit together. Columns are taken as the record has them: those that a later version added get their defaults. */
#include "storage/rescue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/envelope.h"
#include "base/qid.h"
#include "base/utf8.h"
#include "storage/maildir.h"
#include "storage/queue_store.h"
#include "storage/spool.h"

#define PAGE_SIZE 4096 /* of queue.db, when its header does not say */
#define RECORD_MAX (20u << 20)
#define COLUMNS_MAX 40

enum { MESSAGE, RCPT, SUSPENDED, TABLES };
enum { M_QID, M_SENDER, M_MSGID, M_IP, M_PREFIX, M_CUTS, M_BODY, M_LEAST };
enum {
	R_QID,
	R_N,
	R_FLAGS,
	R_SIZE,
	R_KIND,
	R_STATE,
	R_ATTEMPTS,
	R_WARNED,
	R_NEXT,
	R_ADDRESS,
	R_HOME,
	R_FOLDER,
	R_ORIGINAL,
	R_REASON,
	R_FILE,
	R_LEAST
};

static const struct tree_table tables[] = { { "message", 2, true }, { "rcpt", 3, false },
	{ "suspended", 0, false } };

static const char may_be_delivered[] =
    "queue.db was damaged where this stood: it may have been delivered already";
static const char no_journal[] =
    "the journal of queue.db was missing: it may have been delivered already";

struct job {
	sqlite3 *db;
	sqlite3_stmt *insert[TABLES][2]; /* by table, doubtful */
	size_t columns[TABLES];          /* that they have */
	sqlite3_stmt *doubt, *certain;
	int spool_dir;
	void (*tell)(void *arg, const struct rescue_lost *l);
	void *arg;
	struct rescue_result *out;
	int64_t last_qid, last_n; /* of the recipients in order */
	struct err *err;
	int rc;
};

static int
fail(struct job *j, const char *what)
{
	return j->rc = db_error(j->db, j->err, what);
}

/* -- does a row make sense */

static bool
text_ok(const struct tree_value *v)
{
	if (v->kind != TREE_TEXT || v->cut || !utf8_ok(v->bytes))
		return false;
	for (size_t i = 0; i < v->bytes.len; i++)
		if ((unsigned char)v->bytes.at[i] < ' ' || v->bytes.at[i] == 127)
			return false;
	return true;
}

/* NULL, or what is wrong. */
static const char *
message_wrong(const struct tree_value *v, size_t n)
{
	struct cut cuts[ENVELOPE_CUTS_MAX];
	size_t n_cuts;

	if (n < M_LEAST || v[M_BODY].cut)
		return "its record ends too early: a page of it cannot be read";
	if (!text_ok(&v[M_SENDER]))
		return "its sender cannot be read";
	if (!text_ok(&v[M_MSGID]) || !text_ok(&v[M_IP]) || v[M_PREFIX].kind != TREE_BLOB ||
	    v[M_CUTS].kind != TREE_BLOB || v[M_BODY].kind != TREE_BLOB ||
	    cuts_get(v[M_CUTS].bytes, cuts, &n_cuts) == -1)
		return "its record makes no sense";
	return NULL;
}

static bool
file_ok(struct slice file)
{
	slice_cut(&file, '/');
	return maildir_name_ok(file);
}

static const char *
rcpt_wrong(const struct tree_value *v, size_t n)
{
	bool local;

	if (n < R_LEAST || v[R_FILE].cut)
		return "the record of this recipient ends too early";
	local = v[R_KIND].number == RCPT_LOCAL;
	for (size_t i = R_QID; i <= R_NEXT; i++)
		if (v[i].kind != TREE_NUMBER)
			return "the record of this recipient makes no sense";
	for (size_t i = R_ADDRESS; i <= R_FILE; i++)
		if (i != R_REASON && !text_ok(&v[i]))
			return "the address or the folder of this recipient cannot be read";
	if (v[R_ADDRESS].bytes.len == 0 || (!local && v[R_KIND].number != RCPT_REMOTE) ||
	    (local && !maildir_home_ok(v[R_HOME].bytes)) ||
	    (v[R_FILE].bytes.len > 0 && !file_ok(v[R_FILE].bytes)) || v[R_SIZE].number < 0 ||
	    v[R_N].number < 0 || v[R_N].number > UINT16_MAX || v[R_FLAGS].number < 0 ||
	    v[R_FLAGS].number > UINT16_MAX)
		return "the record of this recipient makes no sense";
	return NULL;
}

/* -- what is lost */

static void
tell(struct job *j, struct rescue_lost *l)
{
	if (l->from == NULL)
		l->from = "";
	if (l->to == NULL)
		l->to = "";
	j->out->lost++;
	j->tell(j->arg, l);
}

static void
row_lost(struct job *j, const struct tree_row *row, const struct tree_value *v, size_t n,
    const char *why)
{
	struct rescue_lost l = { .why = why };
	char from[ADDRESS_MAX + 1] = "", to[ADDRESS_MAX + 1] = "";

	if (row->table == MESSAGE) {
		l.qid = (uint64_t)row->rowid;
		if (n > M_SENDER)
			slice_copy(v[M_SENDER].bytes, from, sizeof(from));
		if (n > M_PREFIX && v[M_PREFIX].kind == TREE_BLOB)
			l.prefix = v[M_PREFIX].bytes;
		if (n > M_BODY && v[M_BODY].kind == TREE_BLOB)
			l.body = v[M_BODY].bytes;
	} else {
		l.qid = n > R_QID ? (uint64_t)v[R_QID].number : 0;
		if (n > R_ADDRESS)
			slice_copy(v[R_ADDRESS].bytes, to, sizeof(to));
	}
	l.from = from;
	l.to = to;
	tell(j, &l);
}

/* -- rows into the new file */

/* For records with so many columns. */
static sqlite3_stmt *
insert_for(struct job *j, size_t table, size_t columns, bool doubtful)
{
	sqlite3_stmt *all, **st = &j->insert[table][doubtful];
	char sql[2048], select[64];
	size_t at;

	if (j->columns[table] != columns)
		for (int i = 0; i < 2; i++)
			db_done(&j->insert[table][i]);
	j->columns[table] = columns;
	if (*st != NULL)
		return *st;
	snprintf(select, sizeof(select), "SELECT * FROM %s LIMIT 0", tables[table].name);
	all = db_prepare(j->db, select, j->err);
	if (all == NULL || columns > (size_t)sqlite3_column_count(all)) {
		db_done(&all);
		return NULL;
	}
	at = (size_t)snprintf(sql, sizeof(sql), "INSERT OR %s INTO %s (",
	    doubtful ? "IGNORE" : "REPLACE", tables[table].name);
	for (size_t i = 0; i < columns && at < sizeof(sql); i++)
		at += (size_t)snprintf(sql + at, sizeof(sql) - at, "%s%s", i > 0 ? "," : "",
		    sqlite3_column_name(all, (int)i));
	for (size_t i = 0; i < columns && at < sizeof(sql); i++)
		at += (size_t)snprintf(
		    sql + at, sizeof(sql) - at, "%s?%zu", i > 0 ? "," : ") VALUES (", i + 1);
	snprintf(sql + at, sizeof(sql) - at, ")");
	db_done(&all);
	return *st = db_prepare(j->db, sql, j->err);
}

static void
bind_value(sqlite3_stmt *st, int i, const struct tree_value *v)
{
	if (v->kind == TREE_NUMBER)
		db_bind_i64(st, i, v->number);
	else if (v->kind == TREE_TEXT)
		sqlite3_bind_text64(st, i, v->bytes.at, v->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
	else if (v->kind == TREE_BLOB)
		db_bind_slice(st, i, v->bytes);
	else
		sqlite3_bind_null(st, i);
}

/* What stands for a message or a recipient (message: n is -1) may be out of date, or is not. */
static int
note_doubt(struct job *j, int64_t qid, int64_t n, bool doubtful)
{
	sqlite3_stmt *st = doubtful ? j->doubt : j->certain;

	db_bind_i64(st, 1, qid);
	db_bind_i64(st, 2, n);
	return db_run(j->db, st, j->err);
}

static void
row_put(struct job *j, const struct tree_row *row, const struct tree_value *v, size_t n)
{
	sqlite3_stmt *st = insert_for(j, row->table, n, row->doubtful);
	int64_t qid = row->table == MESSAGE ? row->rowid : v[R_QID].number;

	if (st == NULL) {
		row_lost(j, row, v, n, "its record has more columns than this Tegami knows");
		return;
	}
	for (size_t i = 0; i < n; i++)
		bind_value(st, (int)i + 1, &v[i]);
	if (row->table == MESSAGE)
		db_bind_i64(st, 1, row->rowid);
	if (db_run(j->db, st, j->err) == -1) {
		/* a NULL where none can be: the record is damaged, not the new file */
		if ((sqlite3_errcode(j->db) & 0xff) == SQLITE_CONSTRAINT)
			row_lost(j, row, v, n, "its record makes no sense");
		else
			fail(j, "the new queue.db");
	} else if (sqlite3_changes(j->db) > 0 &&
		   note_doubt(j, qid, row->table == MESSAGE ? -1 : v[R_N].number, row->doubtful) ==
		       -1) {
		fail(j, "the new queue.db");
	}
	sqlite3_clear_bindings(st);
}

/* In a sound file the recipients come sorted. */
static void
look_at_order(struct job *j, const struct tree_value *v)
{
	if (v[R_QID].number < j->last_qid ||
	    (v[R_QID].number == j->last_qid && v[R_N].number <= j->last_n))
		j->out->found.bad_pages++;
	j->last_qid = v[R_QID].number;
	j->last_n = v[R_N].number;
}

/* A suspension by the administrator: three columns, the first a domain. A lost one is no loss of mail. */
static void
suspension_put(struct job *j, const struct tree_row *row, const struct tree_value *v, size_t n)
{
	sqlite3_stmt *st;

	if (row->doubtful || n != 3 || !text_ok(&v[0]) || v[1].kind != TREE_NUMBER ||
	    !text_ok(&v[2]) || (st = insert_for(j, SUSPENDED, n, false)) == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		bind_value(st, (int)i + 1, &v[i]);
	if (db_run(j->db, st, j->err) == -1)
		fail(j, "the new queue.db");
	sqlite3_clear_bindings(st);
}

static void
on_row(void *arg, const struct tree_row *row)
{
	struct job *j = arg;
	struct tree_value v[COLUMNS_MAX];
	size_t n;
	const char *wrong;

	if (j->rc == -1)
		return;
	n = tree_columns(row->record, v, COUNT(v));
	/* a page that no tree leads to does not say which of the two it is of */
	if (row->table == SUSPENDED || (row->table == RCPT && n == 3 && v[0].kind == TREE_TEXT)) {
		suspension_put(j, row, v, n);
		return;
	}
	wrong = (row->table == MESSAGE ? message_wrong : rcpt_wrong)(v, n);
	if (wrong == NULL && row->table == RCPT && !row->doubtful)
		look_at_order(j, v);
	if (wrong == NULL)
		row_put(j, row, v, n);
	else if (row->doubtful)
		j->out->remains++;
	else
		row_lost(j, row, v, n, wrong);
}

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
_Static_assert(ENVELOPE_SPOOLED == 2, "the statements above say so");

/* A body that is a file must be there. */
static void
sql_spooled(sqlite3_context *context, int n, sqlite3_value **v)
{
	struct job *j = sqlite3_user_data(context);
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
tell_misfits(struct job *j, const char *sql, const char *why)
{
	sqlite3_stmt *st = db_prepare(j->db, sql, j->err);
	int got = -1;

	while (st != NULL && (got = db_step(j->db, st, j->err)) == 1) {
		struct rescue_lost l = { (uint64_t)db_i64(st, 0), db_text(st, 1), db_text(st, 2),
			why, db_blob(st, 3), db_blob(st, 4) };

		tell(j, &l);
	}
	db_done(&st);
	return got;
}

static int64_t
count(struct job *j, const char *sql)
{
	sqlite3_stmt *st = db_prepare(j->db, sql, j->err);
	int64_t n = st != NULL && db_step(j->db, st, j->err) == 1 ? db_i64(st, 0) : -1;

	db_done(&st);
	return n;
}

/* Told what is lost, the new file keeps what is whole; what is doubtful is held. */
static int
fit_together(struct job *j)
{
	static const char keep_whole[] =
	    "DELETE FROM rcpt WHERE qid NOT IN (SELECT qid FROM message);"
	    "DELETE FROM rcpt WHERE (flags & 2) = 0 AND size <> (SELECT length(body) FROM message "
	    "m WHERE m.qid = rcpt.qid);"
	    "DELETE FROM rcpt WHERE (flags & 2) <> 0 AND NOT spooled(qid, size);"
	    "DELETE FROM message WHERE qid NOT IN (SELECT qid FROM rcpt);"
	    "UPDATE rcpt SET state = 2 WHERE state NOT IN (0, 1, 2, 3)";
	char *hold = sqlite3_mprintf("UPDATE rcpt SET state = 2, reason = %Q WHERE %s",
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
open_new(struct job *j, const char *to)
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
close_new(struct job *j)
{
	for (int i = 0; i < 2 * TABLES; i++)
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
	struct job j = { .spool_dir = spool_dir,
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
		rc = tree_read(p, tables, COUNT(tables), RECORD_MAX, on_row, &j, &out->found, err);
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

/* -- files that nobody names any more */

static int
copy_file(int from, const char *name, int to)
{
	int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc = -1;
	int out = in == -1 ? -1
			   : openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
				 0600);
	char buf[65536];
	ssize_t n = -1;

	while (out != -1 && (n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			break;
	if (out != -1 && n == 0)
		rc = fsync(out);
	if (in != -1)
		close(in);
	if (out != -1)
		close(out);
	return rc;
}

static bool
is_named(sqlite3 *db, sqlite3_stmt *st, bool stage, const char *name)
{
	uint64_t qid;

	if (stage)
		db_bind_text(st, 1, name);
	else if (qid_parse(slice_of(name), &qid))
		db_bind_i64(st, 1, (int64_t)qid);
	else
		return false;
	if (db_step(db, st, NULL) != 1)
		return false;
	sqlite3_reset(st);
	return true;
}

static int
keep_unnamed(sqlite3 *db, sqlite3_stmt *st, DIR *d, bool stage, int to, struct err *err)
{
	struct dirent *de;
	int kept = 0;

	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.' || is_named(db, st, stage, de->d_name))
			continue;
		if (linkat(dirfd(d), de->d_name, to, de->d_name, 0) == -1 && errno != EEXIST &&
		    copy_file(dirfd(d), de->d_name, to) == -1)
			return err_sys(err, "cannot keep the file %s", de->d_name);
		kept++;
	}
	return kept;
}

int
rescue_keep_files(const char *file, int dir, bool stage, int to, struct err *err)
{
	struct db_schema schema = queue_schema;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), kept = -1;
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	sqlite3_stmt *st = NULL;
	sqlite3 *db;

	if (d == NULL) {
		if (fd != -1)
			close(fd);
		return err_sys(err, "cannot read a folder of mail");
	}
	schema.file = file;
	db = db_open(&schema, DB_READ, err);
	if (db != NULL)
		st = db_prepare(db,
		    stage ? "SELECT 1 FROM rcpt WHERE file LIKE '%/' || ?1 LIMIT 1"
			  : "SELECT 1 FROM message WHERE qid = ?1",
		    err);
	if (st != NULL)
		kept = keep_unnamed(db, st, d, stage, to, err);
	db_done(&st);
	db_close(&db);
	closedir(d);
	return kept;
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
