/* utf8 - one character at a time */
#include "base/utf8.h"

size_t
utf8_next(struct slice s, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = s.len > 0 ? (unsigned char)s.at[0] : 0xff;
	size_t len = first < 0x80                    ? 1
		     : first >= 0xc2 && first < 0xe0 ? 2
		     : (first & 0xf0) == 0xe0        ? 3
		     : first >= 0xf0 && first < 0xf5 ? 4
						     : 0;

	if (len == 0 || len > s.len)
		return 0;
	*c = len == 1 ? first : first & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (((unsigned char)s.at[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | ((unsigned char)s.at[i] & 0x3f);
	}
	if (len > 1 && (*c < least[len] || (*c >= 0xd800 && *c < 0xe000) || *c > 0x10ffff))
		return 0;
	return len;
}

bool
utf8_ok(struct slice s)
{
	uint32_t c;

	while (s.len > 0) {
		size_t n = utf8_next(s, &c);

		if (n == 0)
			return false;
		s = slice_skip(s, n);
	}
	return true;
}

bool
utf8_is_hidden(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} rows[] = {
		{ 0x0000, 0x001f }, /* C0 */
		{ 0x007f, 0x00a0 }, /* DEL, C1, no-break space */
		{ 0x00ad, 0x00ad }, /* soft hyphen */
		{ 0x034f, 0x034f }, /* grapheme joiner */
		{ 0x061c, 0x061c }, /* Arabic letter mark */
		{ 0x115f, 0x1160 }, /* Hangul fillers */
		{ 0x1680, 0x1680 }, /* Ogham space */
		{ 0x17b4, 0x17b5 }, /* Khmer inherent vowels */
		{ 0x180b, 0x180f }, /* Mongolian selectors */
		{ 0x2000,
		    0x200b }, /* spaces; U+200C and U+200D are letters' business in some scripts */
		{ 0x200e, 0x200f },   /* marks of direction */
		{ 0x2028, 0x202f },   /* line ends, embedding */
		{ 0x205f, 0x206f },   /* invisible operators, isolates */
		{ 0x2800, 0x2800 },   /* empty Braille */
		{ 0x3000, 0x3000 },   /* ideographic space */
		{ 0x3164, 0x3164 },   /* Hangul filler */
		{ 0xd800, 0xdfff },   /* surrogates */
		{ 0xfdd0, 0xfdef },   /* no characters */
		{ 0xfe00, 0xfe0f },   /* variation selectors */
		{ 0xfeff, 0xfeff },   /* byte order mark */
		{ 0xffa0, 0xffa0 },   /* Hangul filler */
		{ 0xfff0, 0xffff },   /* specials */
		{ 0x1bca0, 0x1bca3 }, /* shorthand controls */
		{ 0x1d173, 0x1d17a }, /* musical controls */
		{ 0xe0000, 0xe0fff }, /* tags, more selectors */
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		if (c >= rows[i].first && c <= rows[i].last)
			return true;
	return (c & 0xfffe) == 0xfffe || c > 0x10ffff;
}
