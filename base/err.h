/* err - the one error type
 *
 * It answers mail's own first question: try again, or give up? Libraries fill it and return -1 or
 * NULL; callers add context; only a main() or a reply line prints it. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/slice.h"

enum err_kind {
	ERR_NONE,
	ERR_TEMPORARY,	/* may work later: 4xx, retry */
	ERR_PERMANENT,	/* never will: 5xx, bounce */
	ERR_USAGE,	/* the caller's (administrator's) input is wrong */
	ERR_NOT_FOUND,	/* no such thing */
	ERR_EXISTS,	/* there already */
	ERR_FULL,	/* disk, inodes or quota: 452 */
	ERR_BUG		/* cannot happen */
};

struct err {
	enum err_kind kind;
	int sys;	/* errno, or 0 */
	char text[400];
};

/* Fill it; always returns -1, so that `return err_set(...)` reads well. `err` may be NULL. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same from errno: ENOSPC, EDQUOT and EROFS become ERR_FULL, the rest ERR_TEMPORARY; ":
 * strerror" is added. */
int err_sys(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Put "context: " in front of what is there. Returns -1. */
int err_context(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
