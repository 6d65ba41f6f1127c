/* spf_record - reads an SPF record term by term, strictly, and writes it again for libspf2
 *
 * One row per mechanism says what may follow its name. Any break of the grammar makes the whole
 * record bad (permerror), as RFC 7208 4.6 demands, even behind a term that would match. */
#include "filters/spf_record.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "filters/spf_macro.h"

struct writing {
	const struct ip *client;
	struct spf_terms *terms;
	struct buf *out;
	struct slice redirect;
	bool redirected, explained, ended;
	const char *why;
};

static int
wrong(struct writing *w, const char *why)
{
	w->why = why;
	return -1;
}

bool
spf_record_is(struct slice text)
{
	return slice_starts_nocase(text, SLICE("v=spf1")) && (text.len == 6 || text.at[6] == ' ');
}

/* -- macros and names (section 7.1) */

/* macro-string; *macro_end says whether its last piece is a macro. */
static bool
is_macro_string(struct slice s, bool in_text, bool *macro_end)
{
	*macro_end = false;
	while (s.len > 0) {
		size_t n = 1;

		*macro_end = s.at[0] == '%';
		if (*macro_end)
			n = spf_macro_length(s, in_text);
		else if (s.at[0] <= ' ' || s.at[0] >= 127)
			return false;
		if (n == 0)
			return false;
		s = slice_skip(s, n);
	}
	return true;
}

/* Letters, digits and inner hyphens, but not digits alone. */
static bool
is_top_label(struct slice s)
{
	bool other = false;

	if (s.len == 0 || s.len > 63 || s.at[0] == '-' || s.at[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!isalnum((unsigned char)s.at[i]) && s.at[i] != '-')
			return false;
		other = other || !isdigit((unsigned char)s.at[i]);
	}
	return other;
}

static bool
is_domain_spec(struct slice s)
{
	bool macro_end;
	ptrdiff_t dot;

	if (s.len == 0 || !is_macro_string(s, false, &macro_end))
		return false;
	if (macro_end)
		return s.at[s.len - 1] == '}';
	if (s.at[s.len - 1] == '.')
		s.len--;
	dot = slice_find_last(s, '.');
	return dot != -1 && is_top_label(slice_skip(s, (size_t)dot + 1));
}

/* -- prefix lengths */

/* Digits at the end behind a slash: cut off. false: there is something like it, but wrong. */
static bool
cut_bits(struct slice *s, const char *slashes, unsigned most, unsigned *bits)
{
	size_t n = 0, k = strlen(slashes);
	struct slice digits;
	uint64_t v;

	*bits = most;
	while (n < s->len && isdigit((unsigned char)s->at[s->len - 1 - n]))
		n++;
	if (n == 0 || s->len < n + k || memcmp(s->at + s->len - n - k, slashes, k) != 0)
		return true;
	digits = slice_skip(*s, s->len - n);
	if (!slice_to_u64(digits, &v) || v > most || (digits.len > 1 && digits.at[0] == '0'))
		return false;
	*bits = (unsigned)v;
	s->len -= n + k;
	return true;
}

static bool
cut_both(struct slice *s, unsigned *bits4, unsigned *bits6)
{
	return cut_bits(s, "//", 128, bits6) && cut_bits(s, "/", 32, bits4);
}

/* -- mechanisms */

/* A term that libspf2 is to look up as "SPEC.NUMBER._term". */
static int
write_term(struct writing *w, char qualifier, enum spf_term_kind kind, struct slice spec,
    unsigned bits4, unsigned bits6)
{
	if (w->terms->n == SPF_TERMS_MAX)
		return wrong(w, "it has too many terms");
	if (spec.len == 0)
		spec = SLICE("%{d}");
	if (spec.at[spec.len - 1] == '.')
		spec.len--;
	w->terms->at[w->terms->n] = (struct spf_term){ kind, bits4, bits6, w->terms->records };
	buf_printf(
	    w->out, " %cexists:%.*s.%zu" SPF_TERM_ZONE, qualifier, SLICE_ARG(spec), w->terms->n++);
	return 0;
}

/* Behind "a", "mx", "ptr", "exists": [":" domain-spec] [dual-cidr-length] */
static int
address_term(struct writing *w, char qualifier, enum spf_term_kind kind, struct slice rest)
{
	unsigned bits4 = 32, bits6 = 128;
	bool named = rest.len > 0 && rest.at[0] == ':';

	if ((kind == SPF_TERM_A || kind == SPF_TERM_MX) && !cut_both(&rest, &bits4, &bits6))
		return wrong(w, "a prefix length is out of range");
	if (named)
		rest = slice_skip(rest, 1);
	if (named ? !is_domain_spec(rest) : rest.len > 0 || kind == SPF_TERM_EXISTS)
		return wrong(w, "a domain name in it is malformed");
	return w->ended ? 0 : write_term(w, qualifier, kind, rest, bits4, bits6);
}

