/* quota - how full a mailbox is: the file `maildirsize` of Maildir++, shared with Dovecot
 *
 *	LIMIT S[,COUNT C]	(no blanks) the quota that the file was made for
 *	BYTES MESSAGES		what there was when it was made ...
 *	BYTES MESSAGES		... and what came (or went, negative) since, a line each
 *
 * The sums may be a little off, when a writer died between its mail and its line; they are
 * counted anew when the file has grown over 5120 bytes, when its quota is not ours, and when it
 * says "over quota" and is older than 15 minutes. `fd` is always the Maildir. */
#ifndef STORAGE_QUOTA_H
#define STORAGE_QUOTA_H

#include "storage/maildir.h"

#define QUOTA_FILE "maildirsize"

/* What `text` sums up to; *limit is the bytes of its first line (0: none). false: it is not such
 * a file. */
bool quota_parse(struct slice text, uint64_t *limit, struct maildir_size *size);
/* What is in the mailbox. With limit > 0 the file is made, and made anew, as above. */
int quota_usage(int fd, uint64_t limit, struct maildir_size *size, struct err *err);
/* A message of `size` bytes came. `path` is below `root`:
 * "DOMAIN/LOCALPART/Maildir/maildirsize". false: there is no such file. */
bool quota_add(int root, const char *path, uint64_t size);

#endif
