/* spool - bodies too large for queue.db, one file each
 *
 * Promises that a name in the directory after spool_sync is a whole file, also after a power cut:
 * content first, then the directory. Files are opened for each call, so ten thousand slow senders
 * hold no descriptors.
 *
 * Errors: ERR_FULL for space, inodes and read-only file systems; ERR_NOT_FOUND when a file is
 * missing or has another size. */
#include "storage/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/qid.h"

int
spool_open_dir(int fd, struct err *err)
{
	int dir = openat(
	    fd >= 0 ? fd : AT_FDCWD, fd >= 0 ? "." : "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir == -1 ? err_sys(err, "cannot open the spool directory") : dir;
}

static int
write_all(int fd, uint64_t offset, struct slice bytes)
{
	while (bytes.len > 0) {
		ssize_t n = pwrite(fd, bytes.at, bytes.len, (off_t)offset);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		bytes = slice_skip(bytes, (size_t)n);
		offset += (uint64_t)n;
	}
	return 0;
}

int
spool_write(int dir, uint64_t qid, uint64_t offset, struct slice bytes, struct err *err)
{
	char name[QID_TEXT];
	int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC | (offset == 0 ? O_CREAT | O_EXCL : 0);
	int fd, rc;

	qid_text(qid, name);
	fd = openat(dir, name, flags, 0600);
	if (fd == -1)
		return err_sys(err, "cannot open spool file %s", name);
	rc = write_all(fd, offset, bytes);
	if (rc == -1)
		err_sys(err, "cannot write spool file %s", name);
	if (close(fd) == -1 && rc == 0)
		rc = err_sys(err, "cannot write spool file %s", name);
	return rc;
}

int
spool_sync(int dir, uint64_t qid, uint64_t size, struct err *err)
{
	char name[QID_TEXT];
	struct stat st;
	int fd, rc = 0;

	qid_text(qid, name);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return err_sys(err, "cannot open spool file %s", name);
	if (fstat(fd, &st) == -1 || fsync(fd) == -1 || fsync(dir) == -1)
		rc = err_sys(err, "cannot make spool file %s durable", name);
	else if ((uint64_t)st.st_size != size)
		rc = err_set(err, ERR_TEMPORARY, "spool file %s holds %lld bytes, not %llu", name,
		    (long long)st.st_size, (unsigned long long)size);
	close(fd);
	return rc;
}

int
spool_read(int dir, uint64_t qid, uint64_t size, struct err *err)
{
	char name[QID_TEXT];
	struct stat st;
	int fd;

	qid_text(qid, name);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		err_sys(err, "cannot open spool file %s", name);
		if (err != NULL && err->sys == ENOENT)
			err->kind = ERR_NOT_FOUND;
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
		return fd;
	close(fd);
	return err_set(
	    err, ERR_NOT_FOUND, "spool file %s has not the size that the queue says", name);
}

void
spool_remove(int dir, uint64_t qid)
{
	char name[QID_TEXT];

	qid_text(qid, name);
	unlinkat(dir, name, 0);
}

int
spool_sweep(int dir, bool (*wanted)(void *arg, uint64_t qid), void *arg, struct err *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *de;
	int removed = 0;

	if (d == NULL) {
		if (fd != -1)
			close(fd);
		return err_sys(err, "cannot read the spool directory");
	}
	while ((de = readdir(d)) != NULL) {
		uint64_t qid;

		if (de->d_name[0] == '.')
			continue;
		if (qid_parse(slice_of(de->d_name), &qid) && wanted(arg, qid))
			continue;
		if (unlinkat(dir, de->d_name, 0) == 0)
			removed++;
	}
	closedir(d);
	return removed;
}
