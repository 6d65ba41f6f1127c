/* message - a mail file made ready to be judged or learned */
#include "admin/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* A bare LF becomes CRLF; what is CRLF already stays. */
static void
append(struct buf *out, const char *at, size_t n, char *last)
{
	for (size_t i = 0; i < n; i++) {
		if (at[i] == '\n' && *last != '\r')
			buf_char(out, '\r');
		buf_char(out, at[i]);
		*last = at[i];
	}
}

int
message_read(int in, struct buf *out, struct err *err)
{
	char chunk[64 * 1024], last = '\0';
	ssize_t n;

	while ((n = read(in, chunk, sizeof(chunk))) != 0 && !out->failed) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(err, "the message cannot be read");
		append(out, chunk, (size_t)n, &last);
	}
	if (out->failed)
		return err_set(
		    err, ERR_PERMANENT, "the message is larger than %zu MiB", out->ceiling >> 20);
	return 0;
}

int
message_fd(struct slice bytes, struct err *err)
{
	int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(err, "memory file");
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.at, bytes.len);

		if (n <= 0) {
			err_sys(err, "memory file");
			close(fd);
			return -1;
		}
		bytes = slice_skip(bytes, (size_t)n);
	}
	/* Shrinking a mapped file would kill its reader. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1) {
		err_sys(err, "memory file");
		close(fd);
		return -1;
	}
	return fd;
}
