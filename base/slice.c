/* slice - a piece of text or bytes that belongs to somebody else */
#include "base/slice.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct slice
slice_of(const char *text)
{
	return (struct slice){ text, text != NULL ? strlen(text) : 0 };
}

bool
slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool
slice_eq_nocase(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.at, b.at, a.len) == 0);
}

bool
slice_is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] >= 0x80)
			return false;
	return true;
}

bool
slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_eq(slice_first(s, prefix.len), prefix);
}

bool
slice_starts_nocase(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_eq_nocase(slice_first(s, prefix.len), prefix);
}

bool
slice_ends_nocase(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len && slice_eq_nocase(slice_skip(s, s.len - suffix.len), suffix);
}

struct slice
slice_skip(struct slice s, size_t n)
{
	if (n > s.len)
		n = s.len;
	return n == 0 ? s : (struct slice){ s.at + n, s.len - n };
}

struct slice
slice_first(struct slice s, size_t n)
{
	if (n < s.len)
		s.len = n;
	return s;
}

ptrdiff_t
slice_find(struct slice s, char c)
{
	const char *at = s.len > 0 ? memchr(s.at, c, s.len) : NULL;

	return at != NULL ? at - s.at : -1;
}

ptrdiff_t
slice_find_last(struct slice s, char c)
{
	const char *at = s.len > 0 ? memrchr(s.at, c, s.len) : NULL;

	return at != NULL ? at - s.at : -1;
}

struct slice
slice_cut(struct slice *rest, char c)
{
	struct slice all = *rest;
	ptrdiff_t at = slice_find(all, c);

	if (at < 0) {
		*rest = (struct slice){ NULL, 0 };
		return all;
	}
	*rest = slice_skip(all, (size_t)at + 1);
	return slice_first(all, (size_t)at);
}

bool
slice_line(struct slice *rest, struct slice *line)
{
	if (rest->len == 0)
		return false;
	*line = slice_cut(rest, '\n');
	if (line->len > 0 && line->at[line->len - 1] == '\r')
		line->len--;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice
slice_trim(struct slice s)
{
	while (s.len > 0 && is_blank(s.at[0]))
		s = slice_skip(s, 1);
	while (s.len > 0 && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

bool
slice_to_u64(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)(unsigned char)s.at[i] - '0';

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

char *
slice_dup(struct slice s)
{
	char *copy = malloc(s.len + 1);

	if (copy == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(copy, s.at, s.len);
	copy[s.len] = '\0';
	return copy;
}

bool
slice_copy(struct slice s, char *out, size_t size)
{
	size_t n = s.len < size ? s.len : size - 1;

	if (n > 0)
		memcpy(out, s.at, n);
	out[n] = '\0';
	return n == s.len;
}
