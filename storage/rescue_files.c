/* rescue_files - bodies and staged files that the new queue.db does not name, kept for the administrator */
#include "storage/rescue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/qid.h"
#include "storage/queue_store.h"

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
rescue_files_keep(const char *file, int dir, bool stage, int to, struct err *err)
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
