/* wire - fields of a frame between processes
 *
 * A field is a 32-bit length (little-endian) and that many bytes; a number is a field of 8 bytes.
 * The reader remembers its first failure, so no field needs a check of its own: ask wire_end()
 * once. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/buf.h"
#include "base/pool.h"

struct wire {
	const char *at, *end;
	bool failed;
};

void wire_init(struct wire *w, struct slice fields);
uint64_t wire_u64(struct wire *w);		/* 0 after a failure */
int64_t wire_i64(struct wire *w);
struct slice wire_bytes(struct wire *w);	/* borrowed from the frame; empty after a failure */
/* As a C string in the pool; "" after a failure or when it holds a NUL. */
const char *wire_text(struct wire *w, struct pool *pool);
/* Copy into out, "" when it would not fit (and failed). */
void wire_text_to(struct wire *w, char *out, size_t size);
/* Are there fields left? For repeated groups. */
bool wire_more(const struct wire *w);
/* 0 when every field was there and none is left over, -1 otherwise. */
int wire_end(const struct wire *w);

/* A failed put marks the buffer (see buf.h). */
void wire_put_u64(struct buf *b, uint64_t v);
void wire_put_i64(struct buf *b, int64_t v);
void wire_put_bytes(struct buf *b, struct slice s);
void wire_put_text(struct buf *b, const char *text);	/* NULL is "" */
/* Bytes that putting `len` bytes costs. */
#define WIRE_COST(len) (4 + (len))

#endif
