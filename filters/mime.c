/* mime - reads a message: header fields, then line by line, a stack of boundaries telling where
 * parts begin
 *
 * A part's header may be broken off by a boundary line; a boundary of an outer part closes all
 * inner ones. message/rfc822 is read as a part of its own. What lies deeper than the ceilings is
 * passed over and told as `cut`. */
#include "filters/mime.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PIECE_MAX 8192

static bool
is_name_char(char c)
{
	return c > ' ' && c < 127 && c != ':';
}

/* The whole next line, with its line end. */
static struct slice
whole_line(struct slice rest)
{
	ptrdiff_t lf = slice_find(rest, '\n');

	return slice_first(rest, lf == -1 ? rest.len : (size_t)lf + 1);
}

static struct slice
without_line_end(struct slice line)
{
	if (line.len > 0 && line.at[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
mime_field_next(struct slice *rest, struct mime_field *f)
{
	struct slice line = whole_line(*rest), text = without_line_end(line);
	size_t n = line.len, name = 0;

	if (text.len == 0) {
		*rest = slice_skip(*rest, line.len);
		return false;
	}
	while (n < rest->len && is_blank(rest->at[n]))
		n += whole_line(slice_skip(*rest, n)).len;
	f->whole = slice_first(*rest, n);
	*rest = slice_skip(*rest, n);
	text = without_line_end(f->whole);
	while (name < text.len && is_name_char(text.at[name]))
		name++;
	f->name = slice_first(text, name);
	/* blanks before the colon, even on a line of their own: some readers take them */
	while (name < text.len && strchr(" \t\r\n", text.at[name]) != NULL)
		name++;
	if (name == text.len || text.at[name] != ':' || f->name.len == 0) {
		f->name.len = 0;
		f->value = text;
	} else {
		f->value = slice_skip(text, name + 1);
	}
	return true;
}

void
mime_unfold(struct slice value, struct buf *out)
{
	value = slice_trim(value);
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] != '\r' && value.at[i] != '\n')
			buf_char(out, value.at[i] == '\t' ? ' ' : value.at[i]);
}

/* -- decoding */

static int
base64_value(char c)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return -1;
}

struct base64 {
	unsigned bits, n;
};

static void
base64_more(struct base64 *state, struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		int v = base64_value(in.at[i]);

		if (in.at[i] == '=')
			state->n = 0;
		if (v == -1)
			continue;
		state->bits = state->bits << 6 | (unsigned)v;
		state->n += 6;
		if (state->n >= 8) {
			state->n -= 8;
			buf_char(out, (char)(state->bits >> state->n));
		}
	}
}

/* `under`: '_' stands for a blank (encoded words). */
static void
quoted_more(struct slice in, bool under, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		int high = -1, low = -1;

		if (in.at[i] == '=' && i + 2 < in.len) {
			high = hex_value(in.at[i + 1]);
			low = hex_value(in.at[i + 2]);
		}
		if (high != -1 && low != -1) {
			buf_char(out, (char)(high << 4 | low));
			i += 2;
		} else {
			buf_char(out, under && in.at[i] == '_' ? ' ' : in.at[i]);
		}
	}
}

