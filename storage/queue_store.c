/* queue_store - accepted mail in queue.db
 *
 * Two tables. `message` holds what is written once and read at most twice: sender, what we add, the
 * body. `rcpt` is small and changes: one row a recipient, with all that the index needs, so a start
 * reads no bodies. A finished recipient's row is deleted, with the last one the message.
 *
 * Page size 4096, measured with 20 messages of 4 KiB in a commit that also stages and finishes 20
 * others: 11 KiB of journal and 22 us of CPU a message; 8192: 19 KiB, 26 us; 16384: 16 KiB, 19 us;
 * one message a commit: 20, 48 and 32 KiB. Pages of a finished message are used again at once, so
 * the file stays as large as the largest backlog was. The journal is kept short by its owner: a
 * long one costs twice the CPU (its pages are never warm).
 *
 * Nothing is mapped: a failed read must be an error, not a signal. */
#include "storage/queue_store_state.h"

#include <stdlib.h>

#include "storage/db_journal.h"

#define PAGE_SIZE 4096
#define CACHE_KIB 8192

static const struct db_migration steps[] = {
	{ "CREATE TABLE message ("
	  " qid INTEGER PRIMARY KEY,"
	  " sender TEXT NOT NULL,"
	  " msgid TEXT NOT NULL,"
	  " ip TEXT NOT NULL,"
	  " prefix BLOB NOT NULL,"
	  " cuts BLOB NOT NULL,"
	  " body BLOB NOT NULL);"
	  "CREATE TABLE rcpt ("
	  " qid INTEGER NOT NULL,"
	  " n INTEGER NOT NULL,"
	  " flags INTEGER NOT NULL," /* of the message: enum envelope_flag */
	  " size INTEGER NOT NULL,"  /* of the body */
	  " kind INTEGER NOT NULL,"  /* enum rcpt_kind */
	  " state INTEGER NOT NULL," /* enum queue_state */
	  " attempts INTEGER NOT NULL,"
	  " warned INTEGER NOT NULL,"
	  " next INTEGER NOT NULL,"
	  " address TEXT NOT NULL,"
	  " home TEXT NOT NULL,"
	  " folder TEXT NOT NULL,"
	  " original TEXT NOT NULL,"
	  " reason TEXT NOT NULL,"
	  " file TEXT NOT NULL," /* staged name, or '' */
	  " PRIMARY KEY (qid, n)) WITHOUT ROWID;" },
	{ "ALTER TABLE message ADD COLUMN envid TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE rcpt ADD COLUMN notify INTEGER NOT NULL DEFAULT 0;" /* enum notify */
	  "ALTER TABLE rcpt ADD COLUMN orcpt TEXT NOT NULL DEFAULT '';" },
	{ "CREATE TABLE suspended ("
	  " domain TEXT PRIMARY KEY," /* lower case */
	  " since INTEGER NOT NULL,"
	  " why TEXT NOT NULL) WITHOUT ROWID;" },
};

const struct db_schema queue_schema = { "queue.db", steps, COUNT(steps), PAGE_SIZE, true };

#define ROW_COLUMNS                                                                                \
	"r.qid, r.n, r.flags, r.size, r.kind, r.state, r.attempts, r.warned, r.next, r.address,"   \
	" r.original, r.folder, r.reason, r.file"

static const char *const sql[QUEUE_STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[PUT_MESSAGE] = "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[PUT_RCPT] =
	    "INSERT INTO rcpt VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, ?6, ?7, ?8, ?9, ?10, '', '',"
	    " ?11, ?12)",
	[STAGED] = "UPDATE rcpt SET state = 1, file = ?3 WHERE qid = ?1 AND n = ?2",
	[PROGRESS] =
	    "UPDATE rcpt SET state = ?3, attempts = ?4, warned = ?5, next = ?6, reason = ?7"
	    " WHERE qid = ?1 AND n = ?2",
	[WARNED] = "UPDATE rcpt SET warned = 1 WHERE qid = ?1",
	[DONE_RCPT] = "DELETE FROM rcpt WHERE qid = ?1 AND n = ?2",
	[DONE_ALL] = "DELETE FROM rcpt WHERE qid = ?1",
	[DONE_MESSAGE] = "DELETE FROM message WHERE qid = ?1",
	[LOAD_MESSAGE] =
	    "SELECT sender, msgid, ip, prefix, cuts, body, envid FROM message WHERE qid = ?1",
	[LOAD_RCPTS] =
	    "SELECT n, kind, address, home, folder, original, flags, size, notify, orcpt FROM rcpt"
	    " WHERE qid = ?1 ORDER BY n",
	[WALK] = "SELECT " ROW_COLUMNS ", '', '', '' FROM rcpt r WHERE (r.qid, r.n) > (?1, ?2)"
		 " ORDER BY r.qid, r.n LIMIT ?3",
	[WALK_FULL] = "SELECT " ROW_COLUMNS
		      ", m.sender, m.msgid, m.ip FROM rcpt r LEFT JOIN message m USING (qid)"
		      " WHERE (r.qid, r.n) > (?1, ?2) ORDER BY r.qid, r.n LIMIT ?3",
	[SHOW] = "SELECT " ROW_COLUMNS
		 ", m.sender, m.msgid, m.ip FROM rcpt r LEFT JOIN message m USING (qid)"
		 " WHERE r.qid = ?1 ORDER BY r.n",
	[SUSPEND] = "INSERT OR REPLACE INTO suspended VALUES (?1, ?2, ?3)",
	[RESUME] = "DELETE FROM suspended WHERE domain = ?1",
	[SUSPENDED] = "SELECT domain, since, why FROM suspended",
};

