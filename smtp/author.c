/* author - who wrote a message by its own words
 *
 * A mailbox is `name <address>` or an address alone; names are words, quoted strings and comments.
 * Groups, routes, and a second address-like text outside of quotes are refused; only that a name is
 * the address once more (`a@b.example <a@b.example>`), which many programs write, is let through. The
 * addresses themselves are read by path.c, as in MAIL FROM. */
#include "smtp/author.h"

#include <string.h>

#include "base/buf.h"
#include "smtp/proto/path.h"

#define TEXT_MAX 1024
#define DEPTH_MAX 32 /* comments in comments */

struct mailbox {
	struct buf plain; /* what stands outside of <> and comments, blanks as one */
	struct buf angle;
	bool has_angle;
	bool has_at; /* an @ outside of <> and quotes */
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Skip a comment; false when it does not end. */
static bool
skip_comment(struct slice *rest)
{
	unsigned depth = 0;

	while (rest->len > 0) {
		char c = rest->at[0];

		*rest = slice_skip(*rest, c == '\\' ? 2 : 1);
		if (c == '(' && ++depth > DEPTH_MAX)
			return false;
		if (c == ')' && --depth == 0)
			return true;
	}
	return false;
}

/* Copy a quoted string or a [literal], with its marks; false when it does not end. */
static bool
take_until(struct slice *rest, char end, struct buf *to)
{
	size_t n = 1;

	while (n < rest->len && rest->at[n] != end)
		n += rest->at[n] == '\\' ? 2 : 1;
	if (n >= rest->len)
		return false;
	buf_slice(to, slice_first(*rest, n + 1));
	*rest = slice_skip(*rest, n + 1);
	return true;
}

/* The inside of <...>, up to and with the '>'. */
static bool
take_angle(struct slice *rest, struct mailbox *m)
{
	if (m->has_angle)
		return false;
	m->has_angle = true;
	*rest = slice_skip(*rest, 1);
	while (rest->len > 0 && rest->at[0] != '>') {
		char c = rest->at[0];

		if (c == '"' || c == '[') {
			if (!take_until(rest, c == '"' ? '"' : ']', &m->angle))
				return false;
			continue;
		}
		if (strchr("<(),;\\]", c) != NULL || (unsigned char)c < 9)
			return false;
		buf_char(&m->angle, c);
		*rest = slice_skip(*rest, 1);
	}
	if (rest->len == 0)
		return false;
	*rest = slice_skip(*rest, 1);
	return true;
}

/* One piece that is not in <>. */
static bool
take_piece(struct slice *rest, struct mailbox *m)
{
	char c = rest->at[0];

	if (c == '(')
		return skip_comment(rest);
	if (c == '<')
		return take_angle(rest, m);
	if (is_blank(c)) {
		if (m->plain.len > 0 && m->plain.at[m->plain.len - 1] != ' ')
			buf_char(&m->plain, ' ');
		*rest = slice_skip(*rest, 1);
		return true;
	}
	if (m->has_angle) /* nothing but blanks and comments behind the address */
		return false;
	if (c == '"' || (c == '[' && m->has_at))
		return take_until(rest, c == '"' ? '"' : ']', &m->plain);
	if (strchr(")>[]:;\\", c) != NULL || (unsigned char)c < ' ' || c == 127)
		return false;
	m->has_at |= c == '@';
	buf_char(&m->plain, c);
	*rest = slice_skip(*rest, 1);
	return true;
}

/* "local@domain" as it is written, checked. NULL: it is none. */
static const char *
address_of(struct mailbox *m, struct pool *pool, enum authors_status *status)
{
	struct slice plain = slice_trim(buf_all(&m->plain)),
		     text = m->has_angle ? slice_trim(buf_all(&m->angle)) : plain, rest;
	char bracketed[TEXT_MAX + 2];
	const char *address;
	struct path path;

	*status = AUTHORS_UNREADABLE;
	if (m->plain.failed || m->angle.failed || text.len == 0 || text.at[0] == '@' ||
	    text.len > TEXT_MAX)
		return NULL;
	if (m->has_angle && m->has_at && !slice_eq_nocase(plain, text))
		return NULL;
	bracketed[0] = '<';
	memcpy(bracketed + 1, text.at, text.len);
	bracketed[text.len + 1] = '>';
	rest = (struct slice){ bracketed, text.len + 2 };
	if (path_read(&rest, &path) != PATH_OK || rest.len > 0 || path_domain(&path).len == 0)
		return NULL;
	address = pool_text(pool, slice_of(path.text));
	*status = address != NULL ? AUTHORS_OK : AUTHORS_NO_MEMORY;
	return address;
}

static enum authors_status
take_mailbox(struct slice *rest, struct pool *pool, struct authors *out)
{
	struct mailbox m = { .has_at = false };
	enum authors_status status = AUTHORS_UNREADABLE;
	bool fine = true;

	buf_init(&m.plain, TEXT_MAX);
	buf_init(&m.angle, TEXT_MAX);
	while (fine && rest->len > 0 && rest->at[0] != ',')
		fine = take_piece(rest, &m);
	if (fine && out->n == AUTHORS_MAX)
		status = AUTHORS_TOO_MANY;
	else if (fine)
		out->at[out->n] = address_of(&m, pool, &status);
	if (status == AUTHORS_OK)
		out->n++;
	buf_free(&m.plain);
	buf_free(&m.angle);
	return status;
}

enum authors_status
authors_read(struct slice value, struct pool *pool, struct authors *out)
{
	enum authors_status status;

	out->n = 0;
	for (;;) {
		status = take_mailbox(&value, pool, out);
		if (status != AUTHORS_OK || value.len == 0)
			return status;
		value = slice_skip(value, 1); /* the comma */
	}
}
