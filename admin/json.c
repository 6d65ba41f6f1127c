/* json - writes one JSON document (RFC 8259), indented, always valid UTF-8 */
#include "admin/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void
json_init(struct json *j, struct buf *out)
{
	memset(j, 0, sizeof(*j));
	j->out = out;
}

static void
new_line(struct json *j)
{
	buf_char(j->out, '\n');
	for (unsigned i = 0; i < j->depth; i++)
		buf_text(j->out, "  ");
}

/* What stands before a value or a key: comma and line, or nothing behind a key. */
static void
item(struct json *j)
{
	if (j->keyed) {
		j->keyed = false;
		return;
	}
	if (j->filled[j->depth])
		buf_char(j->out, ',');
	if (j->depth > 0)
		new_line(j);
	j->filled[j->depth] = true;
}

void
json_open(struct json *j, char bracket)
{
	item(j);
	buf_char(j->out, bracket);
	assert(j->depth + 1 < JSON_DEPTH_MAX);
	j->filled[++j->depth] = false;
}

void
json_close(struct json *j, char bracket)
{
	bool filled = j->filled[j->depth];

	assert(j->depth > 0);
	j->depth--;
	if (filled)
		new_line(j);
	buf_char(j->out, bracket);
	if (j->depth == 0)
		buf_char(j->out, '\n');
}

static void
quoted(struct buf *out, struct slice s)
{
	buf_char(out, '"');
	while (s.len > 0) {
		uint32_t c = 0;
		size_t len = utf8_next(s, &c);

		if (len == 0)
			buf_text(out, "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", (char)c);
		else if (c == '\n')
			buf_text(out, "\\n");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\u%04x", (unsigned)c);
		else
			buf_append(out, s.at, len);
		s = slice_skip(s, len > 0 ? len : 1);
	}
	buf_char(out, '"');
}

void
json_key(struct json *j, const char *key)
{
	item(j);
	quoted(j->out, slice_of(key));
	buf_text(j->out, ": ");
	j->keyed = true;
}

void
json_text(struct json *j, const char *text)
{
	item(j);
	quoted(j->out, slice_of(text));
}

void
json_number(struct json *j, int64_t n)
{
	item(j);
	buf_printf(j->out, "%" PRId64, n);
}

void
json_milli(struct json *j, int64_t n)
{
	int64_t whole = n / 1000, rest = llabs(n % 1000);

	item(j);
	if (n < 0 && whole == 0)
		buf_char(j->out, '-');
	buf_printf(j->out, "%" PRId64, whole);
	if (rest != 0) {
		buf_printf(j->out, ".%03" PRId64, rest);
		while (j->out->len > 0 && j->out->at[j->out->len - 1] == '0')
			j->out->len--;
	}
}

void
json_bool(struct json *j, bool yes)
{
	item(j);
	buf_text(j->out, yes ? "true" : "false");
}

void
json_null(struct json *j)
{
	item(j);
	buf_text(j->out, "null");
}

void
json_pair(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	json_text(j, text);
}
