/* db_journal - the write-ahead log of a database that syncs every commit, written in few large pieces */
#include "storage/db_journal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define PIECE (120 * 1024) /* the layer below masks longer writes to 17 bits */
#define FREE_TIMES 64

struct journal {
	sqlite3_file file; /* first */
	sqlite3_file *inner;
	char *piece; /* NULL: no memory, nothing is gathered */
	int n;
	sqlite3_int64 at; /* of the piece, in the file */
};

static int
written(struct journal *j)
{
	int n = j->n;

	j->n = 0; /* also after an error: SQLite writes it all again, or gives up the commit */
	return n == 0 ? SQLITE_OK : j->inner->pMethods->xWrite(j->inner, j->piece, n, j->at);
}

static int
journal_close(sqlite3_file *f)
{
	struct journal *j = (struct journal *)f;
	int rc = written(j), closed = j->inner->pMethods->xClose(j->inner);

	free(j->piece);
	j->piece = NULL;
	return rc != SQLITE_OK ? rc : closed;
}

static int
journal_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
	struct journal *j = (struct journal *)f;
	int rc = written(j);

	return rc != SQLITE_OK ? rc : j->inner->pMethods->xRead(j->inner, out, n, at);
}

static int
journal_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
	struct journal *j = (struct journal *)f;

	if (j->n > 0 && (at != j->at + j->n || n > PIECE - j->n)) {
		int rc = written(j);

		if (rc != SQLITE_OK)
			return rc;
	}
	if (j->piece == NULL || n > PIECE)
		return j->inner->pMethods->xWrite(j->inner, from, n, at);
	if (j->n == 0)
		j->at = at;
	memcpy(j->piece + j->n, from, (size_t)n);
	j->n += n;
	return SQLITE_OK;
}

static int
journal_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	struct journal *j = (struct journal *)f;
	int rc = written(j);

	return rc != SQLITE_OK ? rc : j->inner->pMethods->xTruncate(j->inner, size);
}

static int
journal_sync(sqlite3_file *f, int flags)
{
	struct journal *j = (struct journal *)f;
	int rc = written(j);

	return rc != SQLITE_OK ? rc : j->inner->pMethods->xSync(j->inner, flags);
}

static int
journal_size(sqlite3_file *f, sqlite3_int64 *size)
{
	struct journal *j = (struct journal *)f;
	int rc = written(j);

	return rc != SQLITE_OK ? rc : j->inner->pMethods->xFileSize(j->inner, size);
}

static int
journal_lock(sqlite3_file *f, int level)
{
	struct journal *j = (struct journal *)f;

	return j->inner->pMethods->xLock(j->inner, level);
}

static int
journal_unlock(sqlite3_file *f, int level)
{
	struct journal *j = (struct journal *)f;

	return j->inner->pMethods->xUnlock(j->inner, level);
}

static int
journal_locked(sqlite3_file *f, int *out)
{
	struct journal *j = (struct journal *)f;

	return j->inner->pMethods->xCheckReservedLock(j->inner, out);
}

static int
journal_control(sqlite3_file *f, int op, void *arg)
{
	struct journal *j = (struct journal *)f;

	return j->inner->pMethods->xFileControl(j->inner, op, arg);
}

static int
journal_sector(sqlite3_file *f)
{
	struct journal *j = (struct journal *)f;

	return j->inner->pMethods->xSectorSize(j->inner);
}

static int
journal_device(sqlite3_file *f)
{
	struct journal *j = (struct journal *)f;

	return j->inner->pMethods->xDeviceCharacteristics(j->inner);
}

static const sqlite3_io_methods journal_methods = {
	.iVersion = 1, /* a log is not mapped and has no shared memory of its own */
	.xClose = journal_close,
	.xRead = journal_read,
	.xWrite = journal_write,
	.xTruncate = journal_truncate,
	.xSync = journal_sync,
	.xFileSize = journal_size,
	.xLock = journal_lock,
	.xUnlock = journal_unlock,
	.xCheckReservedLock = journal_locked,
	.xFileControl = journal_control,
	.xSectorSize = journal_sector,
	.xDeviceCharacteristics = journal_device,
};

static int
journal_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out_flags)
{
	sqlite3_vfs *inner = vfs->pAppData;
	struct journal *j = (struct journal *)f;
	int rc;

	if ((flags & SQLITE_OPEN_WAL) == 0)
		return inner->xOpen(inner, name, f, flags, out_flags);
	memset(j, 0, sizeof(*j));
	j->inner = (sqlite3_file *)(j + 1);
	rc = inner->xOpen(inner, name, j->inner, flags, out_flags);
	if (j->inner->pMethods == NULL)
		return rc;
	j->piece = malloc(PIECE);
	f->pMethods = &journal_methods;
	return rc;
}

void
db_journal_vfs(sqlite3_vfs *out, sqlite3_vfs *inner)
{
	*out = *inner;
	out->pNext = NULL;
	out->pAppData = inner;
	out->szOsFile = (int)sizeof(struct journal) + inner->szOsFile;
	out->xOpen = journal_open;
}

static int
lengthen(sqlite3_file *f, sqlite3_int64 from, sqlite3_int64 to)
{
	char *zeros = calloc(1, PIECE);
	int rc = zeros == NULL ? SQLITE_NOMEM : SQLITE_OK;

	for (int n; rc == SQLITE_OK && from < to; from += n) {
		n = to - from < PIECE ? (int)(to - from) : PIECE;
		rc = f->pMethods->xWrite(f, zeros, n, from);
	}
	free(zeros);
	return rc == SQLITE_OK ? f->pMethods->xSync(f, SQLITE_SYNC_NORMAL) : rc;
}

void
db_journal_lengthen(sqlite3 *db, sqlite3_int64 bytes)
{
	sqlite3_file *f = NULL;
	sqlite3_int64 size;
	struct statvfs disk;

	sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f);
	if (f == NULL || f->pMethods == NULL || f->pMethods->xFileSize(f, &size) != SQLITE_OK || size >= bytes)
		return;
	if (statvfs(".", &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize / FREE_TIMES >= (uint64_t)bytes)
		lengthen(f, size, bytes);
}
