/* pool - memory of one lifetime, freed all at once
 *
 * Blocks of 4 KiB (or one piece, if that is larger), chained; a piece is never moved. */
#include "base/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096
#define ALIGN 16

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(ALIGN) char bytes[];
};

struct pool {
	struct block *blocks;
	size_t used, ceiling;
};

struct pool *
pool_new(size_t ceiling)
{
	struct pool *p = calloc(1, sizeof *p);

	if (p != NULL)
		p->ceiling = ceiling;
	return p;
}

void
pool_free(struct pool **p)
{
	if (*p == NULL)
		return;
	for (struct block *b = (*p)->blocks, *next; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(*p);
	*p = NULL;
}

static struct block *
block_add(struct pool *p, size_t size)
{
	size_t room = size > BLOCK ? size : BLOCK;
	struct block *b = malloc(sizeof *b + room);

	if (b == NULL)
		return NULL;
	b->used = 0;
	b->size = room;
	b->next = p->blocks;
	p->blocks = b;
	return b;
}

void *
pool_alloc(struct pool *p, size_t size)
{
	size_t whole = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct block *b = p->blocks;
	void *at;

	if (whole < size || whole > p->ceiling || p->used > p->ceiling - whole)
		return NULL;
	if (b == NULL || b->size - b->used < whole)
		b = block_add(p, whole);
	if (b == NULL)
		return NULL;
	at = b->bytes + b->used;
	b->used += whole;
	p->used += whole;
	memset(at, 0, whole);
	return at;
}

char *
pool_text(struct pool *p, struct slice s)
{
	char *copy = pool_alloc(p, s.len + 1);

	if (copy != NULL && s.len > 0)
		memcpy(copy, s.at, s.len);
	return copy;
}

struct slice
pool_slice(struct pool *p, struct slice s)
{
	return (struct slice){ pool_text(p, s), s.len };
}

char *
pool_printf(struct pool *p, const char *fmt, ...)
{
	va_list ap;
	char *at;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (at = pool_alloc(p, (size_t)n + 1)) == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return at;
}

size_t
pool_used(const struct pool *p)
{
	return p->used;
}
