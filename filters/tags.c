/* tags - reading tag=value lists
 *
 * Strict, as the grammar is: only the last semicolon may have nothing behind it. */
#include "filters/tags.h"

#include <ctype.h>
#include <string.h>

#include "base/base64.h"

static bool
is_name(struct slice name)
{
	if (name.len == 0 || !isalpha((unsigned char)name.at[0]))
		return false;
	for (size_t i = 1; i < name.len; i++)
		if (!isalnum((unsigned char)name.at[i]) && name.at[i] != '_')
			return false;
	return true;
}

static bool
is_value(struct slice value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];

		/* bytes past ASCII: RFC 8616 3 */
		if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 127)
			return false;
	}
	return true;
}

struct slice
tags_get(const struct tags *tags, const char *name)
{
	for (size_t i = 0; i < tags->n; i++)
		if (slice_eq(tags->at[i].name, slice_of(name)))
			return tags->at[i].value;
	return (struct slice){ NULL, 0 };
}

bool
tags_have(const struct tags *tags, const char *name)
{
	return tags_get(tags, name).at != NULL;
}

static bool
is_there(const struct tags *tags, struct slice name)
{
	for (size_t i = 0; i < tags->n; i++)
		if (slice_eq(tags->at[i].name, name))
			return true;
	return false;
}

bool
tags_read(struct slice text, struct tags *out)
{
	out->n = 0;
	text = slice_trim(text);
	while (text.len > 0) {
		struct slice pair = slice_cut(&text, ';'), name;

		if (slice_find(pair, '=') == -1)
			return false;
		name = slice_trim(slice_cut(&pair, '='));
		if (pair.at == NULL || out->n == TAGS_MAX || !is_name(name) || !is_value(pair) ||
		    is_there(out, name))
			return false;
		out->at[out->n].name = name;
		out->at[out->n++].value = slice_trim(pair);
	}
	return out->n > 0;
}

ptrdiff_t
tags_base64(struct slice text, unsigned char *out, size_t size)
{
	struct buf digits, bytes;
	ptrdiff_t n = -1;

	/* without the blanks, and with the padding that some leave out */
	buf_init(&digits, size / 3 * 4 + 8);
	buf_init(&bytes, size);
	for (size_t i = 0; i < text.len && !digits.failed; i++)
		if (!isspace((unsigned char)text.at[i]))
			buf_char(&digits, text.at[i]);
	while (digits.len % 4 != 0 && !digits.failed)
		buf_char(&digits, '=');
	if (!digits.failed && digits.len > 0 && base64_decode(&bytes, buf_all(&digits)) == 0) {
		memcpy(out, bytes.at, bytes.len);
		n = (ptrdiff_t)bytes.len;
	}
	buf_free(&digits);
	buf_free(&bytes);
	return n;
}
