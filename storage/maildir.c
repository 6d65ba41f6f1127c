/* maildir - homes and Maildirs below the mail directory
 *
 * What a Maildir++ looks like on disk, and nothing about when it is made durable:
 *
 *	DOMAIN/LOCALPART/Maildir/{tmp,new,cur}		INBOX
 *	DOMAIN/LOCALPART/Maildir/.Junk/{tmp,new,cur}	a folder, marked by an empty file `maildirfolder`
 *	DOMAIN/LOCALPART/Maildir/subscriptions		one folder a line, as Dovecot keeps it
 *
 * Making is safe against another process that makes the same: what exists already is taken as it
 * is. */
#include "storage/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/utf8.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define SUBSCRIPTIONS_MAX (64 * 1024)

/* -- names */

static bool
part_ok(struct slice s)
{
	if (s.len == 0 || s.len > 255 || s.at[0] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c < 0x20 || c == 0x7f || c == '/')
			return false;
	}
	return true;
}

bool
maildir_home_ok(struct slice home)
{
	struct slice rest = home, domain = slice_cut(&rest, '/');

	return part_ok(domain) && part_ok(rest);
}

bool
maildir_name_ok(struct slice name)
{
	if (name.len == 0 || name.len > 200 || name.at[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];

		if (c <= ' ' || c > '~' || c == '/' || c == ':')
			return false;
	}
	return true;
}

struct utf7 {
	char *out;
	size_t size, len;
	uint32_t bits;
	unsigned n_bits;
	bool shifted;
};

static void
utf7_char(struct utf7 *u, char c)
{
	if (u->len + 1 < u->size)
		u->out[u->len] = c;
	u->len++;
}

static void
utf7_digit(struct utf7 *u, uint32_t v)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

	utf7_char(u, digits[v & 0x3f]);
}

static void
utf7_unit(struct utf7 *u, uint32_t unit)
{
	u->bits = u->bits << 16 | unit;
	for (u->n_bits += 16; u->n_bits >= 6; u->n_bits -= 6)
		utf7_digit(u, u->bits >> (u->n_bits - 6));
}

static void
utf7_plain(struct utf7 *u)
{
	if (!u->shifted)
		return;
	if (u->n_bits > 0)
		utf7_digit(u, u->bits << (6 - u->n_bits));
	utf7_char(u, '-');
	u->shifted = false;
	u->bits = u->n_bits = 0;
}

static void
utf7_put(struct utf7 *u, uint32_t cp)
{
	if (cp < 0x80) {
		utf7_plain(u);
		utf7_char(u, (char)cp);
		if (cp == '&')
			utf7_char(u, '-');
		return;
	}
	if (!u->shifted)
		utf7_char(u, '&');
	u->shifted = true;
	if (cp >= 0x10000) {
		utf7_unit(u, 0xd800 + ((cp - 0x10000) >> 10));
		cp = 0xdc00 + ((cp - 0x10000) & 0x3ff);
	}
	utf7_unit(u, cp);
}

int
maildir_folder_dir(struct slice folder, char *out, size_t size)
{
	struct utf7 u = { .out = out, .size = size };
	bool begin = true;
	uint32_t cp;

	if (folder.len > 0) {
		utf7_char(&u, '/');
		utf7_char(&u, '.');
	}
	while (folder.len > 0) {
		size_t n = utf8_next(folder, &cp);

		folder = slice_skip(folder, n);
		if (n == 0 || cp < 0x20 || cp == 0x7f || cp == '.' ||
		    (begin && (cp == '/' || cp == '~')) || (cp == '/' && folder.len == 0))
			return -1;
		begin = cp == '/';
		utf7_put(&u, cp == '/' ? '.' : cp);
	}
	utf7_plain(&u);
	if (u.len >= size || u.len > 200)
		return -1;
	out[u.len] = 0;
	return 0;
}

/* -- opening below the mail directory */

