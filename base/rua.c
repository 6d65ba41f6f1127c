/* rua - reads URIs that strangers publish
 *
 * What comes out goes into envelopes, headers and requests, so only plain bytes get through: an address
 * of printable ASCII without anything that has a meaning in a command or a list, a host name of letters,
 * digits, hyphens and dots. */
#include "base/rua.h"

#include <string.h>

#define LIST_MAX (8 * 1024) /* bytes of it that are looked at */
#define TRIES_MAX 100       /* URIs that are looked at */

static int
hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* "%2C" becomes ",". false: malformed, or too long. */
static bool
percent_decode(struct slice s, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (c == '%') {
			int high = i + 2 < s.len ? hex_of(s.at[i + 1]) : -1;
			int low = i + 2 < s.len ? hex_of(s.at[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return memchr(out, '\0', n) == NULL;
}

/* A name of two labels or more, in lower case. */
static bool
read_host(struct slice s, char out[static 256])
{
	size_t label = 0, dots = 0;

	if (s.len == 0 || s.len > 253)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		if (c == '.') {
			if (label == 0)
				return false;
			dots++;
			label = 0;
		} else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
			   c == '_') {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
		out[i] = c;
	}
	out[s.len] = '\0';
	return label > 0 && dots > 0;
}

/* RFC 5321's dot-string, and nothing that would have to be quoted. */
static bool
local_ok(struct slice s)
{
	if (s.len == 0 || s.len > 64 || s.at[0] == '.' || s.at[s.len - 1] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (c <= ' ' || c >= 127 || strchr("()<>[]:;@\\,\"", c) != NULL ||
		    (c == '.' && s.at[i + 1] == '.'))
			return false;
	}
	return true;
}

static bool
read_mailto(struct slice uri, struct rua *out)
{
	struct slice address = slice_cut(&uri, '?'); /* a subject and the like: not for us */
	ptrdiff_t at;

	if (!percent_decode(address, out->to, sizeof(out->to)))
		return false;
	address = slice_of(out->to);
	at = slice_find_last(address, '@');
	return at > 0 && local_ok(slice_first(address, (size_t)at)) &&
	       read_host(slice_skip(address, (size_t)at + 1), out->host);
}

/* "//host[:port][/path]"; no user, no address in brackets. */
static bool
read_https(struct slice uri, struct slice rest, struct rua *out)
{
	size_t n = 0;

	if (!slice_starts(rest, SLICE("//")))
		return false;
	rest = slice_skip(rest, 2);
	while (n < rest.len && strchr("/?#:", rest.at[n]) == NULL)
		n++;
	if (!read_host(slice_first(rest, n), out->host) || uri.len >= sizeof(out->to))
		return false;
	for (size_t i = 0; i < uri.len; i++)
		if (uri.at[i] <= ' ' || uri.at[i] >= 127 || strchr("\"<>\\^`{|}@", uri.at[i]) != NULL)
			return false;
	return slice_copy(uri, out->to, sizeof(out->to));
}

/* "10m" behind the "!": kibi, mebi, gibi, tebi (RFC 7489 6.2). */
static bool
read_limit(struct slice text, uint64_t *out)
{
	static const char units[] = "kmgt";
	const char *unit =
	    text.len > 0 ? strchr(units, text.at[text.len - 1] | 0x20) : NULL;
	unsigned shift = unit != NULL && *unit != '\0' ? 10 * (unsigned)(unit - units + 1) : 0;

	if (shift > 0)
		text.len--;
	if (!slice_to_u64(text, out) || *out == 0 || *out > UINT64_MAX >> shift)
		return false;
	*out <<= shift;
	return true;
}

static bool
read_one(struct slice uri, struct rua *out)
{
	ptrdiff_t mark = slice_find_last(uri, '!');

	memset(out, 0, sizeof(*out));
	if (mark >= 0) {
		if (!read_limit(slice_skip(uri, (size_t)mark + 1), &out->limit))
			return false;
		uri = slice_first(uri, (size_t)mark);
	}
	if (slice_starts_nocase(uri, SLICE("mailto:"))) {
		out->kind = RUA_MAILTO;
		return read_mailto(slice_skip(uri, 7), out);
	}
	out->kind = RUA_HTTPS;
	return slice_starts_nocase(uri, SLICE("https:")) &&
	       read_https(uri, slice_skip(uri, 6), out);
}

static bool
came_already(const struct rua *known, size_t n, const struct rua *r)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_nocase(slice_of(known[i].to), slice_of(r->to)))
			return true;
	return false;
}

size_t
rua_read(struct slice list, struct rua out[static RUA_MAX])
{
	size_t n = 0;

	list = slice_first(list, LIST_MAX);
	for (int tries = 0; tries < TRIES_MAX && n < RUA_MAX && list.len > 0; tries++) {
		struct slice uri = slice_trim(slice_cut(&list, ','));

		if (read_one(uri, &out[n]) && !came_already(out, n, &out[n]))
			n++;
	}
	return n;
}
