/* xtext - text inside an ESMTP parameter */
#include "smtp/proto/xtext.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static int
hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	/* RFC 3461 knows capitals only; some clients do not */
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte that `in` stands for; -1: it is not xtext. */
static int
next(struct slice *in)
{
	int c = (unsigned char)in->at[0];
	size_t used = 1;

	if (c == '+') {
		int high = in->len > 2 ? hex_of(in->at[1]) : -1;
		int low = in->len > 2 ? hex_of(in->at[2]) : -1;

		if (high < 0 || low < 0)
			return -1;
		c = high << 4 | low;
		used = 3;
	} else if (c <= 32 || c == '=') {
		return -1;
	}
	*in = slice_skip(*in, used);
	return c >= 32 && c < 127 ? c : -1;
}

int
xtext_decode(struct buf *out, struct slice in)
{
	while (in.len > 0) {
		int c = next(&in);

		if (c < 0 || buf_char(out, (char)c) == -1)
			return -1;
	}
	return 0;
}

int
xtext_encode(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c > 32 && c < 127 && c != '+' && c != '=')
			buf_char(out, (char)c);
		else
			buf_printf(out, "+%02X", c);
	}
	return out->failed ? -1 : 0;
}

bool
xtext_ok(struct slice in)
{
	while (in.len > 0)
		if (next(&in) < 0)
			return false;
	return true;
}

/* "\x{HEX}" at the front, of a character that can be seen. */
static bool
take_embedded(struct slice *s)
{
	ptrdiff_t close = slice_find(*s, '}');
	uint32_t c = 0;

	/* "\x{" and up to six digits */
	if (!slice_starts(*s, SLICE("\\x{")) || close < 5 || close > 9)
		return false;
	for (ptrdiff_t i = 3; i < close; i++) {
		int digit = hex_of(s->at[i]);

		if (digit < 0)
			return false;
		c = c << 4 | (uint32_t)digit;
	}
	*s = slice_skip(*s, (size_t)close + 1);
	return !utf8_is_hidden(c) || c == ' ';
}

/* An address of the type utf-8 (RFC 6533 3), after xtext was undone. */
static bool
utf8_address_ok(struct slice s)
{
	uint32_t c;

	while (s.len > 0) {
		size_t n = utf8_next(s, &c);

		if (n == 0 || (c != ' ' && utf8_is_hidden(c)))
			return false;
		if (c == '\\' && !take_embedded(&s))
			return false;
		if (c != '\\')
			s = slice_skip(s, n);
	}
	return true;
}

static bool
is_atom(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] <= 32 || s.at[i] == 127 || strchr("()<>@,;:\\\".[]=+", s.at[i]) != NULL)
			return false;
	return s.len > 0;
}

static bool
all_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] >= 0x80)
			return false;
	return true;
}

bool
xtext_orcpt_ok(struct slice in, bool raw)
{
	struct slice address = in, type = slice_cut(&address, ';');
	struct buf plain;
	bool ok;

	if (!is_atom(type) || address.len == 0)
		return false;
	if (!slice_eq_nocase(type, SLICE("utf-8")))
		return xtext_ok(address);
	if (!all_ascii(address))
		return raw && utf8_address_ok(address);
	buf_init(&plain, ORCPT_MAX);
	ok = xtext_decode(&plain, address) == 0 && utf8_address_ok(buf_all(&plain));
	buf_free(&plain);
	return ok;
}
