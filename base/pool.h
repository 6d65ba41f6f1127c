/* pool - memory of one lifetime (a transaction, a request), freed all at once */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/slice.h"

struct pool;

/* A pool that hands out at most `ceiling` bytes. NULL when memory is gone. */
struct pool *pool_new(size_t ceiling);
/* Frees everything from it and sets *p to NULL. Accepts NULL. */
void pool_free(struct pool **p);
/* Zeroed memory, aligned for anything. NULL past the ceiling or when memory is gone. */
void *pool_alloc(struct pool *p, size_t size);
/* A NUL-terminated copy. NULL as above. */
char *pool_text(struct pool *p, struct slice s);
/* A copy as a slice; .at is NULL when it could not be made. */
struct slice pool_slice(struct pool *p, struct slice s);
char *pool_printf(struct pool *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Bytes handed out so far. */
size_t pool_used(const struct pool *p);

#endif
