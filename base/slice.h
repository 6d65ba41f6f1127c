/* slice - a piece of text or bytes that belongs to somebody else
 *
 * Parsers walk slices, so no input is copied and no terminating NUL is trusted. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const char *at;
	size_t len;
};

/* A slice of a string literal. */
#define SLICE(lit) ((struct slice){ (lit), sizeof(lit) - 1 })
/* For printf("%.*s"). */
#define SLICE_ARG(s) (int)(s).len, (s).at

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The text of a C string; NULL is the empty slice. */
struct slice slice_of(const char *text);
bool slice_eq(struct slice a, struct slice b);
/* Equal but for ASCII case. */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_is_ascii(struct slice s);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends_nocase(struct slice s, struct slice suffix);
/* `n` bytes cut off the front (all of it when shorter). */
struct slice slice_skip(struct slice s, size_t n);
struct slice slice_first(struct slice s, size_t n);
/* Offset of the byte `c`, or -1. */
ptrdiff_t slice_find(struct slice s, char c);
ptrdiff_t slice_find_last(struct slice s, char c);
/* What stands before the next `c`; *rest moves behind it. Without one: all, and *rest is empty with
 * at == NULL. */
struct slice slice_cut(struct slice *rest, char c);
/* The next line without its LF or CRLF; false at the end. */
bool slice_line(struct slice *rest, struct slice *line);
/* Without blanks, tabs, CR and LF at both ends. */
struct slice slice_trim(struct slice s);
/* A decimal number and nothing else; false when empty, not a digit or past UINT64_MAX. */
bool slice_to_u64(struct slice s, uint64_t *out);
/* A NUL-terminated copy on the heap, yours to free. NULL when memory is gone. */
char *slice_dup(struct slice s);
/* Copy into `out` (cut to fit, always terminated); true when all of it fitted. */
bool slice_copy(struct slice s, char *out, size_t size);

#endif
