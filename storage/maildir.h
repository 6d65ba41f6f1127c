/* maildir - homes and Maildirs below the mail directory
 *
 * Names that came from outside (homes, folders, file names) are checked here, strictly, before
 * any of them becomes part of a path; every path is then opened below the mail directory and
 * nowhere else (openat2 RESOLVE_BENEATH): a symbolic link inside mail_dir is followed, one that
 * leads out of it is an error. `root` is always a descriptor of mail_dir. */
#ifndef STORAGE_MAILDIR_H
#define STORAGE_MAILDIR_H

#include "base/err.h"

#define MAILDIR_PATH 1280 /* longest path below mail_dir that we make */
#define MAILDIR_NAME 256  /* longest name of one file, with its NUL */

/* "DOMAIN/LOCALPART": two parts, neither empty, with a leading dot, a control character or over
 * 255 bytes. */
bool maildir_home_ok(struct slice home);
/* One file name: not empty, no "/", ":" or leading dot, only visible ASCII, at most 200 bytes. */
bool maildir_name_ok(struct slice name);
/* Where a folder lies inside the Maildir, with a slash in front: "" for INBOX, "/.Junk" for
 * "Junk", "/.A.B" for "A/B" (Maildir++; other than ASCII in the modified UTF-7 of RFC 3501
 * 5.1.3). -1: not a folder's name. */
int maildir_folder_dir(struct slice folder, char *out, size_t size);

/* open(2) below `root`; leaves errno. Never follows a link out of it. */
int maildir_open(int root, const char *path, int flags);
/* Make what is missing of home, Maildir and folder (mode 0700), with `maildirfolder` and a line
 * in `subscriptions` for a new folder. `dir` is what maildir_folder_dir() wrote. The names are
 * not durable yet: that is the caller's barrier. */
int maildir_make(int root, const char *home, const char *dir, struct err *err);

struct maildir_size {
	uint64_t bytes, messages;
};
/* Count all messages of all folders: by "S=" in the name, else by asking the file. `fd`: the
 * Maildir itself, stays open. */
int maildir_count(int fd, struct maildir_size *size, struct err *err);

#endif
