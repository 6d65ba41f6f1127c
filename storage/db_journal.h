/* db_journal - the write-ahead log of a database that syncs every commit, written in few large pieces
 *
 * SQLite writes a frame of the log by two system calls. A file of this kind gathers what follows each other and writes it when it is
 * synced, read, measured or closed, or when 120 KiB are there: few calls a commit instead of two a page.
 *
 *	where it stands			a crash leaves			what SQLite makes of it
 *	gathered, not written		nothing of the commit		the commit is not there
 *	written in part, not synced	frames without a good sum	it ends before them
 *	synced				the commit			the commit
 *
 * So it is only for synchronous = FULL: with less, a commit could count in shared memory before its frames are in the file.
 * A piece that cannot be written is an error of the write, sync or read that wanted it written, so the commit fails. */
#ifndef STORAGE_DB_JOURNAL_H
#define STORAGE_DB_JOURNAL_H

#include <sqlite3.h>

/* Make `out` open files as `inner` does, but write-ahead logs in this way. `out` is the caller's, and not registered here; both stay
 * for good. */
void db_journal_vfs(sqlite3_vfs *out, sqlite3_vfs *inner);
/* Make the log of `db` at least `bytes` long and sync that, so that commits do not have to lengthen it: each would wait for the file
 * system's own journal too. For after opening, with such a VFS. Not done where the disk has less than 64 times as much free. It is a
 * matter of speed alone, so nothing is said if it fails. */
void db_journal_lengthen(sqlite3 *db, sqlite3_int64 bytes);

#endif
