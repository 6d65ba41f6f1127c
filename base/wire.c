/* wire - fields of a frame between processes */
#include "base/wire.h"

#include <endian.h>
#include <string.h>

void
wire_init(struct wire *w, struct slice fields)
{
	*w = (struct wire){ fields.at, fields.at + fields.len, false };
	if (fields.len == 0)
		w->at = w->end = "";
}

struct slice
wire_bytes(struct wire *w)
{
	uint32_t len;
	struct slice s = { "", 0 };

	if (w->failed || w->end - w->at < 4) {
		w->failed = true;
		return s;
	}
	memcpy(&len, w->at, 4);
	len = le32toh(len);
	if (len > (size_t)(w->end - w->at - 4)) {
		w->failed = true;
		return s;
	}
	s = (struct slice){ w->at + 4, len };
	w->at += 4 + len;
	return s;
}

uint64_t
wire_u64(struct wire *w)
{
	struct slice s = wire_bytes(w);
	uint64_t v;

	if (s.len != 8) {
		w->failed = true;
		return 0;
	}
	memcpy(&v, s.at, 8);
	return le64toh(v);
}

int64_t
wire_i64(struct wire *w)
{
	return (int64_t)wire_u64(w);
}

const char *
wire_text(struct wire *w, struct pool *pool)
{
	struct slice s = wire_bytes(w);
	const char *text;

	if (slice_find(s, '\0') >= 0 || (text = pool_text(pool, s)) == NULL) {
		w->failed = true;
		return "";
	}
	return text;
}

void
wire_text_to(struct wire *w, char *out, size_t size)
{
	struct slice s = wire_bytes(w);

	if (s.len >= size || slice_find(s, '\0') >= 0) {
		w->failed = true;
		s.len = 0;
	}
	slice_copy(s, out, size);
}

bool
wire_more(const struct wire *w)
{
	return !w->failed && w->at < w->end;
}

int
wire_end(const struct wire *w)
{
	return w->failed || w->at != w->end ? -1 : 0;
}

void
wire_put_bytes(struct buf *b, struct slice s)
{
	uint32_t len = htole32((uint32_t)s.len);
	char *room = s.len > UINT32_MAX - 4 ? NULL : buf_room(b, 4 + s.len);

	if (room == NULL) {
		b->failed = true;
		return;
	}
	memcpy(room, &len, 4);
	if (s.len > 0)
		memcpy(room + 4, s.at, s.len);
	buf_wrote(b, 4 + s.len);
}

void
wire_put_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	wire_put_bytes(b, (struct slice){ (const char *)&v, 8 });
}

void
wire_put_i64(struct buf *b, int64_t v)
{
	wire_put_u64(b, (uint64_t)v);
}

void
wire_put_text(struct buf *b, const char *text)
{
	wire_put_bytes(b, slice_of(text));
}
