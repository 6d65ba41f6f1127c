/* rows - the rows of an answer, kept to be printed */
#include "admin/rows.h"

#include <stdlib.h>
#include <string.h>

static void
keep(struct admin_out *out, const struct admin_word *words, size_t n)
{
	rows_add((struct rows *)out, words, n);
}

void
rows_init(struct rows *r)
{
	memset(r, 0, sizeof(*r));
	r->out.row = keep;
}

void
rows_free(struct rows *r)
{
	pool_free(&r->pool);
	free(r->at);
	rows_init(r);
}

/* Room for one row more in the index; false when there is none. */
static bool
grow(struct rows *r)
{
	size_t size = r->size ? r->size * 2 : 64;
	struct row *at;

	if (r->n < r->size)
		return true;
	at = reallocarray(r->at, size, sizeof(*at));
	if (at == NULL)
		return false;
	r->at = at;
	r->size = size;
	return true;
}

int
rows_add(struct rows *r, const struct admin_word *words, size_t n)
{
	struct admin_word *copy = NULL;

	if (r->pool == NULL)
		r->pool = pool_new(ROWS_BYTES_MAX);
	if (r->pool != NULL && grow(r))
		copy = pool_alloc(r->pool, (n > 0 ? n : 1) * sizeof(*copy));
	for (size_t i = 0; copy != NULL && i < n; i++) {
		copy[i].key = pool_text(r->pool, slice_of(words[i].key));
		copy[i].value = pool_text(r->pool, slice_of(words[i].value));
		if (copy[i].key == NULL || copy[i].value == NULL)
			copy = NULL;
	}
	if (copy == NULL) {
		r->failed = true;
		return -1;
	}
	r->at[r->n++] = (struct row){ copy, n };
	return 0;
}

const char *
row_get(const struct row *row, const char *key)
{
	for (size_t i = 0; i < row->n; i++)
		if (strcmp(row->words[i].key, key) == 0)
			return row->words[i].value;
	return NULL;
}

const char *
row_text(const struct row *row, const char *key)
{
	const char *value = row_get(row, key);

	return value != NULL ? value : "";
}

int64_t
row_number(const struct row *row, const char *key)
{
	return strtoll(row_text(row, key), NULL, 10);
}
