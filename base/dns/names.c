/* names - DNS names in the form of the wire and as text
 *
 * A name from a packet is read strictly: it must end inside the packet, be at most 255 bytes, and
 * every compression pointer must lead to a place before the name's own start and before every
 * pointer already followed, so no packet can make the reader loop. Errors are a plain -1 or false:
 * the caller knows whose packet it was. */
#include "base/dns/names.h"

#include <string.h>

static unsigned char
lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

/* Append one label with its length byte; false when the name gets too long. */
static bool
add_label(struct dns_name *name, const unsigned char *label, size_t len)
{
	if (name->len + 1 + len > DNS_NAME_WIRE)
		return false;
	name->wire[name->len++] = (unsigned char)len;
	for (size_t i = 0; i < len; i++)
		name->wire[name->len++] = lower(label[i]);
	return true;
}

ptrdiff_t
dns_name_read(struct slice packet, size_t at, struct dns_name *name)
{
	const unsigned char *p = (const unsigned char *)packet.at;
	size_t floor = at; /* pointers must lead below it */
	ptrdiff_t behind = -1;

	name->len = 0;
	while (at < packet.len) {
		unsigned len = p[at];

		if (len >= 0xc0) {
			if (at + 2 > packet.len)
				return -1;
			if (behind == -1)
				behind = (ptrdiff_t)at + 2;
			at = (size_t)(len & 0x3f) << 8 | p[at + 1];
			if (at >= floor)
				return -1;
			floor = at;
			continue;
		}
		if (len > 63 || at + 1 + len > packet.len || !add_label(name, p + at + 1, len))
			return -1;
		at += 1 + len;
		if (len == 0)
			return behind != -1 ? behind : (ptrdiff_t)at;
	}
	return -1;
}

bool
dns_name_same(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && memcmp(a->wire, b->wire, a->len) == 0;
}

static bool
plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '.' && c != '\\' && c != '"';
}

bool
dns_name_text(const struct dns_name *name, char out[static DNS_NAME_TEXT])
{
	size_t n = 0;

	for (size_t at = 0; at < name->len && name->wire[at] != 0;) {
		size_t len = name->wire[at++];

		for (size_t i = 0; i < len; i++, at++) {
			if (!plain(name->wire[at])) {
				out[0] = '\0';
				return false;
			}
			out[n++] = (char)name->wire[at];
		}
		out[n++] = '.';
	}
	if (n == 0)
		out[n++] = '.';
	else
		n--;
	out[n] = '\0';
	return true;
}

bool
dns_name_ok(struct slice text)
{
	size_t label = 0;

	if (text.len > 0 && text.at[text.len - 1] == '.')
		text.len--;
	if (text.len == 0 || text.len > 253)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if ((!plain((unsigned char)text.at[i]) && text.at[i] != ' ') ||
			   ++label > 63) {
			return false;
		}
	}
	return label > 0;
}

bool
dns_name_is(const struct dns_name *name, struct slice text)
{
	if (text.len > 0 && text.at[text.len - 1] == '.')
		text.len--;
	for (size_t at = 0; at < name->len && name->wire[at] != 0;) {
		struct slice label = { (const char *)name->wire + at + 1, name->wire[at] };

		if (text.at == NULL || !slice_eq_nocase(slice_cut(&text, '.'), label))
			return false;
		at += label.len + 1;
	}
	return text.len == 0;
}
