/* buf - bytes that grow, up to a ceiling that is set at birth
 *
 * Memory doubles from 256 bytes. One byte more than asked for is always there, so buf_cstr rarely
 * has to grow. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
buf_init(struct buf *b, size_t ceiling)
{
	*b = (struct buf){ .ceiling = ceiling };
}

void
buf_free(struct buf *b)
{
	free(b->at);
	buf_init(b, b->ceiling);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

static int
grow(struct buf *b, size_t need)
{
	size_t size = b->size > 0 ? b->size : 256;
	char *at;

	while (size < need)
		size *= 2;
	at = realloc(b->at, size);
	if (at == NULL) {
		b->failed = true;
		return -1;
	}
	b->at = at;
	b->size = size;
	return 0;
}

char *
buf_room(struct buf *b, size_t len)
{
	if (len > b->ceiling || b->len > b->ceiling - len) {
		b->failed = true;
		return NULL;
	}
	if (b->len + len + 1 > b->size && grow(b, b->len + len + 1) == -1)
		return NULL;
	return b->at + b->len;
}

void
buf_wrote(struct buf *b, size_t len)
{
	b->len += len;
}

int
buf_append(struct buf *b, const void *data, size_t len)
{
	char *room = buf_room(b, len);

	if (room == NULL)
		return -1;
	if (len > 0)
		memcpy(room, data, len);
	b->len += len;
	return 0;
}

int
buf_slice(struct buf *b, struct slice s)
{
	return buf_append(b, s.at, s.len);
}

int
buf_text(struct buf *b, const char *text)
{
	return buf_append(b, text, strlen(text));
}

int
buf_char(struct buf *b, char c)
{
	return buf_append(b, &c, 1);
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *room;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (room = buf_room(b, (size_t)n)) == NULL) {
		b->failed = true;
		return -1;
	}
	va_start(ap, fmt);
	vsnprintf(room, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void
buf_consume(struct buf *b, size_t len)
{
	if (len >= b->len) {
		b->len = 0;
		return;
	}
	b->len -= len;
	memmove(b->at, b->at + len, b->len);
}

struct slice
buf_all(const struct buf *b)
{
	return (struct slice){ b->at, b->len };
}

const char *
buf_cstr(struct buf *b)
{
	if (b->len + 1 > b->size && grow(b, b->len + 1) == -1)
		return NULL;
	b->at[b->len] = '\0';
	return b->at;
}

char *
buf_take(struct buf *b, size_t *len)
{
	char *at;

	if (buf_cstr(b) == NULL)
		return NULL;
	at = b->at;
	if (len != NULL)
		*len = b->len;
	buf_init(b, b->ceiling);
	return at;
}
