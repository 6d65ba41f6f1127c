/* spf_macro - expands macros
 *
 * A value is cut at its delimiters, turned round when "r" asks for it, shortened to its last parts and
 * joined by dots. One row a letter. Values are bounded by the protocol (a sender has 320 bytes at most),
 * the result by the buffer's ceiling. */
#include "filters/spf_macro.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PARTS_MAX 512
#define VALUE_MAX 1024

size_t
spf_macro_length(struct slice s, bool in_text)
{
	size_t i = 2, digits = 0;
	bool zero = true;

	if (s.len < 2)
		return 0;
	if (s.at[1] == '%' || s.at[1] == '_' || s.at[1] == '-')
		return 2;
	if (s.at[1] != '{' || s.len < 4 || s.at[i] == '\0' ||
	    strchr(in_text ? "slodiphcrtv" : "slodiphv", tolower((unsigned char)s.at[i])) == NULL)
		return 0;
	for (i++; i < s.len && isdigit((unsigned char)s.at[i]); i++, digits++)
		zero = zero && s.at[i] == '0';
	if (digits > 3 || (digits > 0 && zero))
		return 0;
	if (i < s.len && tolower((unsigned char)s.at[i]) == 'r')
		i++;
	while (i < s.len && s.at[i] != '\0' && strchr(".-+,/_=", s.at[i]) != NULL)
		i++;
	return i < s.len && s.at[i] == '}' ? i + 1 : 0;
}

bool
spf_macro_wants_name(struct slice text)
{
	for (size_t i = 0; i + 2 < text.len; i++)
		if (text.at[i] == '%' && text.at[i + 1] == '{' &&
		    tolower((unsigned char)text.at[i + 2]) == 'p')
			return true;
	return false;
}

/* -- values */

/* 192.0.2.1, or every half byte of an IPv6 address with dots between. */
static void
dotted_address(const struct ip *ip, char *out, size_t size)
{
	size_t n = 0;

	if (!ip->v6) {
		ip_text(ip, out, size);
		return;
	}
	for (int i = 0; i < 16; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%X.%X", i > 0 ? "." : "",
		    ip->bytes[i] >> 4, ip->bytes[i] & 15u);
}

static void
value_of(char letter, const struct spf_names *names, char *out, size_t size)
{
	const char *at = strrchr(names->sender, '@');

	out[0] = '\0';
	switch (letter) {
	case 's':
		snprintf(out, size, "%s", names->sender);
		break;
	case 'l':
		snprintf(
		    out, size, "%.*s", at == NULL ? 0 : (int)(at - names->sender), names->sender);
		break;
	case 'o':
		snprintf(out, size, "%s", address_domain(names->sender));
		break;
	case 'd':
		snprintf(out, size, "%s", names->domain);
		break;
	case 'i':
		dotted_address(names->client, out, size);
		break;
	case 'p':
		snprintf(out, size, "%s", names->validated);
		break;
	case 'h':
		snprintf(out, size, "%s", names->helo);
		break;
	case 'c':
		ip_text(names->client, out, size);
		break;
	case 'r':
		snprintf(out, size, "%s", names->receiver);
		break;
	case 't':
		snprintf(out, size, "%lld", (long long)names->now);
		break;
	case 'v':
		snprintf(out, size, "%s", names->client->v6 ? "ip6" : "in-addr");
		break;
	}
}

/* -- transformers */

static void
put_escaped(struct buf *out, struct slice part)
{
	for (size_t i = 0; i < part.len; i++) {
		unsigned char c = (unsigned char)part.at[i];

		if (isalnum(c) || (c != '\0' && strchr("-._~", c) != NULL))
			buf_char(out, (char)c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static size_t
cut_parts(struct slice value, const char *delimiters, struct slice parts[static PARTS_MAX])
{
	size_t n = 0, start = 0;

	for (size_t i = 0; i <= value.len && n < PARTS_MAX; i++) {
		if (i < value.len && strchr(delimiters, value.at[i]) == NULL)
			continue;
		parts[n++] = slice_first(slice_skip(value, start), i - start);
		start = i + 1;
	}
	return n;
}

/* "{LETTER DIGITS r DELIMITERS}", known to be well-formed. */
static void
put_macro(struct slice s, const struct spf_names *names, struct buf *out)
{
	struct slice parts[PARTS_MAX];
	char value[VALUE_MAX], delimiters[16] = "";
	size_t i = 2, keep = 0, n, k = 0;
	bool escaped = isupper((unsigned char)s.at[1]) != 0, reversed;

	value_of((char)tolower((unsigned char)s.at[1]), names, value, sizeof(value));
	for (; isdigit((unsigned char)s.at[i]); i++)
		keep = keep * 10 + (size_t)(s.at[i] - '0');
	reversed = tolower((unsigned char)s.at[i]) == 'r';
	i += reversed;
	for (; s.at[i] != '}'; i++)
		if (strchr(delimiters, s.at[i]) == NULL)
			delimiters[k++] = s.at[i];
	n = cut_parts(slice_of(value), k == 0 ? "." : delimiters, parts);
	if (keep == 0 || keep > n)
		keep = n;
	for (i = n - keep; i < n; i++) {
		struct slice part = parts[reversed ? n - 1 - i : i];

		if (i > n - keep)
			buf_char(out, '.');
		if (escaped)
			put_escaped(out, part);
		else
			buf_slice(out, part);
	}
}

bool
spf_macro_expand(struct slice text, bool in_text, const struct spf_names *names, struct buf *out)
{
	while (text.len > 0 && !out->failed) {
		size_t n = 1;

		if (text.at[0] != '%') {
			buf_char(out, text.at[0]);
		} else {
			n = spf_macro_length(text, in_text);
			if (n == 0)
				return false;
			if (text.at[1] == '{')
				put_macro(slice_skip(text, 1), names, out);
			else
				buf_text(out, text.at[1] == '%'   ? "%"
					      : text.at[1] == '_' ? " "
								  : "%20");
		}
		text = slice_skip(text, n);
	}
	return !out->failed;
}

const char *
spf_macro_fit(const char *name)
{
	while (strlen(name) > 253 && strchr(name, '.') != NULL)
		name = strchr(name, '.') + 1;
	return name;
}
