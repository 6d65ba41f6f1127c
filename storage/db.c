/* db - SQLite as every store uses it
 *
 * What it promises: a database is opened by its name in the working directory and never by an
 * absolute path; only a file of exactly the version this program knows is read or written; an
 * upgrade happens in one transaction per step, after a copy was made; a commit is durable when it
 * returns.
 *
 * How it fails: always with -1 or NULL and an err that names the file. A full disk is ERR_FULL, a
 * broken rule of the schema ERR_EXISTS, everything else ERR_TEMPORARY, because the next try may
 * find the disk healed or the lock gone.
 *
 * A handle belongs to one thread at a time (SQLITE_OPEN_NOMUTEX). */
#include "storage/db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/db_journal.h"

#define VFS_NAME "tegami"
#define VFS_GATHERS "tegami-gathers"
#define BUSY_MS 5000
#define WAL_KEPT (64 * 1024 * 1024)

/* -- names stay as they are */

static int
vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	if (strlen(name) >= (size_t)size)
		return SQLITE_CANTOPEN;
	memcpy(out, name, strlen(name) + 1);
	return SQLITE_OK;
}

/* SQLite's own VFS in all but one function: that one would walk from the root to make the name
 * absolute. */
static int
vfs_ready(void)
{
	static sqlite3_vfs vfs, gathers;
	sqlite3_vfs *unix_vfs;

	if (vfs.zName != NULL)
		return SQLITE_OK;
	unix_vfs = sqlite3_vfs_find("unix");
	if (unix_vfs == NULL)
		return SQLITE_ERROR;
	vfs = *unix_vfs;
	vfs.pNext = NULL;
	vfs.zName = VFS_NAME;
	vfs.xFullPathname = vfs_full_pathname;
	db_journal_vfs(&gathers, &vfs);
	gathers.zName = VFS_GATHERS;
	if (sqlite3_vfs_register(&gathers, 0) != SQLITE_OK)
		return SQLITE_ERROR;
	return sqlite3_vfs_register(&vfs, 0);
}

/* -- errors */

/* What to do about a damaged one. */
static const struct {
	const char *file, *remedy;
} remedies[] = {
	{ "queue.db", "stop the server and save what it holds with `tegami queue rescue`" },
	{ "directory.db", "stop the server and put it back from a backup" },
	{ "credentials.db", "stop the server and put it back from a backup" },
	{ "history.db", "stop the server and move it away: only what `tegami trace` tells is lost" },
	{ "score.db", "stop the server and move it away: only what was learned about spam is lost" },
};

static const char *
remedy_for(sqlite3 *db)
{
	const char *name = sqlite3_db_filename(db, "main"), *slash = name != NULL ? strrchr(name, '/') : NULL;

	for (size_t i = 0; name != NULL && i < COUNT(remedies); i++)
		if (strcmp(slash != NULL ? slash + 1 : name, remedies[i].file) == 0)
			return remedies[i].remedy;
	return NULL;
}

int
db_error(sqlite3 *db, struct err *err, const char *what)
{
	int code = sqlite3_errcode(db) & 0xff;
	enum err_kind kind = ERR_TEMPORARY;

	if (code == SQLITE_FULL)
		kind = ERR_FULL;
	else if (code == SQLITE_CONSTRAINT)
		kind = ERR_EXISTS;
	err_set(err, kind, "%s: %s", what, sqlite3_errmsg(db));
	if ((code == SQLITE_CORRUPT || code == SQLITE_NOTADB) && remedy_for(db) != NULL)
		err_set(err, kind, "%s is damaged (%s): %s", what, sqlite3_errmsg(db), remedy_for(db));
	if (err != NULL)
		err->sys = code == SQLITE_FULL ? ENOSPC : sqlite3_system_errno(db);
	return -1;
}

int
db_exec(sqlite3 *db, const char *sql, struct err *err)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return db_error(db, err, sqlite3_db_filename(db, "main"));
	return 0;
}