static int
include_term(struct writing *w, char qualifier, struct slice rest)
{
	if (rest.len == 0 || rest.at[0] != ':' || !is_domain_spec(slice_skip(rest, 1)))
		return wrong(w, "a domain name in it is malformed");
	if (!w->ended)
		buf_printf(w->out, " %cinclude%.*s", qualifier, SLICE_ARG(rest));
	return 0;
}

static int
all_term(struct writing *w, char qualifier, struct slice rest)
{
	if (rest.len > 0)
		return wrong(w, "something follows \"all\"");
	if (!w->ended)
		buf_printf(w->out, " %call", qualifier);
	w->ended = true;
	return 0;
}

/* ip4: and ip6: are compared here, since libspf2 refuses /0; a match ends the record like "all". */
static int
network_term(struct writing *w, char qualifier, bool v6, struct slice rest)
{
	char text[64];
	uint8_t network[16];
	unsigned bits;

	if (rest.len == 0 || rest.at[0] != ':')
		return wrong(w, "an address is missing");
	rest = slice_skip(rest, 1);
	if (!cut_bits(&rest, "/", v6 ? 128 : 32, &bits) || !slice_copy(rest, text, sizeof(text)) ||
	    inet_pton(v6 ? AF_INET6 : AF_INET, text, network) != 1)
		return wrong(w, "an address is malformed");
	if (!w->ended && w->client->v6 == v6 && ip_in(w->client, network, bits)) {
		buf_printf(w->out, " %call", qualifier);
		w->ended = true;
	}
	return 0;
}

static int
mechanism(struct writing *w, char qualifier, struct slice name, struct slice rest)
{
	static const struct {
		const char *name;
		enum spf_term_kind kind;
	} address[] = { { "a", SPF_TERM_A }, { "mx", SPF_TERM_MX }, { "ptr", SPF_TERM_PTR },
		{ "exists", SPF_TERM_EXISTS } };

	for (size_t i = 0; i < COUNT(address); i++)
		if (slice_eq_nocase(name, slice_of(address[i].name)))
			return address_term(w, qualifier, address[i].kind, rest);
	if (slice_eq_nocase(name, SLICE("all")))
		return all_term(w, qualifier, rest);
	if (slice_eq_nocase(name, SLICE("include")))
		return include_term(w, qualifier, rest);
	if (slice_eq_nocase(name, SLICE("ip4")) || slice_eq_nocase(name, SLICE("ip6")))
		return network_term(w, qualifier, name.at[2] == '6', rest);
	return wrong(w, "it has an unknown mechanism");
}

/* -- modifiers */

static int
modifier(struct writing *w, struct slice name, struct slice value)
{
	bool redirect = slice_eq_nocase(name, SLICE("redirect")),
	     exp = slice_eq_nocase(name, SLICE("exp")), macro_end;
	bool *once = redirect ? &w->redirected : &w->explained;

	if (!redirect && !exp)
		return is_macro_string(value, true, &macro_end)
			   ? 0
			   : wrong(w, "a modifier is malformed");
	if (*once)
		return wrong(w, "it has redirect= or exp= twice");
	*once = true;
	if (!is_domain_spec(value))
		return wrong(w, "a domain name in it is malformed");
	if (redirect)
		w->redirect = value;
	else
		w->terms->explain = value;
	return 0;
}

static int
term(struct writing *w, struct slice text)
{
	char qualifier = '+';
	size_t n = 0;
	bool qualified = strchr("+-~?", text.at[0]) != NULL;

	if (qualified) {
		qualifier = text.at[0];
		text = slice_skip(text, 1);
	}
	if (text.len > 0 && isalpha((unsigned char)text.at[0]))
		for (n = 1; n < text.len && (isalnum((unsigned char)text.at[n]) ||
						strchr("-_.", text.at[n]) != NULL);)
			n++;
	if (n == 0)
		return wrong(w, "a term has no name");
	if (n < text.len && text.at[n] == '=')
		return qualified ? wrong(w, "a modifier has a qualifier")
				 : modifier(w, slice_first(text, n), slice_skip(text, n + 1));
	return mechanism(w, qualifier, slice_first(text, n), slice_skip(text, n));
}

int
spf_record_translate(struct slice record, const struct ip *client, struct spf_terms *terms,
    struct buf *out, const char **why)
{
	struct writing w = { .client = client, .terms = terms, .out = out };
	struct slice rest = slice_skip(record, 6), one;

	terms->records++;
	terms->explain = (struct slice){ NULL, 0 };
	*why = "it is malformed";
	buf_text(out, "v=spf1");
	for (size_t i = 0; i < record.len; i++)
		if (record.at[i] < ' ' || record.at[i] >= 127)
			return -1;
	while (rest.len > 0) {
		one = slice_cut(&rest, ' ');
		if (one.len > 0 && term(&w, one) == -1) {
			*why = w.why;
			return -1;
		}
	}
	if (w.redirected && !w.ended) {
		/* never matches; that it is asked for says what the next record is */
		if (write_term(&w, '?', SPF_TERM_LEAVE, SLICE("x"), 0, 0) == -1) {
			*why = w.why;
			return -1;
		}
		buf_printf(out, " redirect=%.*s", SLICE_ARG(w.redirect));
	}
	return out->failed ? -1 : 0;
}
