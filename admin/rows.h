/* rows - the rows of an answer, kept to be printed */
#ifndef ADMIN_ROWS_H
#define ADMIN_ROWS_H

#include "base/admin.h"
#include "base/pool.h"

#define ROWS_BYTES_MAX (256u << 20)

struct row {
	struct admin_word *words;
	size_t n;
};

struct rows {
	struct admin_out out; /* first: give &rows.out to a verb and its rows are kept here */
	struct pool *pool;
	struct row *at;
	size_t n, size;
	bool failed; /* memory or ROWS_BYTES_MAX ran out: rows are missing */
};

void rows_init(struct rows *r);
void rows_free(struct rows *r);
/* A copy of the row; -1 (and failed) when it cannot be kept. */
int rows_add(struct rows *r, const struct admin_word *words, size_t n);
/* The value under `key`, or NULL. */
const char *row_get(const struct row *row, const char *key);
/* The same, "" when there is none. */
const char *row_text(const struct row *row, const char *key);
/* As a number; 0 when there is none. */
int64_t row_number(const struct row *row, const char *key);

#endif