/* For kernels without openat2: no symbolic link at all, one part after the other. */
static int
open_by_parts(int root, const char *path, int flags)
{
	struct slice rest = slice_of(path);
	int at = root, fd = -1, saved;
	char part[MAILDIR_NAME];

	while (rest.len > 0) {
		struct slice name = slice_cut(&rest, '/');

		if (!slice_copy(name, part, sizeof(part)) || strcmp(part, "..") == 0) {
			fd = -1;
			errno = ENAMETOOLONG;
		} else {
			fd = openat(at, part,
			    O_NOFOLLOW | O_CLOEXEC | (rest.len > 0 ? O_PATH | O_DIRECTORY : flags),
			    0600);
		}
		saved = errno;
		if (at != root)
			close(at);
		errno = saved;
		if (fd == -1)
			return -1;
		at = fd;
	}
	return fd;
}

int
maildir_open(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)flags | O_CLOEXEC,
		.mode = flags & O_CREAT ? 0600 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	long fd;

	/* EAGAIN: something was renamed meanwhile, so the kernel could not be sure that we stay below */
	for (int tries = 0; tries < 16; tries++) {
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
		if (fd != -1 || errno != EAGAIN)
			break;
	}
	if (fd == -1 && errno == ENOSYS)
		return open_by_parts(root, path, flags);
	return (int)fd;
}

/* -- making */

struct way {          /* how far we are below the root */
	int root, fd; /* fd: the folder at `path`, or root */
	char path[MAILDIR_PATH];
};

static void
way_end(struct way *w)
{
	if (w->fd != -1 && w->fd != w->root)
		close(w->fd);
	w->fd = -1;
}

/* One folder deeper, made if it is missing. Opened from the root, since a link may lead sideways
 * below it. */
static int
way_on(struct way *w, struct slice name, struct err *err)
{
	size_t len = strlen(w->path);
	char *part = w->path + len;
	int fd = -1;

	if (len + name.len + 2 > sizeof(w->path))
		return err_set(err, ERR_PERMANENT, "this path is too long");
	if (len > 0)
		*part++ = '/';
	slice_copy(name, part, name.len + 1);
	if ((mkdirat(w->fd, part, 0700) == -1 && errno != EEXIST) ||
	    (fd = maildir_open(w->root, w->path, DIR_FLAGS)) == -1)
		err_sys(err, "cannot make the folder %s", w->path);
	way_end(w);
	w->fd = fd;
	return fd == -1 ? -1 : 0;
}

/* tmp, new and cur inside `fd`. */
static int
make_three(int fd, struct err *err)
{
	static const char *const names[] = { "tmp", "new", "cur" };

	for (size_t i = 0; i < COUNT(names); i++)
		if (mkdirat(fd, names[i], 0700) == -1 && errno != EEXIST)
			return err_sys(err, "cannot make the folder \"%s\"", names[i]);
	return 0;
}

static bool
subscribed(char *text, size_t len, struct slice name)
{
	struct slice rest = { text, len }, line;

	while (slice_line(&rest, &line))
		if (slice_eq(line, name))
			return true;
	return false;
}

/* Readers show only folders named here. A failure costs the user one click, so it is not an
 * error. */
static void
subscribe(int maildir, const char *dir)
{
	struct slice name = slice_of(dir + 2);
	int fd = maildir_open(maildir, "subscriptions", O_RDWR | O_CREAT | O_APPEND);
	char *text = fd == -1 ? NULL : malloc(SUBSCRIPTIONS_MAX);
	ssize_t n = text == NULL ? -1 : read(fd, text, SUBSCRIPTIONS_MAX);
	char line[MAILDIR_NAME + 2];
	int len;

	if (n >= 0 && n < SUBSCRIPTIONS_MAX && !subscribed(text, (size_t)n, name)) {
		len = snprintf(line, sizeof(line), "%s%.*s\n",
		    n > 0 && text[n - 1] != '\n' ? "\n" : "", SLICE_ARG(name));
		if (len < (int)sizeof(line) && write(fd, line, (size_t)len) == -1)
			errno = 0;
	}
	free(text);
	if (fd != -1)
		close(fd);
}

