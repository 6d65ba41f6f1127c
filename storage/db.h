/* db - SQLite as every store uses it: relative names, WAL kept, schema version, prepared statements
 *
 * Databases are opened by their name in the working directory (the state directory), never by an absolute path: the
 * process may not be allowed to walk there from the root. A small VFS on top of SQLite's own leaves names as they are.
 * Only the owner opens read-write; its -wal and -shm files stay behind (SQLITE_FCNTL_PERSIST_WAL), so that readers under other
 * uids can open at any time. */
#ifndef STORAGE_DB_H
#define STORAGE_DB_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"

enum db_mode { DB_READ, DB_WRITE, DB_CREATE };

struct db_migration {		/* row i (from 0) takes a database of version i to version i+1 */
	const char *sql;
};
struct db_schema {
	const char *file;	/* "directory.db" */
	const struct db_migration *steps;
	size_t n_steps;		/* = the current version */
	int page_size;		/* 0: SQLite's default */
	bool gathers;		/* its log is written in few large pieces (db_journal.h) */
};

/* Open `schema->file`. DB_READ and DB_WRITE demand the current version (an older one: "run `tegamid`, which upgrades it"; a newer
 * one: made by a newer Tegami). DB_CREATE makes or upgrades it, copying it to FILE.vN.bak before a migration. Sets WAL,
 * synchronous=FULL, secure_delete off, temp_store=MEMORY, trusted_schema off, busy timeout 5 s. */
sqlite3 *db_open(const struct db_schema *schema, enum db_mode mode, struct err *err);
void db_close(sqlite3 **db);
/* Run statements without results. */
int db_exec(sqlite3 *db, const char *sql, struct err *err);
/* err from the handle: SQLITE_FULL -> ERR_FULL, CONSTRAINT -> ERR_EXISTS, else ERR_TEMPORARY. Returns -1. */
int db_error(sqlite3 *db, struct err *err, const char *what);
/* A prepared statement (persistent), NULL + err when the SQL is wrong. Finalize with db_done. */
sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql, struct err *err);
void db_done(sqlite3_stmt **stmt);
/* Bind by 1-based position; texts and blobs are borrowed until the step. */
void db_bind_text(sqlite3_stmt *s, int i, const char *text);
void db_bind_slice(sqlite3_stmt *s, int i, struct slice bytes);	/* as a blob */
void db_bind_i64(sqlite3_stmt *s, int i, int64_t v);
/* 1 a row, 0 no more (the statement was reset), -1 + err (likewise). */
int db_step(sqlite3 *db, sqlite3_stmt *s, struct err *err);
/* Step a statement that yields no row, and reset it. */
int db_run(sqlite3 *db, sqlite3_stmt *s, struct err *err);
const char *db_text(sqlite3_stmt *s, int col);		/* never NULL; borrowed until the next step */
struct slice db_blob(sqlite3_stmt *s, int col);
int64_t db_i64(sqlite3_stmt *s, int col);

#endif
