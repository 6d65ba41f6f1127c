/* report_json - JSON of a report (RFC 8259): members become paths
 *
 * Strict: one value, UTF-8, nothing behind it. Only texts, numbers and the ends of objects are told;
 * true, false and null say nothing to us. Depth and the length of a path have ceilings; a text is cut. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "filters/report_build.h"

#define TEXT_KEPT 2000

struct json_in {
	struct slice rest;
	struct report_build *build;
	char path[REPORT_PATH_MAX];
	unsigned depth;
	char text[TEXT_KEPT];
	size_t n;
	size_t all;
};

static int value(struct json_in *in, struct err *err);

static int
broken(const struct json_in *in, struct err *err)
{
	return err_set(err, ERR_PERMANENT, "its JSON is broken at byte %zu", in->all - in->rest.len);
}

static void
blanks(struct json_in *in)
{
	while (in->rest.len > 0 && in->rest.at[0] != '\0' && strchr(" \t\r\n", in->rest.at[0]) != NULL)
		in->rest = slice_skip(in->rest, 1);
}

/* The next character that is no blank; NUL at the end. It stays. */
static char
next(struct json_in *in)
{
	blanks(in);
	return in->rest.len > 0 ? in->rest.at[0] : '\0';
}

/* -- texts */

static void
keep(struct json_in *in, const char *bytes, size_t len)
{
	if (in->n + len > sizeof(in->text))
		return;
	memcpy(in->text + in->n, bytes, len);
	in->n += len;
}

static void
keep_character(struct json_in *in, uint32_t c)
{
	char out[4];
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (len == 1) {
		out[0] = (char)c;
	} else {
		for (size_t i = len - 1; i > 0; i--, c >>= 6)
			out[i] = (char)(0x80 | (c & 0x3f));
		out[0] = (char)((0xf00u >> len) | c);
	}
	keep(in, out, len);
}

/* Four hexadecimal digits behind "\u"; -1: they are none. */
static int
hex4(struct json_in *in)
{
	int v = 0;

	if (in->rest.len < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = in->rest.at[i];
		const char *digits = "0123456789abcdef", *at;

		at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);
		if (at == NULL)
			return -1;
		v = v * 16 + (int)(at - digits);
	}
	in->rest = slice_skip(in->rest, 4);
	return v;
}

static int
escaped_unicode(struct json_in *in, struct err *err)
{
	int high = hex4(in), low;

	if (high <= 0) /* NUL has no place in a text */
		return broken(in, err);
	if (high >= 0xd800 && high < 0xdc00) {
		if (!slice_starts(in->rest, SLICE("\\u")))
			return broken(in, err);
		in->rest = slice_skip(in->rest, 2);
		low = hex4(in);
		if (low < 0xdc00 || low > 0xdfff)
			return broken(in, err);
		keep_character(in, 0x10000 + (((uint32_t)high & 0x3ff) << 10) + ((uint32_t)low & 0x3ff));
		return 0;
	}
	if (high >= 0xdc00 && high <= 0xdfff)
		return broken(in, err);
	keep_character(in, (uint32_t)high);
	return 0;
}

static int
escaped(struct json_in *in, struct err *err)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	char c;

	in->rest = slice_skip(in->rest, 1);
	if (in->rest.len == 0)
		return broken(in, err);
	c = in->rest.at[0];
	in->rest = slice_skip(in->rest, 1);
	if (c == 'u')
		return escaped_unicode(in, err);
	at = c == '\0' ? NULL : strchr(from, c);
	if (at == NULL)
		return broken(in, err);
	keep(in, &to[at - from], 1);
	return 0;
}

/* A quoted text, into in->text. */
static int
text(struct json_in *in, struct err *err)
{
	uint32_t c;

	in->n = 0;
	in->rest = slice_skip(in->rest, 1);
	while (in->rest.len > 0) {
		size_t len;

		if (in->rest.at[0] == '"') {
			in->rest = slice_skip(in->rest, 1);
			return 0;
		}
		if (in->rest.at[0] == '\\') {
			if (escaped(in, err) == -1)
				return -1;
			continue;
		}
		len = utf8_next(in->rest, &c);
		if (len == 0 || c < 0x20)
			return broken(in, err);
		keep(in, in->rest.at, len);
		in->rest = slice_skip(in->rest, len);
	}
	return broken(in, err);
}

/* -- values */

static int
word(struct json_in *in, struct err *err)
{
	static const char *const words[] = { "true", "false", "null" };
	size_t len = 0;

	for (size_t i = 0; i < COUNT(words); i++)
		if (slice_starts(in->rest, slice_of(words[i]))) {
			in->rest = slice_skip(in->rest, strlen(words[i]));
			return 0;
		}
	while (len < in->rest.len && in->rest.at[len] != '\0' &&
	       strchr("0123456789+-.eE", in->rest.at[len]) != NULL)
		len++;
	if (len == 0 || len > 40 || strchr("+.eE", in->rest.at[0]) != NULL)
		return broken(in, err);
	if (report_tls_value(in->build, in->path, slice_first(in->rest, len), err) == -1)
		return -1;
	in->rest = slice_skip(in->rest, len);
	return 0;
}

static int
member(struct json_in *in, struct err *err)
{
	size_t len = strlen(in->path);

	if (next(in) != '"')
		return broken(in, err);
	if (text(in, err) == -1)
		return -1;
	if (len + in->n + 2 > sizeof(in->path) || memchr(in->text, 0, in->n) != NULL)
		return err_set(err, ERR_PERMANENT, "a name in it is too long");
	snprintf(in->path + len, sizeof(in->path) - len, "%s%.*s", len > 0 ? "/" : "", (int)in->n, in->text);
	if (next(in) != ':')
		return broken(in, err);
	in->rest = slice_skip(in->rest, 1);
	if (value(in, err) == -1)
		return -1;
	in->path[len] = '\0';
	return 0;
}

/* Items up to the closing bracket, each read by `item`. */
static int
items(struct json_in *in, char end, int (*item)(struct json_in *, struct err *), struct err *err)
{
	in->rest = slice_skip(in->rest, 1);
	if (++in->depth > REPORT_DEPTH_MAX)
		return err_set(err, ERR_PERMANENT, "its values are nested too deep");
	if (next(in) != end) {
		while (true) {
			if (item(in, err) == -1)
				return -1;
			if (next(in) != ',')
				break;
			in->rest = slice_skip(in->rest, 1);
		}
	}
	if (next(in) != end)
		return broken(in, err);
	in->rest = slice_skip(in->rest, 1);
	in->depth--;
	return 0;
}

static int
value(struct json_in *in, struct err *err)
{
	switch (next(in)) {
	case '{':
		if (items(in, '}', member, err) == -1)
			return -1;
		return report_tls_value(in->build, in->path, (struct slice){ 0 }, err);
	case '[':
		return items(in, ']', value, err);
	case '"':
		if (text(in, err) == -1)
			return -1;
		return report_tls_value(in->build, in->path, (struct slice){ in->text, in->n }, err);
	default:
		return word(in, err);
	}
}

int
report_json_read(struct report_build *b, struct slice bytes, struct err *err)
{
	struct json_in in = { .rest = bytes, .build = b, .all = bytes.len };

	if (slice_starts(in.rest, SLICE("\357\273\277"))) /* may be passed over: RFC 8259 8.1 */
		in.rest = slice_skip(in.rest, 3);
	if (value(&in, err) == -1)
		return -1;
	if (next(&in) != '\0' || in.rest.len > 0)
		return broken(&in, err);
	return 0;
}