/* -- open and close */

static int
wal_grew(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct queue_store *s = arg;

	(void)db;
	(void)name;
	s->wal_pages = pages;
	return SQLITE_OK;
}

struct queue_store *
queue_store_open(struct err *err)
{
	struct queue_store *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		return NULL;
	}
	s->db = db_open(&queue_schema, DB_WRITE, err);
	if (s->db == NULL)
		goto fail;
	if (db_exec(s->db, "PRAGMA wal_autocheckpoint = 0", err) == -1)
		goto fail;
	sqlite3_wal_hook(s->db, wal_grew, s); /* after the pragma, which sets a hook of its own */
	char *cache = sqlite3_mprintf("PRAGMA cache_size = -%d", CACHE_KIB);
	int rc = cache == NULL ? -1 : db_exec(s->db, cache, err);

	sqlite3_free(cache);
	if (rc == -1)
		goto fail;
	for (int i = 0; i < QUEUE_STATEMENTS; i++)
		if ((s->st[i] = db_prepare(s->db, sql[i], err)) == NULL)
			goto fail;
	return s;
fail:
	queue_store_close(&s);
	return NULL;
}

void
queue_store_close(struct queue_store **s)
{
	if (*s == NULL)
		return;
	for (int i = 0; i < QUEUE_STATEMENTS; i++)
		if ((*s)->st[i] != NULL)
			db_done(&(*s)->st[i]);
	db_close(&(*s)->db);
	free(*s);
	*s = NULL;
}

/* -- transactions */

int
queue_store_begin(struct queue_store *s, struct err *err)
{
	return db_run(s->db, s->st[BEGIN], err);
}

int
queue_store_commit(struct queue_store *s, struct err *err)
{
	return db_run(s->db, s->st[COMMIT], err);
}

void
queue_store_rollback(struct queue_store *s)
{
	if (sqlite3_get_autocommit(s->db) == 0)
		db_run(s->db, s->st[ROLLBACK], NULL);
}

bool
queue_store_page_damaged(const struct queue_store *s)
{
	return (sqlite3_errcode(s->db) & 0xff) == SQLITE_CORRUPT;
}

int
queue_store_checkpoint(struct queue_store *s, bool truncate, struct err *err)
{
	int left, moved;
	int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;

	if (sqlite3_wal_checkpoint_v2(s->db, "main", mode, &left, &moved) != SQLITE_OK)
		return db_error(s->db, err, "checkpoint of queue.db");
	if (truncate || moved == left)
		s->wal_pages = 0;
	return 0;
}

void
queue_store_lengthen(struct queue_store *s, int64_t bytes)
{
	db_journal_lengthen(s->db, bytes);
}

int64_t
queue_store_wal_bytes(const struct queue_store *s)
{
	return s->wal_pages * (PAGE_SIZE + 24);
}

/* -- writing */

static int
put_rcpt(struct queue_store *s, const struct envelope *e, unsigned n, int64_t now, struct err *err)
{
	sqlite3_stmt *st = s->st[PUT_RCPT];
	const struct rcpt *r = &e->rcpts[n];

	db_bind_i64(st, 1, (int64_t)e->qid);
	db_bind_i64(st, 2, n);
	db_bind_i64(st, 3, e->flags);
	db_bind_i64(st, 4, (int64_t)e->size);
	db_bind_i64(st, 5, r->kind);
	db_bind_i64(st, 6, now);
	db_bind_text(st, 7, r->address);
	db_bind_text(st, 8, r->home);
	db_bind_text(st, 9, r->folder);
	db_bind_text(st, 10, r->original);
	db_bind_i64(st, 11, r->notify);
	db_bind_text(st, 12, r->orcpt != NULL ? r->orcpt : "");
	return db_run(s->db, st, err);
}

