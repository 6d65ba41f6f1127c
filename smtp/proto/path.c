/* path - the address in MAIL FROM:<...> and RCPT TO:<...>
 *
 * One pass over the input, nothing allocated. A quoted local part is unquoted and quoted again only
 * if it needs to be, so that two spellings of one mailbox give one text. */
#include "smtp/proto/path.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/utf8.h"

/* -- characters */

static bool
is_alnum(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
is_atext(unsigned char c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* The bytes of the UTF-8 character at the front; 0 when it is none, or one that cannot be seen: two
 * addresses that look the same would not be. */
static size_t
visible(struct slice s)
{
	uint32_t c;
	size_t n = utf8_next(s, &c);

	return n > 1 && !utf8_is_hidden(c) ? n : 0;
}

/* Is all that is not ASCII such? */
static bool
visible_all(struct slice s)
{
	while (s.len > 0) {
		size_t n = (unsigned char)s.at[0] < 0x80 ? 1 : visible(s);

		if (n == 0)
			return false;
		s = slice_skip(s, n);
	}
	return true;
}

/* -- domains */

/* Letters, digits, hyphens inside; underscores too, since hosts with them exist. Bytes of UTF-8 were
 * looked at before. */
static bool
label_ok(struct slice label)
{
	if (label.len == 0 || label.len > 63 || label.at[0] == '-' ||
	    label.at[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!is_alnum((unsigned char)label.at[i]) && label.at[i] != '-' &&
		    label.at[i] != '_' && (unsigned char)label.at[i] < 0x80)
			return false;
	return true;
}

static bool
literal_ok(struct slice s)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	bool v6 = slice_starts_nocase(s, SLICE("IPv6:"));

	if (v6)
		s = slice_skip(s, 5);
	if (s.len == 0 || memchr(s.at, '\0', s.len) != NULL || !slice_copy(s, text, sizeof(text)))
		return false;
	return inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) == 1;
}

static bool
is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] >= 0x80)
			return false;
	return true;
}

/* Names may hold UTF-8 here. */
static bool
domain_ok(struct slice s)
{
	if (s.len == 0 || s.len > PATH_DOMAIN_MAX)
		return false;
	if (s.at[0] == '[')
		return s.len > 2 && s.at[s.len - 1] == ']' &&
		       literal_ok((struct slice){ s.at + 1, s.len - 2 });
	for (;;) {
		struct slice label = slice_cut(&s, '.');

		if (!label_ok(label))
			return false;
		if (s.at == NULL)
			return true;
	}
}

bool
path_is_domain(struct slice s)
{
	return is_ascii(s) && domain_ok(s);
}

bool
path_is_greeting(struct slice s)
{
	char literal[PATH_DOMAIN_MAX + 1];
	unsigned char bytes[16];

	if (s.len == 0 || s.len > PATH_DOMAIN_MAX)
		return false;
	if (s.at[0] == '[') {
		if (path_is_domain(s))
			return true;
		/* an IPv6 address without its tag */
		if (s.at[s.len - 1] != ']' || memchr(s.at, '\0', s.len) != NULL)
			return false;
		slice_copy((struct slice){ s.at + 1, s.len - 2 }, literal, sizeof(literal));
		return inet_pton(AF_INET6, literal, bytes) == 1;
	}
	for (size_t i = 0; i < s.len; i++)
		if (!is_alnum((unsigned char)s.at[i]) && memchr("-._:", s.at[i], 4) == NULL)
			return false;
	return true;
}

/* -- local parts */

static bool
dot_atom(struct slice s)
{
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bool dot = s.at[i] == '.';

		if (dot && (i == 0 || i + 1 == s.len || s.at[i - 1] == '.'))
			return false;
		if (!dot && !is_atext((unsigned char)s.at[i]) && (unsigned char)s.at[i] < 0x80)
			return false;
	}
	return true;
}

/* One character of a local part goes from *in to `out` (PATH_LOCAL_MAX bytes). */
static enum path_status
take_char(struct slice *in, char *out, size_t *len)
{
	size_t n = (unsigned char)in->at[0] < 0x80 ? 1 : visible(*in);

	if (n == 0)
		return PATH_NOT_UTF8;
	if (*len + n > PATH_LOCAL_MAX)
		return PATH_TOO_LONG;
	memcpy(out + *len, in->at, n);
	*len += n;
	*in = slice_skip(*in, n);
	return PATH_OK;
}

/* Takes "..." off the front, unquoted into `out`. */
static enum path_status
take_quoted(struct slice *in, char *out, size_t *len)
{
	struct slice rest = slice_skip(*in, 1);

	while (rest.len > 0 && rest.at[0] != '"') {
		enum path_status status;

		if (rest.at[0] == '\\' && rest.len > 1)
			rest = slice_skip(rest, 1);
		if ((unsigned char)rest.at[0] < 32 || rest.at[0] == 127)
			return PATH_SYNTAX;
		status = take_char(&rest, out, len);
		if (status != PATH_OK)
			return status;
	}
	if (rest.len == 0 || *len == 0)
		return PATH_SYNTAX;
	*in = slice_skip(rest, 1);
	return PATH_OK;
}

static enum path_status
take_atoms(struct slice *in, char *out, size_t *len)
{
	while (in->len > 0) {
		unsigned char c = (unsigned char)in->at[0];
		enum path_status status;

		if (c < 0x80 && c != '.' && !is_atext(c))
			break;
		status = take_char(in, out, len);
		if (status != PATH_OK)
			return status;
	}
	return dot_atom((struct slice){ out, *len }) ? PATH_OK : PATH_SYNTAX;
}

/* -- the whole */

