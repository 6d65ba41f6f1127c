/* quota - how full a mailbox is: the file `maildirsize` of Maildir++, shared with Dovecot
 *
 * Nothing here is worth a barrier: after a power cut the figures may be some messages off until
 * the next count. No lock either: lines are appended in one write each, and a new file replaces
 * the old one by rename. */
#include "storage/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUOTA_FILE_MAX 5120
#define QUOTA_STALE (15 * 60)       /* seconds */
#define QUOTA_FILE_WILD (64 * 1024) /* nobody counts any more: remove it */

/* "1000000S,50C": each number is for bytes (S) or messages (C). */
static bool
limits_parse(struct slice line, uint64_t *limit)
{
	uint64_t v;

	*limit = 0;
	while (line.len > 0) {
		struct slice item = slice_trim(slice_cut(&line, ','));

		if (item.len < 2 || !slice_to_u64(slice_first(item, item.len - 1), &v))
			return false;
		if (item.at[item.len - 1] == 'S')
			*limit = v;
		else if (item.at[item.len - 1] != 'C')
			return false;
	}
	return true;
}

static bool
signed_number(struct slice s, int64_t *out)
{
	bool minus = s.len > 0 && s.at[0] == '-';
	uint64_t v;

	if (!slice_to_u64(slice_skip(s, minus ? 1 : 0), &v) || v > INT64_MAX)
		return false;
	*out = minus ? -(int64_t)v : (int64_t)v;
	return true;
}

bool
quota_parse(struct slice text, uint64_t *limit, struct maildir_size *size)
{
	int64_t bytes = 0, messages = 0, b, m;
	struct slice line;

	if (!slice_line(&text, &line) || !limits_parse(line, limit))
		return false;
	while (slice_line(&text, &line)) {
		struct slice second = slice_trim(line), first = slice_cut(&second, ' ');

		if (first.len == 0)
			continue;
		if (!signed_number(first, &b) || !signed_number(slice_trim(second), &m) ||
		    __builtin_add_overflow(bytes, b, &bytes) ||
		    __builtin_add_overflow(messages, m, &messages))
			return false;
	}
	size->bytes = bytes > 0 ? (uint64_t)bytes : 0;
	size->messages = messages > 0 ? (uint64_t)messages : 0;
	return true;
}

/* Is what the file says good enough? */
static bool
read_file(int fd, uint64_t limit, struct maildir_size *size)
{
	int file = maildir_open(fd, QUOTA_FILE, O_RDONLY);
	char text[QUOTA_FILE_MAX + 1];
	uint64_t theirs;
	struct stat st;
	ssize_t n = -1;
	bool good;

	if (file == -1)
		return false;
	if (fstat(file, &st) == 0)
		n = read(file, text, sizeof(text));
	close(file);
	good = n > 0 && n <= QUOTA_FILE_MAX &&
	       quota_parse((struct slice){ text, (size_t)n }, &theirs, size);
	if (!good || limit == 0)
		return good;
	return theirs == limit && (size->bytes < limit || time(NULL) - st.st_mtime < QUOTA_STALE);
}

static int
write_file(int fd, uint64_t limit, const struct maildir_size *size, struct err *err)
{
	static const char tmp[] = "tmp/" QUOTA_FILE ".tegami";
	char text[128];
	int len = snprintf(text, sizeof(text), "%lluS\n%llu %llu\n", (unsigned long long)limit,
	    (unsigned long long)size->bytes, (unsigned long long)size->messages);
	int file;
	bool good;

	unlinkat(fd, tmp, 0);
	file = maildir_open(fd, tmp, O_WRONLY | O_CREAT | O_EXCL);
	if (file == -1)
		return err_sys(err, "cannot make %s", tmp);
	good = write(file, text, (size_t)len) == len;
	good = close(file) == 0 && good && renameat(fd, tmp, fd, QUOTA_FILE) == 0;
	if (good)
		return 0;
	err_sys(err, "cannot write " QUOTA_FILE);
	unlinkat(fd, tmp, 0);
	return -1;
}

int
quota_usage(int fd, uint64_t limit, struct maildir_size *size, struct err *err)
{
	if (read_file(fd, limit, size))
		return 0;
	if (maildir_count(fd, size, err) == -1)
		return -1;
	return limit == 0 ? 0 : write_file(fd, limit, size, err);
}

bool
quota_add(int root, const char *path, uint64_t size)
{
	int fd = maildir_open(root, path, O_WRONLY | O_APPEND);
	char line[40];
	int len;

	if (fd == -1)
		return errno != ENOENT;
	len = snprintf(line, sizeof(line), "%llu 1\n", (unsigned long long)size);
	if (write(fd, line, (size_t)len) != len || lseek(fd, 0, SEEK_CUR) > QUOTA_FILE_WILD)
		unlinkat(root, path, 0);
	close(fd);
	return true;
}
