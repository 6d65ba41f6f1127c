/* xtext - ENVID and ORCPT: the coded forms of RFC 3461 4 and RFC 6533 3, read and written
 *
 * smtpd checked the form, but what the codes hide is a stranger's choice: nothing that ends a line
 * comes out. A code that makes no sense is shown as it stands. A full buffer is marked failed, as
 * buf does. */
#include "delivery/xtext.h"

#define CODE_POINT_MAX 0x10ffff

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
put_byte(struct buf *out, unsigned char c, bool utf8)
{
	if (c < 0x20 || c == 0x7f)
		buf_char(out, ' ');
	else
		buf_char(out, c >= 0x80 && !utf8 ? '?' : (char)c);
}

static void
show(struct buf *out, struct slice s, bool utf8)
{
	while (s.len > 0) {
		int high = s.len >= 3 ? hex(s.at[1]) : -1, low = s.len >= 3 ? hex(s.at[2]) : -1;
		bool coded = s.at[0] == '+' && high >= 0 && low >= 0;

		put_byte(
		    out, coded ? (unsigned char)(high * 16 + low) : (unsigned char)s.at[0], utf8);
		s = slice_skip(s, coded ? 3 : 1);
	}
}

void
xtext_show(struct buf *out, struct slice xtext)
{
	show(out, xtext, false);
}

/* -- characters past ASCII */

static void
put_utf8(struct buf *out, uint32_t c)
{
	if (c <
	    0xa0) { /* the controls behind ASCII end no line, but may move a terminal's cursor */
		put_byte(out, c < 0x80 ? (unsigned char)c : ' ', true);
		return;
	}
	if (c < 0x800) {
		buf_char(out, (char)(0xc0 | c >> 6));
	} else if (c < 0x10000) {
		buf_char(out, (char)(0xe0 | c >> 12));
		buf_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
	} else {
		buf_char(out, (char)(0xf0 | c >> 18));
		buf_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_char(out, (char)(0x80 | (c & 0x3f)));
}

/* "\x{HEX}" at the front: its character and length; 0: it is none. */
static size_t
read_code(struct slice s, uint32_t *c)
{
	size_t n = 3;

	if (!slice_starts_nocase(s, SLICE("\\x{")))
		return 0;
	for (*c = 0; n < s.len && n < 9 && hex(s.at[n]) >= 0; n++)
		*c = *c * 16 + (uint32_t)hex(s.at[n]);
	if (n == 3 || n >= s.len || s.at[n] != '}' || *c > CODE_POINT_MAX ||
	    (*c >= 0xd800 && *c <= 0xdfff))
		return 0;
	return n + 1;
}

/* The UTF-8 character at the front and its bytes; 0: it is not well formed. */
static size_t
read_utf8(struct slice s, uint32_t *c)
{
	const unsigned char *p = (const unsigned char *)s.at;
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

	if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < n)
		return 0;
	*c = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	return n;
}

static void
show_unicode(struct buf *out, struct slice s)
{
	while (s.len > 0) {
		uint32_t c;
		size_t n = read_code(s, &c);

		if (n == 0 && (unsigned char)s.at[0] >= 0x80)
			n = read_utf8(s, &c);
		if (n > 0)
			put_utf8(out, c);
		else
			put_byte(out, (unsigned char)s.at[0], false);
		s = slice_skip(s, n > 0 ? n : 1);
	}
}

static void
put_ascii(struct buf *out, struct slice s)
{
	while (s.len > 0) {
		uint32_t c = '?';
		size_t n = (unsigned char)s.at[0] >= 0x80 ? read_utf8(s, &c) : 0;

		if (n > 0)
			buf_printf(out, "\\x{%X}", (unsigned)c);
		else
			put_byte(out, (unsigned char)s.at[0], false);
		s = slice_skip(s, n > 0 ? n : 1);
	}
}

/* -- ORCPT */

void
orcpt_show(struct buf *out, const char *orcpt, bool utf8)
{
	struct slice rest = slice_of(orcpt), type = slice_cut(&rest, ';');

	show(out, type, false);
	buf_char(out, ';');
	if (!slice_eq_nocase(type, SLICE("utf-8")))
		show(out, rest, utf8);
	else if (utf8)
		show_unicode(out, rest);
	else
		put_ascii(out, rest);
}

void
orcpt_ascii(struct buf *out, const char *orcpt)
{
	put_ascii(out, slice_of(orcpt));
}
