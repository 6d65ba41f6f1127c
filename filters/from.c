/* from - the domain in a From field
 *
 * The value is cut at the commas that stand outside of quotes, comments and angle brackets. A piece
 * without an address ("Shop, Inc. <a@b.example>" begins with one) belongs to the name behind it. In
 * a piece the address is what stands in <>, or all that is no comment; then nothing else in it may
 * look like an address, unless it is the same one once more. Quoted strings hold no address; one
 * stands for its content as a single letter.
 *
 * Bounds: a piece has at most PIECE_MAX bytes, comments nest up to DEPTH_MAX; more is unreadable. */
#include "filters/from.h"

#include <string.h>

#include "base/buf.h"
#include "storage/address.h"

#define PIECE_MAX 4096
#define DEPTH_MAX 32

struct piece {
	struct buf name, angle; /* outside and inside of <> */
	bool has_angle;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_control(char c)
{
	return ((unsigned char)c < ' ' && !is_blank(c)) || c == 127;
}

/* Skip a quoted string (depth stays 1) or a comment; false when it does not end. */
static bool
skip_marked(struct slice *rest, char open, char close)
{
	unsigned depth = 1;

	*rest = slice_skip(*rest, 1);
	while (rest->len > 0 && rest->at[0] != '\0') {
		char c = rest->at[0];

		*rest = slice_skip(*rest, c == '\\' ? 2 : 1);
		if (c == close && --depth == 0)
			return true;
		if (c == open && ++depth > DEPTH_MAX)
			return false;
	}
	return false;
}

static bool
take_quoted(struct slice *rest, struct buf *to)
{
	return skip_marked(rest, '\0', '"') && buf_char(to, 'q') == 0;
}

/* <...> with its brackets. */
static bool
take_angle(struct slice *rest, struct piece *p)
{
	if (p->has_angle)
		return false;
	p->has_angle = true;
	*rest = slice_skip(*rest, 1);
	while (rest->len > 0 && rest->at[0] != '>') {
		char c = rest->at[0];

		if (c == '"') {
			if (!take_quoted(rest, &p->angle))
				return false;
			continue;
		}
		if (strchr("<(),;:\\", c) != NULL || is_control(c) || buf_char(&p->angle, c) == -1)
			return false;
		*rest = slice_skip(*rest, 1);
	}
	if (rest->len == 0)
		return false;
	*rest = slice_skip(*rest, 1);
	return true;
}

static bool
take_part(struct slice *rest, struct piece *p)
{
	char c = rest->at[0];

	if (c == '(')
		return skip_marked(rest, '(', ')');
	if (c == '<')
		return take_angle(rest, p);
	/* behind the address nothing but blanks and comments */
	if (p->has_angle && !is_blank(c))
		return false;
	if (c == '"')
		return take_quoted(rest, &p->name);
	if (strchr(")>:;\\", c) != NULL || is_control(c) || buf_char(&p->name, c) == -1)
		return false;
	*rest = slice_skip(*rest, 1);
	return true;
}

/* "local@domain", nothing else: its domain as DNS knows it. */
static enum from_status
read_address(struct slice text, char out[static FROM_DOMAIN_SIZE])
{
	ptrdiff_t at = slice_find(text, '@');
	struct slice domain = slice_skip(text, (size_t)at + 1);

	if (at < 1 || slice_find(domain, '@') != -1)
		return FROM_UNREADABLE;
	for (size_t i = 0; i < text.len; i++)
		if (is_blank(text.at[i]))
			return FROM_UNREADABLE;
	if (domain.len == 0 || domain.at[0] == '[' || domain_read(domain, out, NULL) == -1)
		return FROM_NO_DOMAIN;
	return FROM_OK;
}

/* What a piece that was read to its end holds. FROM_NONE: a name without an address. */
static enum from_status
judge_piece(const struct piece *p, char out[static FROM_DOMAIN_SIZE])
{
	struct slice name = slice_trim(buf_all(&p->name)), angle = slice_trim(buf_all(&p->angle));
	bool name_has_at = slice_find(name, '@') != -1;

	if (!p->has_angle)
		return name_has_at ? read_address(name, out) : FROM_NONE;
	if (angle.len == 0 || (name_has_at && !slice_eq_nocase(name, angle)))
		return FROM_UNREADABLE;
	return read_address(angle, out);
}

/* Read up to the next comma, or the end. *empty: nothing was there. */
static enum from_status
read_piece(struct slice *rest, char out[static FROM_DOMAIN_SIZE], bool *empty, bool *in_angle)
{
	enum from_status status = FROM_UNREADABLE;
	struct piece p = { .has_angle = false };
	bool fine = true;

	buf_init(&p.name, PIECE_MAX);
	buf_init(&p.angle, PIECE_MAX);
	while (fine && rest->len > 0 && rest->at[0] != ',')
		fine = take_part(rest, &p);
	if (fine)
		status = judge_piece(&p, out);
	*empty = !p.has_angle && slice_trim(buf_all(&p.name)).len == 0;
	*in_angle = p.has_angle;
	buf_free(&p.name);
	buf_free(&p.angle);
	return status;
}

enum from_status
from_domain(struct slice value, char out[static FROM_DOMAIN_SIZE])
{
	bool name_before = false, found = false, empty, in_angle;
	char domain[FROM_DOMAIN_SIZE];

	for (;;) {
		enum from_status status = read_piece(&value, domain, &empty, &in_angle);

		if (status == FROM_NONE) {
			name_before = name_before || !empty;
		} else if (status != FROM_OK) {
			return status;
		} else if (found) {
			return FROM_SEVERAL;
		} else if (name_before && !in_angle) {
			return FROM_UNREADABLE;
		} else {
			found = true;
			name_before = false;
			memcpy(out, domain, sizeof(domain));
		}
		if (value.len == 0)
			break;
		value = slice_skip(value, 1); /* the comma */
	}
	if (name_before && found)
		return FROM_UNREADABLE;
	return found ? FROM_OK : FROM_NONE;
}