/* -- version and migration */

static int
db_number(sqlite3 *db, const char *sql, int64_t *out, struct err *err)
{
	sqlite3_stmt *s = db_prepare(db, sql, err);
	int got = s == NULL ? -1 : db_step(db, s, err);

	if (got == 1)
		*out = sqlite3_column_int64(s, 0);
	db_done(&s);
	return got == 1 ? 0 : -1;
}

/* Copy the database to FILE.vN.bak, readable by its owner only. An older copy of the same version
 * is replaced. */
static int
db_keep_copy(sqlite3 *db, const char *file, int64_t version, struct err *err)
{
	char tmp[320], bak[300], sql[720];
	int fd, rc;

	snprintf(bak, sizeof(bak), "%s.v%lld.bak", file, (long long)version);
	snprintf(tmp, sizeof(tmp), "%s.tmp", bak);
	unlink(tmp);
	/* made first, for its mode: SQLite would make it readable by all */
	fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return err_sys(err, "cannot make %s", tmp);
	sqlite3_snprintf(sizeof(sql), sql, "VACUUM INTO %Q", tmp);
	rc = db_exec(db, sql, err);
	if (rc == 0 && (fsync(fd) == -1 || rename(tmp, bak) == -1))
		rc = err_sys(err, "cannot keep %s", bak);
	if (rc == -1)
		unlink(tmp);
	close(fd);
	return rc == -1 ? err_context(err, "copy of %s before its upgrade", file) : 0;
}

