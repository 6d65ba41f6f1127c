/* seven_head - what a header says about the body below it (RFC 2045 4 to 6, RFC 2046 5)
 *
 * Readers differ about broken headers; this one takes what most of them take, and where a mistake
 * could change what a reader sees the part counts as one that cannot be changed. */
#include <ctype.h>
#include <string.h>

#include "base/seven_inner.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
seven_is_field(struct slice line)
{
	size_t n = 0;

	while (n < line.len && line.at[n] > ' ' && line.at[n] < 127 && line.at[n] != ':')
		n++;
	if (n == 0)
		return false;
	while (n < line.len && is_blank(line.at[n]))
		n++;
	return n < line.len && line.at[n] == ':';
}

/* The word at the front, up to a blank, ';', '/' or a comment. */
static struct slice
word(struct slice *rest)
{
	size_t n = 0;
	struct slice w;

	*rest = slice_trim(*rest);
	while (n < rest->len && rest->at[n] > ' ' && strchr(";/(", rest->at[n]) == NULL)
		n++;
	w = slice_first(*rest, n);
	*rest = slice_skip(*rest, n);
	return w;
}

static void
read_encoding(struct entity *e, struct slice value)
{
	static const struct {
		const char *name;
		enum seven_encoding is;
	} known[] = { { "7bit", ENC_7BIT }, { "8bit", ENC_8BIT }, { "binary", ENC_BINARY },
		{ "quoted-printable", ENC_QUOTED }, { "base64", ENC_BASE64 } };
	struct slice w = word(&value);

	/* other names are mostly misspelt ways to say "as it is" */
	e->encoding = slice_starts_nocase(w, SLICE("x-")) || slice_starts_nocase(w, SLICE("uu"))
			  ? ENC_OTHER
			  : ENC_8BIT;
	for (size_t i = 0; i < COUNT(known); i++)
		if (slice_eq_nocase(w, slice_of(known[i].name)))
			e->encoding = known[i].is;
}

/* The value behind "name=", quoted or not; *rest moves behind it. -1: it is too long for `out`. */
static int
param_value(struct slice *rest, char *out, size_t size)
{
	size_t i = 0, n = 0;
	bool quoted = rest->len > 0 && rest->at[0] == '"';

	for (i = quoted; i < rest->len &&
			 (quoted ? rest->at[i] != '"' : rest->at[i] > ' ' && rest->at[i] != ';');
	     i++) {
		if (quoted && rest->at[i] == '\\' && i + 1 < rest->len)
			i++;
		if (rest->at[i] == '\r' || rest->at[i] == '\n')
			continue;
		if (n + 1 == size)
			return -1;
		out[n++] = rest->at[i];
	}
	out[n] = '\0';
	*rest = slice_skip(*rest, i + quoted);
	return 0;
}

/* To the next parameter; false: there is none. Quoted strings are passed over. */
static bool
next_param(struct slice *rest)
{
	bool quoted = false;

	for (size_t i = 0; i < rest->len; i++) {
		if (quoted && rest->at[i] == '\\')
			i++;
		else if (rest->at[i] == '"')
			quoted = !quoted;
		else if (!quoted && rest->at[i] == ';') {
			*rest = slice_trim(slice_skip(*rest, i + 1));
			return true;
		}
	}
	return false;
}

static void
read_boundary(struct entity *e, struct slice rest)
{
	while (next_param(&rest)) {
		struct slice name = rest;
		size_t n = 0;

		while (n < rest.len && rest.at[n] > ' ' && rest.at[n] != '=' && rest.at[n] != ';')
			n++;
		name.len = n;
		rest = slice_trim(slice_skip(rest, n));
		if (rest.len == 0 || rest.at[0] != '=' || !slice_eq_nocase(name, SLICE("boundary")))
			continue;
		rest = slice_trim(slice_skip(rest, 1));
		if (param_value(&rest, e->boundary, sizeof(e->boundary)) == -1)
			e->boundary[0] = '\0';
		return;
	}
}

static void
read_type(struct entity *e, struct slice value)
{
	struct slice type = word(&value), sub = { "", 0 };

	e->typed = true;
	e->kind = KIND_LEAF;
	e->text = slice_eq_nocase(type, SLICE("text"));
	if (value.len > 0 && value.at[0] == '/') {
		value = slice_skip(value, 1);
		sub = word(&value);
	}
	if (slice_eq_nocase(type, SLICE("multipart"))) {
		read_boundary(e, value);
		e->kind = e->boundary[0] != '\0' ? KIND_MULTIPART : KIND_OPAQUE;
		e->digest = slice_eq_nocase(sub, SLICE("digest"));
		e->seals = slice_eq_nocase(sub, SLICE("signed")) ||
			   slice_eq_nocase(sub, SLICE("encrypted"));
	} else if (slice_eq_nocase(type, SLICE("message"))) {
		e->kind = KIND_OPAQUE;
		if (slice_eq_nocase(sub, SLICE("rfc822")) || slice_eq_nocase(sub, SLICE("news")))
			e->kind = KIND_MESSAGE;
		else if (slice_starts_nocase(sub, SLICE("global")))
			e->kind = KIND_LEAF; /* may be encoded (RFC 6532 3.7) */
	}
}

static void
note_encoding(struct entity *e, struct slice value, struct range where)
{
	if (e->field.len == 0) {
		e->field = where;
		read_encoding(e, value);
	} else if (e->n_extra < SEVEN_EXTRA_MAX) {
		e->extra[e->n_extra++] = where;
	} else {
		e->odd = true;
	}
}

void
seven_read_field(struct entity *e, struct slice field, size_t at)
{
	struct slice value = field, name = slice_trim(slice_cut(&value, ':'));

	if (slice_eq_nocase(name, SLICE("MIME-Version")))
		e->version = true;
	else if (slice_eq_nocase(name, SLICE("Content-Type")) && !e->typed)
		read_type(e, value);
	else if (slice_eq_nocase(name, SLICE("Content-Transfer-Encoding")))
		note_encoding(e, value, (struct range){ at, field.len });
}
