/* buf - bytes that grow, up to a ceiling that is set at birth
 *
 * A write past the ceiling (or without memory) changes nothing, returns -1 and marks the buffer
 * failed, so a run of appends needs one check at its end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

struct buf {
	char *at;	/* NULL until the first byte */
	size_t len;
	size_t size;	/* allocated */
	size_t ceiling;
	bool failed;
};

/* Cannot fail; allocates nothing. */
void buf_init(struct buf *b, size_t ceiling);
/* Frees the memory; the buffer is as after buf_init. */
void buf_free(struct buf *b);
/* Empty again, memory kept, failure forgotten. */
void buf_reset(struct buf *b);
int buf_append(struct buf *b, const void *data, size_t len);
int buf_slice(struct buf *b, struct slice s);
int buf_text(struct buf *b, const char *text);
int buf_char(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for `len` more bytes at the end; NULL past the ceiling. buf_wrote() says how many were
 * used. */
char *buf_room(struct buf *b, size_t len);
void buf_wrote(struct buf *b, size_t len);
/* Drop `len` bytes at the front. */
void buf_consume(struct buf *b, size_t len);
/* What is in it; borrowed until the next change. */
struct slice buf_all(const struct buf *b);
/* The text with a NUL behind it (not counted); "" when empty, NULL when the NUL did not fit. */
const char *buf_cstr(struct buf *b);
/* Take the bytes over as a malloc'ed, NUL-terminated block; the buffer is empty again. */
char *buf_take(struct buf *b, size_t *len);

#endif