static int
db_migrate_step(sqlite3 *db, const struct db_schema *schema, size_t from, struct err *err)
{
	char pragma[64];

	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %zu", from + 1);
	if (db_exec(db, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	if (db_exec(db, schema->steps[from].sql, err) == -1 || db_exec(db, pragma, err) == -1 ||
	    db_exec(db, "COMMIT", err) == -1) {
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return err_context(err, "upgrade of %s to version %zu", schema->file, from + 1);
	}
	return 0;
}

static int
db_migrate(sqlite3 *db, const struct db_schema *schema, int64_t version, struct err *err)
{
	int64_t tables;
	size_t i;

	if (db_number(db, "SELECT count(*) FROM sqlite_schema", &tables, err) == -1)
		return -1;
	if (version == 0 && tables > 0)
		return err_set(
		    err, ERR_USAGE, "%s is not a database of Tegami's; move it away", schema->file);
	if (version > 0 && db_keep_copy(db, schema->file, version, err) == -1)
		return -1;
	for (i = (size_t)version; i < schema->n_steps; i++)
		if (db_migrate_step(db, schema, i, err) == -1)
			return -1;
	return 0;
}

static int
db_check_version(sqlite3 *db, const struct db_schema *schema, enum db_mode mode, struct err *err)
{
	int64_t version;

	if (db_number(db, "PRAGMA user_version", &version, err) == -1)
		return err_context(err, "%s", schema->file);
	if (version == (int64_t)schema->n_steps)
		return 0;
	if (version > (int64_t)schema->n_steps)
		return err_set(err, ERR_USAGE,
		    "%s has version %lld, made by a newer Tegami; this one knows version %zu",
		    schema->file, (long long)version, schema->n_steps);
	if (version < 0)
		return err_set(err, ERR_USAGE, "%s is not a database of Tegami's", schema->file);
	if (mode == DB_CREATE)
		return db_migrate(db, schema, version, err);
	return err_set(err, ERR_USAGE,
	    "%s has version %lld, this Tegami needs version %zu; run `tegamid`, which upgrades it",
	    schema->file, (long long)version, schema->n_steps);
}

/* -- open and close */

static const int open_flags[] = {
	[DB_READ] = SQLITE_OPEN_READONLY,
	[DB_WRITE] = SQLITE_OPEN_READWRITE,
	[DB_CREATE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
};

/* What must hold before the first statement runs. */
static int
db_settle(sqlite3 *db, const struct db_schema *schema, enum db_mode mode, struct err *err)
{
	char sql[200];
	int on = 1;

	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, BUSY_MS);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
	if (mode == DB_READ)
		return db_exec(db, "PRAGMA temp_store = MEMORY", err);
	if (schema->page_size > 0 && mode == DB_CREATE) {
		snprintf(sql, sizeof(sql), "PRAGMA page_size = %d", schema->page_size);
		if (db_exec(db, sql, err) == -1)
			return -1;
	}
	snprintf(sql, sizeof(sql),
	    "PRAGMA temp_store = MEMORY; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
	    "PRAGMA secure_delete = OFF; PRAGMA journal_size_limit = %d",
	    WAL_KEPT);
	return db_exec(db, sql, err);
}

/* SQLite would make a new file readable by all. */
static int
db_make_file(const char *file, struct err *err)
{
	int fd = open(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return err_sys(err, "cannot make %s", file);
	close(fd);
	return 0;
}

sqlite3 *
db_open(const struct db_schema *schema, enum db_mode mode, struct err *err)
{
	sqlite3 *db = NULL;

	if (vfs_ready() != SQLITE_OK) {
		err_set(err, ERR_BUG, "SQLite has no unix VFS");
		return NULL;
	}
	if (mode == DB_CREATE && db_make_file(schema->file, err) == -1)
		return NULL;
	if (sqlite3_open_v2(schema->file, &db, open_flags[mode] | SQLITE_OPEN_NOMUTEX,
		schema->gathers ? VFS_GATHERS : VFS_NAME) != SQLITE_OK ||
	    db_settle(db, schema, mode, err) == -1) {
		if (db == NULL)
			err_set(err, ERR_TEMPORARY, "%s: out of memory", schema->file);
		else
			db_error(db, err, schema->file);
		db_close(&db);
		return NULL;
	}
	if (db_check_version(db, schema, mode, err) == -1)
		db_close(&db);
	return db;
}

void
db_close(sqlite3 **db)
{
	sqlite3_stmt *s;

	if (*db == NULL)
		return;
	while ((s = sqlite3_next_stmt(*db, NULL)) != NULL)
		sqlite3_finalize(s);
	sqlite3_close(*db);
	*db = NULL;
}

/* -- statements */

sqlite3_stmt *
db_prepare(sqlite3 *db, const char *sql, struct err *err)
{
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
		db_error(db, err, sqlite3_db_filename(db, "main"));
	return s;
}

void
db_done(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
	*stmt = NULL;
}

void
db_bind_text(sqlite3_stmt *s, int i, const char *text)
{
	sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
}

void
db_bind_slice(sqlite3_stmt *s, int i, struct slice bytes)
{
	if (bytes.len == 0)
		sqlite3_bind_zeroblob(s, i, 0);
	else
		sqlite3_bind_blob64(s, i, bytes.at, bytes.len, SQLITE_STATIC);
}

void
db_bind_i64(sqlite3_stmt *s, int i, int64_t v)
{
	sqlite3_bind_int64(s, i, v);
}

int
db_step(sqlite3 *db, sqlite3_stmt *s, struct err *err)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		db_error(db, err, sqlite3_db_filename(db, "main"));
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

int
db_run(sqlite3 *db, sqlite3_stmt *s, struct err *err)
{
	int rc = db_step(db, s, err);

	if (rc == 1)
		sqlite3_reset(s);
	return rc == -1 ? -1 : 0;
}

const char *
db_text(sqlite3_stmt *s, int col)
{
	const unsigned char *text = sqlite3_column_text(s, col);

	return text == NULL ? "" : (const char *)text;
}

struct slice
db_blob(sqlite3_stmt *s, int col)
{
	struct slice bytes;

	bytes.at = sqlite3_column_blob(s, col);
	bytes.len = (size_t)sqlite3_column_bytes(s, col);
	return bytes;
}

int64_t
db_i64(sqlite3_stmt *s, int col)
{
	return sqlite3_column_int64(s, col);
}
