/* reply - a server's reply, as a client reads it
 *
 * Lines may end with LF alone (some servers do). The codes of all lines must be the same. Control
 * characters become
 * '?', so the text can go into a report or a log as it is. Text past the limit is dropped, a line
 * or a number of lines past the limit makes the reply bad. */
#include "smtp/proto/reply.h"

#include <stdio.h>
#include <string.h>

void
reply_init(struct reply *r)
{
	memset(r, 0, sizeof(*r));
	buf_init(&r->text, REPLY_TEXT_MAX);
	buf_init(&r->line, REPLY_LINE_MAX);
}

void
reply_free(struct reply *r)
{
	buf_free(&r->text);
	buf_free(&r->line);
}

void
reply_reset(struct reply *r)
{
	buf_reset(&r->text);
	buf_reset(&r->line);
	r->code = 0;
	r->lines = 0;
	r->enhanced[0] = '\0';
	r->fault = NULL;
}

int
reply_class(const struct reply *r)
{
	return r->code / 100;
}

static enum reply_status
bad(struct reply *r, const char *why)
{
	r->fault = why;
	return REPLY_BAD;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "C.DDD.DDD" in front of the text: its length, or 0. */
static size_t
enhanced_len(struct slice s, int class)
{
	size_t i = 1;

	if (s.len < 5 || s.at[0] != '0' + class || (class != 2 && class != 4 && class != 5))
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (i >= s.len || s.at[i++] != '.')
			return 0;
		while (i < s.len && is_digit(s.at[i]) && digits < 3)
			i++, digits++;
		if (digits == 0)
			return 0;
	}
	return i == s.len || s.at[i] == ' ' ? i : 0;
}

static void
add_text(struct reply *r, struct slice s)
{
	size_t n = enhanced_len(s, reply_class(r));

	if (n > 0) {
		if (r->lines == 1)
			slice_copy(slice_first(s, n), r->enhanced, sizeof(r->enhanced));
		s = slice_skip(s, n);
		if (s.len > 0)
			s = slice_skip(s, 1);
	}
	if (s.len + 1 > REPLY_TEXT_MAX - r->text.len)
		return;
	if (r->lines > 1)
		buf_char(&r->text, '\n');
	for (size_t i = 0; i < s.len; i++)
		buf_char(&r->text, (unsigned char)s.at[i] < 32 || s.at[i] == 127 ? '?' : s.at[i]);
}

/* A whole line, without its end. */
static enum reply_status
take_line(struct reply *r, struct slice line)
{
	int code;
	bool last;

	if (line.len < 3 || !is_digit(line.at[0]) || !is_digit(line.at[1]) || !is_digit(line.at[2]))
		return bad(r, "a line of the reply does not begin with a code");
	code = (line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 + line.at[2] - '0';
	if (code < 200 || code > 599)
		return bad(r, "the reply's code is none of SMTP");
	if (line.len > 3 && line.at[3] != ' ' && line.at[3] != '-')
		return bad(r, "a line of the reply has no blank behind its code");
	if (r->lines > 0 && code != r->code)
		return bad(r, "the lines of the reply have different codes");
	if (++r->lines > REPLY_LINES_MAX)
		return bad(r, "the reply has too many lines");
	r->code = code;
	last = line.len == 3 || line.at[3] == ' ';
	add_text(r, slice_skip(line, 4));
	return last ? REPLY_DONE : REPLY_MORE;
}

static struct slice
without_cr(struct slice s)
{
	if (s.len > 0 && s.at[s.len - 1] == '\r')
		s.len--;
	return s;
}

enum reply_status
reply_feed(struct reply *r, struct slice in, size_t *used)
{
	enum reply_status status = REPLY_MORE;

	*used = 0;
	while (status == REPLY_MORE && in.len > 0) {
		const char *lf = memchr(in.at, '\n', in.len);
		size_t n = lf != NULL ? (size_t)(lf - in.at) + 1 : in.len;

		if (r->line.len + n > REPLY_LINE_MAX)
			return bad(r, "a line of the reply is too long");
		buf_append(&r->line, in.at, n);
		if (r->line.failed)
			return bad(r, "memory is gone");
		*used += n;
		in = slice_skip(in, n);
		if (lf == NULL)
			break;
		status = take_line(r, without_cr(slice_first(buf_all(&r->line), r->line.len - 1)));
		buf_reset(&r->line);
	}
	return status;
}

bool
reply_keyword(const struct reply *r, struct slice keyword, struct slice *args)
{
	struct slice rest = buf_all(&r->text);

	slice_cut(&rest, '\n'); /* the greeting */
	while (rest.at != NULL) {
		struct slice line = slice_cut(&rest, '\n');
		struct slice word = line;

		/* "AUTH=LOGIN" is an old way to write "AUTH LOGIN" */
		for (size_t i = 0; i <= line.len; i++) {
			if (i < line.len && line.at[i] != ' ' && line.at[i] != '=')
				continue;
			word = slice_first(line, i);
			line = slice_trim(slice_skip(line, i + 1));
			break;
		}
		if (!slice_eq_nocase(word, keyword))
			continue;
		if (args != NULL)
			*args = line;
		return true;
	}
	return false;
}

void
reply_sentence(const struct reply *r, char *out, size_t size)
{
	struct slice text = buf_all(&r->text);
	int n = snprintf(out, size, "%d %s%s%.*s", r->code, r->enhanced,
	    r->enhanced[0] != '\0' ? " " : "", SLICE_ARG(text));

	for (int i = 0; i < n && (size_t)i < size; i++)
		if (out[i] == '\n')
			out[i] = ' ';
}
