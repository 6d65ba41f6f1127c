/* seven_code - quoted-printable and base64 (RFC 2045 6.7, 6.8), piece by piece
 *
 * What is made survives the worst transports of RFC 2049 3: no blank at the end of a line, no dot
 * and no "From " at its start. Decoding gives back each byte; when the message ends within a line,
 * that line is ended in a way that decodes to nothing. */
#include <string.h>

#include "base/base64.h"
#include "base/seven_inner.h"

#define QUOTED_MAX 76u /* characters of a line, a soft line break included */
#define ROW 57         /* bytes of a line of base64 */

static bool
at_line_end(struct slice s)
{
	return s.len >= 2 && s.at[0] == '\r' && s.at[1] == '\n';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

/* May the first byte stand for itself? */
static bool
is_literal(const struct coder *c)
{
	struct slice s = c->rest;

	if (c->column == 0 && (s.at[0] == '.' || slice_starts(s, SLICE("From "))))
		return false;
	if (is_blank(s.at[0]) && c->code == CODE_QUOTED_MEND)
		return true; /* readers keep or drop those at a line's end as before */
	if (is_blank(s.at[0]))
		return s.len > 1 && !at_line_end(slice_skip(s, 1));
	return s.at[0] > ' ' && s.at[0] < 127 && s.at[0] != '=';
}

/* How many blanks stand at the front of `s` before a line end or the end; 0: other bytes follow. A
 * run is looked at once. */
static size_t
trailing_blanks(struct coder *c, struct slice s)
{
	size_t n = 0;

	if (c->blanks_end == NULL || s.at >= c->blanks_end) {
		while (n < s.len && is_blank(s.at[n]))
			n++;
		c->blanks_end = s.at + n;
		c->blanks_trail = n == s.len || at_line_end(slice_skip(s, n));
	}
	return c->blanks_trail ? (size_t)(c->blanks_end - s.at) : 0;
}

/* Room for `n` more characters in this line, or a new line. */
static void
make_room(struct coder *c, size_t n, struct slice behind, struct buf *out)
{
	bool last = (behind.len == 0 && !c->ends) || at_line_end(behind);

	if (c->column + n <= (last ? QUOTED_MAX : QUOTED_MAX - 1))
		return;
	buf_text(out, "=\r\n");
	c->column = 0;
}

static void
quoted_byte(struct coder *c, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char b = (unsigned char)c->rest.at[0];
	size_t n;

	make_room(c, is_literal(c) ? 1 : 3, slice_skip(c->rest, 1), out);
	/* a new line may have begun */
	n = is_literal(c) ? 1 : 3;
	if (n == 1) {
		buf_char(out, (char)b);
	} else {
		buf_char(out, '=');
		buf_char(out, hex[b >> 4]);
		buf_char(out, hex[b & 15]);
	}
	c->column += (unsigned)n;
	c->rest = slice_skip(c->rest, 1);
}

/* "=" in what is quoted already: a byte, a soft line break, or nothing that means something. */
static void
mend_quoted(struct coder *c, struct buf *out)
{
	struct slice behind = slice_skip(c->rest, 1);
	size_t blanks = trailing_blanks(c, behind);

	if (at_line_end(slice_skip(behind, blanks))) {
		buf_text(out, "=\r\n");
		c->column = 0;
		c->rest = slice_skip(behind, blanks + 2);
	} else if (behind.len > 1 && is_hex(behind.at[0]) && is_hex(behind.at[1])) {
		make_room(c, 3, slice_skip(behind, 2), out);
		buf_append(out, c->rest.at, 3);
		c->column += 3;
		c->rest = slice_skip(behind, 2);
	} else {
		quoted_byte(c, out);
	}
}

static void
quoted_step(struct coder *c, struct buf *out)
{
	if (at_line_end(c->rest)) {
		buf_text(out, "\r\n");
		c->column = 0;
		c->rest = slice_skip(c->rest, 2);
	} else if (c->code == CODE_QUOTED_MEND && c->rest.at[0] == '=') {
		mend_quoted(c, out);
	} else {
		quoted_byte(c, out);
	}
}

static bool
quoted(struct coder *c, struct buf *out)
{
	while (c->rest.len > 0 && out->len < SEVEN_PIECE)
		quoted_step(c, out);
	if (c->rest.len > 0)
		return true;
	if (c->ends && c->column > 0)
		buf_text(out, "=\r\n");
	return false;
}

static bool
base64(struct coder *c, struct buf *out)
{
	while (c->rest.len > 0 && out->len < SEVEN_PIECE) {
		struct slice row = slice_first(c->rest, ROW);

		if (c->begun)
			buf_text(out, "\r\n");
		c->begun = true;
		base64_encode(out, row);
		c->rest = slice_skip(c->rest, row.len);
	}
	if (c->rest.len > 0)
		return true;
	if (c->ends && c->begun)
		buf_text(out, "\r\n");
	return false;
}

/* What is no base64 is passed over by readers, so it may as well be left out. */
static bool
base64_mend(struct coder *c, struct buf *out)
{
	while (c->rest.len > 0 && out->len < SEVEN_PIECE) {
		char b = c->rest.at[0];

		c->rest = slice_skip(c->rest, 1);
		if (b != '=' && !base64_is_digit(b))
			continue;
		if (c->column == QUOTED_MAX) {
			buf_text(out, "\r\n");
			c->column = 0;
		}
		buf_char(out, b);
		c->column++;
	}
	if (c->rest.len > 0)
		return true;
	if (c->ends && c->column > 0)
		buf_text(out, "\r\n");
	return false;
}

bool
seven_code(struct coder *c, struct buf *out)
{
	if (c->ended)
		return false;
	switch (c->code) {
	case CODE_BASE64:
		c->ended = !base64(c, out);
		break;
	case CODE_BASE64_MEND:
		c->ended = !base64_mend(c, out);
		break;
	case CODE_QUOTED:
	case CODE_QUOTED_MEND:
		c->ended = !quoted(c, out);
		break;
	}
	return true;
}
