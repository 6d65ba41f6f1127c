/* rescue_rows - see rescue_rows.h
 *
 * Columns are taken as the record has them: those that a later version added get their defaults. A certain
 * row takes the place of a doubtful one, never the other way round. */
#include "storage/rescue_rows.h"

#include <stdio.h>
#include <string.h>

#include "base/envelope.h"
#include "base/utf8.h"
#include "storage/maildir.h"

#define COLUMNS_MAX 40

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

const struct tree_table rescue_tables[] = { { "message", 2, true }, { "rcpt", 3, false },
	{ "suspended", 0, false } };

static int
fail(struct rescue_job *j, const char *what)
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

void
rescue_tell(struct rescue_job *j, struct rescue_lost *l)
{
	if (l->from == NULL)
		l->from = "";
	if (l->to == NULL)
		l->to = "";
	j->out->lost++;
	j->tell(j->arg, l);
}

static void
row_lost(struct rescue_job *j, const struct tree_row *row, const struct tree_value *v, size_t n,
    const char *why)
{
	struct rescue_lost l = { .why = why };
	char from[ADDRESS_MAX + 1] = "", to[ADDRESS_MAX + 1] = "";

	if (row->table == RESCUE_MESSAGE) {
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
	rescue_tell(j, &l);
}

/* -- rows into the new file */

/* For records with so many columns. */
static sqlite3_stmt *
insert_for(struct rescue_job *j, size_t table, size_t columns, bool doubtful)
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
	snprintf(select, sizeof(select), "SELECT * FROM %s LIMIT 0", rescue_tables[table].name);
	all = db_prepare(j->db, select, j->err);
	if (all == NULL || columns > (size_t)sqlite3_column_count(all)) {
		db_done(&all);
		return NULL;
	}
	at = (size_t)snprintf(sql, sizeof(sql), "INSERT OR %s INTO %s (",
	    doubtful ? "IGNORE" : "REPLACE", rescue_tables[table].name);
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
note_doubt(struct rescue_job *j, int64_t qid, int64_t n, bool doubtful)
{
	sqlite3_stmt *st = doubtful ? j->doubt : j->certain;

	db_bind_i64(st, 1, qid);
	db_bind_i64(st, 2, n);
	return db_run(j->db, st, j->err);
}

static void
row_put(struct rescue_job *j, const struct tree_row *row, const struct tree_value *v, size_t n)
{
	sqlite3_stmt *st = insert_for(j, row->table, n, row->doubtful);
	int64_t qid = row->table == RESCUE_MESSAGE ? row->rowid : v[R_QID].number;

	if (st == NULL) {
		row_lost(j, row, v, n, "its record has more columns than this Tegami knows");
		return;
	}
	for (size_t i = 0; i < n; i++)
		bind_value(st, (int)i + 1, &v[i]);
	if (row->table == RESCUE_MESSAGE)
		db_bind_i64(st, 1, row->rowid);
	if (db_run(j->db, st, j->err) == -1) {
		/* a NULL where none can be: the record is damaged, not the new file */
		if ((sqlite3_errcode(j->db) & 0xff) == SQLITE_CONSTRAINT)
			row_lost(j, row, v, n, "its record makes no sense");
		else
			fail(j, "the new queue.db");
	} else if (sqlite3_changes(j->db) > 0 &&
		   note_doubt(j, qid, row->table == RESCUE_MESSAGE ? -1 : v[R_N].number, row->doubtful) ==
		       -1) {
		fail(j, "the new queue.db");
	}
	sqlite3_clear_bindings(st);
}

/* In a sound file the recipients come sorted. */
static void
look_at_order(struct rescue_job *j, const struct tree_value *v)
{
	if (v[R_QID].number < j->last_qid ||
	    (v[R_QID].number == j->last_qid && v[R_N].number <= j->last_n))
		j->out->found.bad_pages++;
	j->last_qid = v[R_QID].number;
	j->last_n = v[R_N].number;
}

/* A suspension by the administrator: three columns, the first a domain. A lost one is no loss of mail. */
static void
suspension_put(struct rescue_job *j, const struct tree_row *row, const struct tree_value *v, size_t n)
{
	sqlite3_stmt *st;

	if (row->doubtful || n != 3 || !text_ok(&v[0]) || v[1].kind != TREE_NUMBER ||
	    !text_ok(&v[2]) || (st = insert_for(j, RESCUE_SUSPENDED, n, false)) == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		bind_value(st, (int)i + 1, &v[i]);
	if (db_run(j->db, st, j->err) == -1)
		fail(j, "the new queue.db");
	sqlite3_clear_bindings(st);
}

void
rescue_row(void *arg, const struct tree_row *row)
{
	struct rescue_job *j = arg;
	struct tree_value v[COLUMNS_MAX];
	size_t n;
	const char *wrong;

	if (j->rc == -1)
		return;
	n = tree_columns(row->record, v, COUNT(v));
	/* a page that no tree leads to does not say which of the two it is of */
	if (row->table == RESCUE_SUSPENDED || (row->table == RESCUE_RCPT && n == 3 && v[0].kind == TREE_TEXT)) {
		suspension_put(j, row, v, n);
		return;
	}
	wrong = (row->table == RESCUE_MESSAGE ? message_wrong : rcpt_wrong)(v, n);
	if (wrong == NULL && row->table == RESCUE_RCPT && !row->doubtful)
		look_at_order(j, v);
	if (wrong == NULL)
		row_put(j, row, v, n);
	else if (row->doubtful)
		j->out->remains++;
	else
		row_lost(j, row, v, n, wrong);
}