/* "=?charset?B?...?=" at the front of `in`: decode it and say how long it is; 0: it is none. */
static size_t
encoded_word(struct slice in, struct buf *out)
{
	struct slice rest = slice_skip(in, 2), charset, how, text;

	if (!slice_starts(in, SLICE("=?")))
		return 0;
	charset = slice_cut(&rest, '?');
	how = slice_cut(&rest, '?');
	text = slice_cut(&rest, '?');
	if (charset.len == 0 || charset.len > 60 || how.len != 1 || rest.at == NULL ||
	    rest.len == 0 || rest.at[0] != '=')
		return 0;
	if ((how.at[0] | 32) == 'b')
		base64_more(&(struct base64){ 0 }, text, out);
	else if ((how.at[0] | 32) == 'q')
		quoted_more(text, true, out);
	else
		return 0;
	return (size_t)(rest.at + 1 - in.at);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void
mime_decode_words(struct slice value, struct buf *out)
{
	bool after_word = false;
	struct buf word;

	buf_init(&word, 4096);
	value = slice_trim(value);
	while (value.len > 0) {
		size_t blanks = 0, n;

		while (blanks < value.len && is_space(value.at[blanks]))
			blanks++;
		value = slice_skip(value, blanks);
		buf_reset(&word);
		n = encoded_word(value, &word);
		/* blanks between two encoded words are not part of the text */
		if (blanks > 0 && !(n > 0 && after_word))
			buf_char(out, ' ');
		after_word = n > 0;
		if (n > 0) {
			buf_slice(out, buf_all(&word));
		} else {
			for (n = 1; n < value.len && !is_space(value.at[n]) && value.at[n] != '=';)
				n++;
			buf_slice(out, slice_first(value, n));
		}
		value = slice_skip(value, n);
	}
	buf_free(&word);
}

/* -- parameters */

/* One "name=value" of the list; the value without its quotes into out. */
static bool
param_next(struct slice *rest, struct slice *name, char *out, size_t size)
{
	size_t i = 0, n = 0;

	*rest = slice_trim(*rest);
	while (i < rest->len && rest->at[i] != '=' && rest->at[i] != ';')
		i++;
	*name = slice_trim(slice_first(*rest, i));
	if (i < rest->len && rest->at[i] == '=')
		i++;
	while (i < rest->len && is_space(rest->at[i]))
		i++;
	if (i < rest->len && rest->at[i] == '"') {
		for (i++; i < rest->len && rest->at[i] != '"'; i++) {
			if (rest->at[i] == '\\' && i + 1 < rest->len)
				i++;
			if (n + 1 < size && rest->at[i] != '\r' && rest->at[i] != '\n')
				out[n++] = rest->at[i];
		}
	} else {
		for (; i < rest->len && rest->at[i] != ';' && !is_space(rest->at[i]); i++)
			if (n + 1 < size)
				out[n++] = rest->at[i];
	}
	out[n] = '\0';
	while (i < rest->len && rest->at[i] != ';')
		i++;
	*rest = slice_skip(*rest, i + 1);
	return name->len > 0;
}

bool
mime_param(struct slice value, const char *wanted, char *out, size_t size)
{
	struct slice rest = value, name;
	size_t len = strlen(wanted);

	slice_cut(&rest, ';');
	while (rest.len > 0) {
		if (!param_next(&rest, &name, out, size))
			continue;
		if (name.len < len || strncasecmp(name.at, wanted, len) != 0)
			continue;
		if (name.len == len || name.at[len] == '*')
			return true;
	}
	out[0] = '\0';
	return false;
}

/* -- the walk through the parts */

enum where { IN_PREAMBLE, IN_TEXT, IN_BYTES, IN_OTHER };

struct walk {
	const struct mime_sink *sink;
	struct mime_facts *facts;
	struct mime_part part;
	char open[MIME_DEPTH_MAX][80]; /* boundaries, the outermost first */
	unsigned n_open;
	enum where where;
	struct base64 base64;
	struct buf decoded;
};

static void
flush_text(struct walk *w, bool now)
{
	if (w->decoded.len == 0 || (!now && w->decoded.len < 4096))
		return;
	if (w->sink->text != NULL)
		w->sink->text(w->sink->arg, &w->part, buf_all(&w->decoded));
	buf_reset(&w->decoded);
}

/* A boundary line? Closes what it closes. 0 no, 1 a new part begins, 2 the multipart is over. */
static int
boundary_line(struct walk *w, struct slice line)
{
	if (w->n_open == 0 || line.len < 3 || line.at[0] != '-' || line.at[1] != '-')
		return 0;
	line = slice_skip(line, 2);
	for (unsigned i = w->n_open; i-- > 0;) {
		struct slice b = slice_of(w->open[i]), rest;

		if (!slice_starts(line, b))
			continue;
		rest = slice_skip(line, b.len);
		if (slice_trim(rest).len == 0) {
			w->n_open = i + 1;
			return 1;
		}
		if (slice_starts(rest, SLICE("--")) && slice_trim(slice_skip(rest, 2)).len == 0) {
			w->n_open = i;
			return 2;
		}
	}
	return 0;
}

static void
part_field(struct mime_part *p, const struct mime_field *f)
{
	struct slice v = slice_trim(f->value), word = v;

	if (slice_eq_nocase(f->name, SLICE("content-type"))) {
		slice_copy(slice_trim(slice_cut(&word, ';')), p->type, sizeof(p->type));
		for (char *c = p->type; *c != '\0'; c++)
			*c = (char)tolower((unsigned char)*c);
		mime_param(v, "boundary", p->boundary, sizeof(p->boundary));
		if (p->filename[0] == '\0')
			mime_param(v, "name", p->filename, sizeof(p->filename));
	} else if (slice_eq_nocase(f->name, SLICE("content-transfer-encoding"))) {
		if (slice_starts_nocase(v, SLICE("base64")))
			p->encoding = MIME_BASE64;
		else if (slice_starts_nocase(v, SLICE("quoted-printable")))
			p->encoding = MIME_QUOTED;
	} else if (slice_eq_nocase(f->name, SLICE("content-disposition"))) {
		char name[sizeof(p->filename)];

		p->attached = slice_starts_nocase(v, SLICE("attachment"));
		if (mime_param(v, "filename", name, sizeof(name)))
			memcpy(p->filename, name, sizeof(name));
	}
}

/* What the part's body is, now that its header is read. True when another header follows
 * (message/rfc822). */
static bool
part_begins(struct walk *w)
{
	struct mime_part *p = &w->part;

	if (p->type[0] == '\0')
		memcpy(p->type, "text/plain", sizeof("text/plain"));
	if (w->facts->depth < p->depth)
		w->facts->depth = p->depth;
	if (w->sink->part != NULL)
		w->sink->part(w->sink->arg, p);
	w->where = IN_OTHER;
	w->base64 = (struct base64){ 0 };
	if (strncmp(p->type, "multipart/", 10) == 0 && p->boundary[0] != '\0') {
		if (w->n_open < MIME_DEPTH_MAX)
			memcpy(w->open[w->n_open++], p->boundary, sizeof(p->boundary));
		else
			w->facts->cut = true;
		w->where = IN_PREAMBLE;
	} else if (w->sink->want != NULL && w->sink->want(w->sink->arg, p)) {
		w->where = IN_BYTES;
	} else if (strncmp(p->type, "text/", 5) == 0 && !p->attached) {
		w->where = IN_TEXT;
	} else if (strcmp(p->type, "message/rfc822") == 0 && p->encoding == MIME_PLAIN) {
		return true;
	}
	return false;
}

/* Read one header from *rest, up to the empty line or to a boundary line, which is left there. */
static void
part_header(struct walk *w, struct slice *rest, unsigned depth)
{
	struct mime_field f;
	const char *start = rest->at;

	w->facts->parts++;
	w->part = (struct mime_part){ .depth = depth };
	for (unsigned n = 0; rest->len > 0; n++) {
		struct slice line = whole_line(*rest);

		if (line.len > 2 && line.at[0] == '-' && line.at[1] == '-' && w->n_open > 0) {
			unsigned open = w->n_open;
			int is = boundary_line(w, without_line_end(line));

			w->n_open = open;
			if (is != 0)
				return;
		}
		if (n >= MIME_FIELDS_MAX || rest->at - start > MIME_HEADER_MAX) {
			w->facts->cut = true;
			return;
		}
		if (!mime_field_next(rest, &f))
			return;
		part_field(&w->part, &f);
	}
}

static void
part_starts(struct walk *w, struct slice *rest, unsigned depth)
{
	do {
		if (w->facts->parts >= MIME_PARTS_MAX || depth > MIME_DEPTH_MAX) {
			w->facts->cut = true;
			w->where = IN_OTHER;
			return;
		}
		part_header(w, rest, depth++);
	} while (part_begins(w) && rest->len > 0);
}

static void
text_line(struct walk *w, struct slice whole)
{
	struct slice line = without_line_end(whole);

	switch (w->part.encoding) {
	case MIME_BASE64:
		base64_more(&w->base64, line, &w->decoded);
		break;
	case MIME_QUOTED:
		line = slice_first(line, line.len);
		while (line.len > 0 && is_blank(line.at[line.len - 1]))
			line.len--;
		if (line.len > 0 && line.at[line.len - 1] == '=') {
			line.len--;
			quoted_more(line, false, &w->decoded);
		} else {
			quoted_more(line, false, &w->decoded);
			buf_char(&w->decoded, '\n');
		}
		break;
	case MIME_PLAIN:
		if (w->where == IN_BYTES) {
			buf_slice(&w->decoded, whole);
			break;
		}
		buf_slice(&w->decoded, line);
		buf_char(&w->decoded, '\n');
	}
	flush_text(w, false);
}

void
mime_read(struct slice message, const struct mime_sink *sink, struct mime_facts *facts)
{
	struct walk w = { .sink = sink, .facts = facts };
	bool inside = false;

	*facts = (struct mime_facts){ 0 };
	buf_init(&w.decoded, 4 * PIECE_MAX);
	part_starts(&w, &message, 0);
	while (message.len > 0) {
		/* a line of any length is read in pieces; only its first can be a boundary */
		struct slice line = whole_line(slice_first(message, PIECE_MAX));
		int is = inside ? 0 : boundary_line(&w, without_line_end(line));

		inside = line.at[line.len - 1] != '\n';
		message = slice_skip(message, line.len);
		if (is == 0 && (w.where == IN_TEXT || w.where == IN_BYTES))
			text_line(&w, line);
		if (is == 0)
			continue;
		flush_text(&w, true);
		if (is == 1)
			part_starts(&w, &message, w.n_open);
		else
			w.where = IN_PREAMBLE;
	}
	flush_text(&w, true);
	facts->open = w.n_open > 0;
	buf_free(&w.decoded);
}