/* "@a,@b:" in front of the mailbox is read and dropped. */
static enum path_status
skip_route(struct slice *in)
{
	struct slice route;

	if (in->len == 0 || in->at[0] != '@')
		return PATH_OK;
	if (slice_find(*in, ':') < 0)
		return PATH_SYNTAX;
	route = slice_first(*in, (size_t)slice_find(*in, ':'));
	*in = slice_skip(*in, route.len + 1);
	while (route.at != NULL) {
		struct slice hop = slice_cut(&route, ',');

		if (hop.len == 0 || hop.at[0] != '@' || !path_is_domain(slice_skip(hop, 1)))
			return PATH_SYNTAX;
	}
	return PATH_OK;
}

static void
put(struct path *out, size_t *n, char c)
{
	if (*n < sizeof(out->text))
		out->text[*n] = c;
	(*n)++;
}

static enum path_status
write_out(struct path *out, struct slice local, struct slice domain)
{
	bool quote = !dot_atom(local);
	size_t n = 0;

	if (quote)
		put(out, &n, '"');
	for (size_t i = 0; i < local.len; i++) {
		if (local.at[i] == '"' || local.at[i] == '\\')
			put(out, &n, '\\');
		put(out, &n, local.at[i]);
	}
	if (quote)
		put(out, &n, '"');
	out->at = n;
	if (domain.len > 0)
		put(out, &n, '@');
	for (size_t i = 0; i < domain.len; i++)
		put(out, &n, domain.at[i]);
	if (n >= sizeof(out->text)) {
		out->text[0] = '\0';
		return PATH_TOO_LONG;
	}
	out->text[n] = '\0';
	out->utf8 = !is_ascii(slice_of(out->text));
	return PATH_OK;
}

/* `in` begins behind '@'; takes the domain off it. */
static enum path_status
take_domain(struct slice *in, struct slice *domain)
{
	size_t n = 0;
	bool literal = in->len > 0 && in->at[0] == '[';

	while (n < in->len && in->at[n] != '>' && in->at[n] != ' ' &&
	       !(literal && n > 0 && in->at[n - 1] == ']'))
		n++;
	*domain = slice_first(*in, n);
	if (n > PATH_DOMAIN_MAX)
		return PATH_TOO_LONG;
	if (!visible_all(*domain))
		return PATH_NOT_UTF8;
	if (!domain_ok(*domain))
		return PATH_SYNTAX;
	*in = slice_skip(*in, n);
	return PATH_OK;
}

static enum path_status
take_mailbox(struct slice *in, struct path *out)
{
	char local[PATH_LOCAL_MAX];
	struct slice name = { local, 0 }, domain = { NULL, 0 };
	enum path_status status = skip_route(in);

	if (status == PATH_OK && in->len == 0)
		status = PATH_SYNTAX;
	if (status == PATH_OK)
		status = in->at[0] == '"' ? take_quoted(in, local, &name.len)
					  : take_atoms(in, local, &name.len);
	if (status != PATH_OK)
		return status;
	if (in->len > 0 && in->at[0] == '@') {
		*in = slice_skip(*in, 1);
		status = take_domain(in, &domain);
	} else if (!slice_eq_nocase(name, SLICE("postmaster"))) {
		status = in->len == 0 || in->at[0] == '>' ? PATH_NO_DOMAIN : PATH_SYNTAX;
	}
	if (status == PATH_OK)
		status = write_out(out, name, domain);
	return status;
}

enum path_status
path_read(struct slice *rest, struct path *out)
{
	struct slice in = *rest;
	bool bracket = in.len > 0 && in.at[0] == '<';
	enum path_status status;

	memset(out, 0, sizeof(*out));
	if (bracket)
		in = slice_skip(in, 1);
	if (bracket && in.len > 0 && in.at[0] == '>') {
		*rest = slice_skip(in, 1);
		return PATH_OK;
	}
	status = take_mailbox(&in, out);
	if (status == PATH_OK && bracket) {
		if (in.len == 0 || in.at[0] != '>')
			status = PATH_SYNTAX;
		else
			in = slice_skip(in, 1);
	}
	if (status == PATH_OK && in.len > 0 && in.at[0] != ' ')
		status = PATH_SYNTAX;
	if (status == PATH_OK)
		*rest = in;
	else
		*out = (struct path){ .at = 0 };
	return status;
}

const char *
path_why(enum path_status status)
{
	static const char *const words[] = {
		[PATH_OK] = "Fine",
		[PATH_SYNTAX] = "That is not an address of the form <name@domain>",
		[PATH_NO_DOMAIN] = "The address needs a domain: <name@domain>",
		[PATH_TOO_LONG] = "The address is too long",
		[PATH_NOT_UTF8] = "The address has bytes that are no visible UTF-8 characters",
	};

	return words[status];
}

struct slice
path_domain(const struct path *p)
{
	struct slice all = slice_of(p->text);

	return p->at < all.len ? slice_skip(all, p->at + 1) : (struct slice){ "", 0 };
}

struct slice
path_local(const struct path *p)
{
	return slice_first(slice_of(p->text), p->at);
}

bool
path_same(const char *a, const char *b)
{
	struct slice sa = slice_of(a), sb = slice_of(b);
	ptrdiff_t at = slice_find_last(sa, '@');

	if (sa.len != sb.len)
		return false;
	if (at < 0 || slice_find_last(sb, '@') != at)
		return slice_eq(sa, sb);
	return slice_eq(slice_first(sa, (size_t)at), slice_first(sb, (size_t)at)) &&
	       slice_eq_nocase(slice_skip(sa, (size_t)at), slice_skip(sb, (size_t)at));
}
