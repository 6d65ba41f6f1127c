/* path - the address in MAIL FROM:<...> and RCPT TO:<...>
 *
 * One pass over the input, nothing allocated. A quoted local part is unquoted and quoted again only
 * if it needs to be, so that two spellings of one mailbox give one text. */
#include "smtp/proto/path.h"

#include <arpa/inet.h>
#include <string.h>

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

/* -- domains */

/* Letters, digits, hyphens inside; underscores too, since hosts with them exist. */
static bool
label_ok(struct slice label)
{
	if (label.len == 0 || label.len > 63 || label.at[0] == '-' ||
	    label.at[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!is_alnum((unsigned char)label.at[i]) && label.at[i] != '-' &&
		    label.at[i] != '_')
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

bool
path_is_domain(struct slice s)
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
		if (!dot && !is_atext((unsigned char)s.at[i]))
			return false;
	}
	return true;
}

/* Takes "..." off the front, unquoted into `out` (PATH_LOCAL_MAX bytes). */
static enum path_status
take_quoted(struct slice *in, char *out, size_t *len)
{
	size_t i = 1, n = 0;

	while (i < in->len && in->at[i] != '"') {
		unsigned char c = (unsigned char)in->at[i++];

		if (c == '\\' && i < in->len)
			c = (unsigned char)in->at[i++];
		if (c >= 0x80)
			return PATH_NOT_ASCII;
		if (c < 32 || c == 127)
			return PATH_SYNTAX;
		if (n == PATH_LOCAL_MAX)
			return PATH_TOO_LONG;
		out[n++] = (char)c;
	}
	if (i >= in->len || n == 0)
		return PATH_SYNTAX;
	*in = slice_skip(*in, i + 1);
	*len = n;
	return PATH_OK;
}

static enum path_status
take_atoms(struct slice *in, char *out, size_t *len)
{
	size_t n = 0;

	while (n < in->len && (is_atext((unsigned char)in->at[n]) || in->at[n] == '.'))
		n++;
	if (n < in->len && (unsigned char)in->at[n] >= 0x80)
		return PATH_NOT_ASCII;
	if (n > PATH_LOCAL_MAX)
		return PATH_TOO_LONG;
	if (!dot_atom(slice_first(*in, n)))
		return PATH_SYNTAX;
	memcpy(out, in->at, n);
	*in = slice_skip(*in, n);
	*len = n;
	return PATH_OK;
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
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)in->at[i] >= 0x80)
			return PATH_NOT_ASCII;
	if (n > PATH_DOMAIN_MAX)
		return PATH_TOO_LONG;
	*domain = slice_first(*in, n);
	if (!path_is_domain(*domain))
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
		out->text[0] = '\0';
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
		[PATH_NOT_ASCII] =
		    "The address has letters outside ASCII; this server does not offer SMTPUTF8",
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