int
queue_store_put(struct queue_store *s, const struct envelope *e, int64_t now, struct err *err)
{
	sqlite3_stmt *st = s->st[PUT_MESSAGE];
	char cuts[ENVELOPE_CUTS_MAX * 16];
	struct buf b;
	int rc;

	buf_init(&b, sizeof(cuts));
	cuts_put(&b, e->cuts, e->n_cuts);
	db_bind_i64(st, 1, (int64_t)e->qid);
	db_bind_text(st, 2, e->from);
	db_bind_text(st, 3, e->msgid);
	db_bind_text(st, 4, e->ip);
	db_bind_slice(st, 5, e->prefix);
	db_bind_slice(st, 6, buf_all(&b));
	db_bind_slice(st, 7, e->body);
	db_bind_text(st, 8, e->envid != NULL ? e->envid : "");
	rc = b.failed ? err_set(err, ERR_TEMPORARY, "out of memory") : db_run(s->db, st, err);
	sqlite3_clear_bindings(st);
	buf_free(&b);
	for (size_t n = 0; rc == 0 && n < e->n_rcpts; n++)
		rc = put_rcpt(s, e, (unsigned)n, now, err);
	return rc;
}

int
queue_store_staged(
    struct queue_store *s, uint64_t qid, unsigned n, const char *file, struct err *err)
{
	sqlite3_stmt *st = s->st[STAGED];

	db_bind_i64(st, 1, (int64_t)qid);
	db_bind_i64(st, 2, n);
	db_bind_text(st, 3, file);
	return db_run(s->db, st, err);
}

int
queue_store_progress(struct queue_store *s, uint64_t qid, unsigned n,
    const struct queue_progress *p, struct err *err)
{
	sqlite3_stmt *st = s->st[PROGRESS];

	db_bind_i64(st, 1, (int64_t)qid);
	db_bind_i64(st, 2, n);
	db_bind_i64(st, 3, p->state);
	db_bind_i64(st, 4, p->attempts);
	db_bind_i64(st, 5, p->warned);
	db_bind_i64(st, 6, p->next);
	db_bind_text(st, 7, p->reason != NULL ? p->reason : "");
	return db_run(s->db, st, err);
}

int
queue_store_warned(struct queue_store *s, uint64_t qid, struct err *err)
{
	db_bind_i64(s->st[WARNED], 1, (int64_t)qid);
	return db_run(s->db, s->st[WARNED], err);
}

int
queue_store_done(struct queue_store *s, uint64_t qid, unsigned n, bool last, struct err *err)
{
	sqlite3_stmt *st = s->st[last ? DONE_ALL : DONE_RCPT];

	db_bind_i64(st, 1, (int64_t)qid);
	if (!last)
		db_bind_i64(st, 2, n);
	if (db_run(s->db, st, err) == -1)
		return -1;
	if (!last)
		return 0;
	db_bind_i64(s->st[DONE_MESSAGE], 1, (int64_t)qid);
	return db_run(s->db, s->st[DONE_MESSAGE], err);
}

/* -- suspended destinations */

int
queue_store_suspend(
    struct queue_store *s, const char *domain, int64_t since, const char *why, struct err *err)
{
	sqlite3_stmt *st = s->st[SUSPEND];

	db_bind_text(st, 1, domain);
	db_bind_i64(st, 2, since);
	db_bind_text(st, 3, why);
	return db_run(s->db, st, err);
}

int
queue_store_resume(struct queue_store *s, const char *domain, struct err *err)
{
	db_bind_text(s->st[RESUME], 1, domain);
	return db_run(s->db, s->st[RESUME], err);
}

int
queue_store_suspended(struct queue_store *s,
    bool (*fn)(void *arg, const char *domain, int64_t since, const char *why), void *arg,
    struct err *err)
{
	sqlite3_stmt *st = s->st[SUSPENDED];
	bool go_on = true;
	int got;

	while ((got = db_step(s->db, st, err)) == 1 && go_on)
		go_on = fn(arg, db_text(st, 0), db_i64(st, 1), db_text(st, 2));
	sqlite3_reset(st);
	if (!go_on)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	return got == -1 ? -1 : 0;
}
