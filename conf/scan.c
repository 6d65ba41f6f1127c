/* scan - a first look at the text of a configuration file, for what libconfuse accepts in silence
 *
 * Walks over comments, strings and braces as libconfuse's scanner does and reports sections, strings and comments that are
 * never closed, with the line where they begin. It knows no option. */
#include "conf/reading.h"

#include <string.h>

#define DEPTH_MAX 16

struct scan {
	struct reading *r;
	struct slice rest;
	unsigned line;
	unsigned open[DEPTH_MAX]; /* lines of the braces that are open */
	struct slice names[DEPTH_MAX]; /* and the word before each */
	unsigned depth;
	struct slice word;	/* the last word that is no string */
};

static void
step(struct scan *s, size_t n)
{
	for (size_t i = 0; i < n && i < s->rest.len; i++)
		if (s->rest.at[i] == '\n')
			s->line++;
	s->rest = slice_skip(s->rest, n);
}

static void
to_line_end(struct scan *s)
{
	ptrdiff_t end = slice_find(s->rest, '\n');

	step(s, end == -1 ? s->rest.len : (size_t)end);
}

/* Behind a comment of the long kind; false when it never ends. */
static bool
long_comment(struct scan *s)
{
	const char *end = memmem(s->rest.at + 2, s->rest.len - 2, "*/", 2);

	if (!end) {
		problem(s->r, s->line, "this comment never ends; close it with */");
		return false;
	}
	step(s, (size_t)(end + 2 - s->rest.at));
	return true;
}

static bool
string(struct scan *s)
{
	char quote = s->rest.at[0];
	size_t i = 1;

	for (; i < s->rest.len && s->rest.at[i] != quote; i++)
		if (s->rest.at[i] == '\\')
			i++;
	if (i >= s->rest.len) {
		problem(s->r, s->line, "this text never ends; close it with %c", quote);
		return false;
	}
	step(s, i + 1);
	return true;
}

static bool
open_brace(struct scan *s)
{
	if (s->depth == DEPTH_MAX) {
		problem(s->r, s->line, "sections are nested too deep; close the outer ones first");
		return false;
	}
	s->names[s->depth] = s->word;
	s->open[s->depth++] = s->line;
	step(s, 1);
	return true;
}

static bool
close_brace(struct scan *s)
{
	if (s->depth == 0) {
		problem(s->r, s->line, "this } closes nothing; remove it");
		return false;
	}
	s->depth--;
	step(s, 1);
	return true;
}

static void
word(struct scan *s)
{
	size_t n = 0;

	while (n < s->rest.len && !memchr(" \t\r\n\"'(){}=+,#", s->rest.at[n], 15))
		n++;
	if (n > 0)
		s->word = slice_first(s->rest, n);
	step(s, n > 0 ? n : 1);
}

/* One token; false ends the scan. */
static bool
token(struct scan *s)
{
	switch (s->rest.at[0]) {
	case '#':
		to_line_end(s);
		return true;
	case '"':
	case '\'':
		return string(s);
	case '{':
		return open_brace(s);
	case '}':
		return close_brace(s);
	case '/':
		if (slice_starts(s->rest, SLICE("/*")))
			return long_comment(s);
		if (slice_starts(s->rest, SLICE("//"))) {
			to_line_end(s);
			return true;
		}
	}
	word(s);
	return true;
}

/* A byte that no text file has; the whole file is looked at, so that the parser never sees one. */
static bool
clean(struct reading *r, struct slice text)
{
	unsigned line = 1;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c == '\n')
			line++;
		if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) {
			problem(r, line, "byte 0x%02x has no place in a text file; remove it", c);
			return false;
		}
	}
	return true;
}

void
conf_scan(struct reading *r, struct slice text)
{
	struct scan s = { .r = r, .rest = text, .line = 1 };

	if (!clean(r, text))
		return;
	while (s.rest.len > 0)
		if (!token(&s))
			return;
	if (s.depth > 0) {
		struct slice name = s.names[s.depth - 1];

		problem(r, s.open[s.depth - 1], "the { of %.*s is never closed; put a } where it ends",
		    name.len ? (int)(name.len < 40 ? name.len : 40) : 12, name.len ? name.at : "this section");
	}
}