static int
make_folder(struct way *w, const char *dir, struct err *err)
{
	int mark;

	if (way_on(w, slice_of(dir + 1), err) == -1 || make_three(w->fd, err) == -1)
		return -1;
	mark = maildir_open(w->fd, "maildirfolder", O_WRONLY | O_CREAT);
	if (mark == -1)
		return err_sys(err, "cannot make \"maildirfolder\"");
	close(mark);
	return 0;
}

static int
make_maildir(struct way *w, const char *home, const char *dir, struct err *err)
{
	struct slice rest = slice_of(home);
	int maildir, rc;

	while (rest.len > 0)
		if (way_on(w, slice_cut(&rest, '/'), err) == -1)
			return -1;
	if (way_on(w, SLICE("Maildir"), err) == -1 || make_three(w->fd, err) == -1)
		return -1;
	if (dir[0] == 0)
		return 0;
	maildir = dup(w->fd);
	rc = make_folder(w, dir, err);
	if (rc == 0 && maildir != -1)
		subscribe(maildir, dir);
	if (maildir != -1)
		close(maildir);
	return rc;
}

int
maildir_make(int root, const char *home, const char *dir, struct err *err)
{
	struct way w = { .root = root, .fd = root };
	int rc = make_maildir(&w, home, dir, err);

	way_end(&w);
	return rc == 0 ? 0 : err_context(err, "mailbox %s", home);
}

/* -- counting */

/* The size that a file's name states, or -1. */
static int64_t
size_in_name(const char *name)
{
	const char *s = strstr(name, ",S=");
	char *end;
	unsigned long long v;

	if (s == NULL || s[3] < '0' || s[3] > '9')
		return -1;
	v = strtoull(s + 3, &end, 10);
	return *end == 0 || *end == ',' || *end == ':' ? (int64_t)(v & INT64_MAX) : -1;
}

static void
count_file(int dir, const char *name, struct maildir_size *size)
{
	int64_t n = size_in_name(name);
	struct stat st;

	if (n == -1) {
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1 || !S_ISREG(st.st_mode))
			return;
		n = st.st_size;
	}
	size->bytes += (uint64_t)n;
	size->messages++;
}

static DIR *
dir_open(int at, const char *path)
{
	int fd = maildir_open(at, path, DIR_FLAGS);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);

	if (d == NULL && fd != -1)
		close(fd);
	return d;
}

static int
count_files(int at, const char *path, struct maildir_size *size, struct err *err)
{
	DIR *d = dir_open(at, path);
	struct dirent *e;

	if (d == NULL)
		return errno == ENOENT || errno == ENOTDIR ? 0
							   : err_sys(err, "cannot read %s", path);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			count_file(dirfd(d), e->d_name, size);
	closedir(d);
	return 0;
}

static int
count_folder(int at, const char *name, struct maildir_size *size, struct err *err)
{
	char path[MAILDIR_NAME + 8];
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++)
		if (snprintf(path, sizeof(path), "%s/%s", name, i == 0 ? "new" : "cur") <
		    (int)sizeof(path))
			rc = count_files(at, path, size, err);
	return rc;
}

int
maildir_count(int fd, struct maildir_size *size, struct err *err)
{
	DIR *d = dir_open(fd, ".");
	struct dirent *e;
	int rc;

	*size = (struct maildir_size){ 0 };
	if (d == NULL)
		return err_sys(err, "cannot read the Maildir");
	rc = count_folder(fd, ".", size, err);
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (e->d_name[0] == '.' && e->d_name[1] != 0 && e->d_name[1] != '.')
			rc = count_folder(fd, e->d_name, size, err);
	closedir(d);
	return rc;
}
