/* arc_chain - collecting the sets of a chain
 *
 * Each instance from 1 to the last has exactly one of three fields; seals say cv=none in the first set
 * and cv=pass in all others. Tag values are checked here, before any key is asked for. */
#include "filters/arc_chain.h"

#include <ctype.h>
#include <string.h>

/* 1 to 50; 0: it is no instance. */
static unsigned
instance_of(struct slice text)
{
	uint64_t n;

	if (text.len > 2 || !slice_to_u64(text, &n) || n > ARC_SETS_MAX)
		return 0;
	return (unsigned)n;
}

/* "i=N;" at the front of ARC-Authentication-Results. */
static unsigned
results_instance(struct slice value)
{
	struct slice rest = value, first = slice_cut(&rest, ';');
	struct slice name;

	if (rest.at == NULL)
		return 0;
	name = slice_trim(slice_cut(&first, '='));
	return slice_eq(name, SLICE("i")) ? instance_of(slice_trim(first)) : 0;
}

static bool
put_once(const struct mime_field **slot, const struct mime_field *f)
{
	if (*slot != NULL)
		return false;
	*slot = f;
	return true;
}

static bool
take_results(struct arc_chain *c, const struct mime_field *f, unsigned *i)
{
	*i = results_instance(f->value);
	return *i != 0 && put_once(&c->sets[*i - 1].results, f);
}

static bool
take_signature(struct arc_chain *c, const struct mime_field *f, unsigned *i)
{
	struct tags tags;

	if (!tags_read(f->value, &tags))
		return false;
	*i = instance_of(tags_get(&tags, "i"));
	if (*i == 0)
		return false;
	c->sets[*i - 1].signature_tags = tags;
	return put_once(&c->sets[*i - 1].signature, f);
}

static bool
take_seal(struct arc_chain *c, const struct mime_field *f, unsigned *i)
{
	struct tags tags;

	if (!tags_read(f->value, &tags))
		return false;
	*i = instance_of(tags_get(&tags, "i"));
	if (*i == 0)
		return false;
	c->sets[*i - 1].seal_tags = tags;
	return put_once(&c->sets[*i - 1].seal, f);
}

static const struct {
	const char *name;
	bool (*take)(struct arc_chain *c, const struct mime_field *f, unsigned *i);
} fields[] = {
	{ "ARC-Authentication-Results", take_results },
	{ "ARC-Message-Signature", take_signature },
	{ "ARC-Seal", take_seal },
};

/* -- the form of tags */

static bool
is_domain(struct slice name)
{
	if (name.len == 0 || name.len > 253)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum((unsigned char)name.at[i]) && strchr("-_.", name.at[i]) == NULL)
			return false;
	return true;
}

static bool
is_time(const struct tags *tags)
{
	struct slice t = tags_get(tags, "t");
	uint64_t n;

	return t.at == NULL || (t.len <= 12 && slice_to_u64(t, &n));
}

/* What seals and message signatures have in common. */
static bool
tags_sign(const struct tags *tags)
{
	struct slice a = tags_get(tags, "a");

	return (slice_eq(a, SLICE("rsa-sha256")) || slice_eq(a, SLICE("ed25519-sha256"))) &&
	       is_domain(tags_get(tags, "d")) && is_domain(tags_get(tags, "s")) &&
	       tags_get(tags, "b").len > 0 && is_time(tags);
}

/* Seals are signed over by the seals to come, never by a message signature (RFC 8617 4.1.2). */
static bool
signs_seals(struct slice h)
{
	while (h.len > 0)
		if (slice_eq_nocase(slice_trim(slice_cut(&h, ':')), SLICE("ARC-Seal")))
			return true;
	return false;
}

static bool
signature_ok(const struct tags *tags)
{
	/* a length (l=) would leave text unsigned */
	return tags_sign(tags) && tags_get(tags, "bh").len > 0 && tags_get(tags, "h").len > 0 &&
	       !signs_seals(tags_get(tags, "h")) && !tags_have(tags, "l") && !tags_have(tags, "v");
}

static bool
seal_ok(const struct tags *tags, bool first)
{
	return tags_sign(tags) && !tags_have(tags, "h") && !tags_have(tags, "bh") &&
	       slice_eq(tags_get(tags, "cv"), first ? SLICE("none") : SLICE("pass"));
}

static enum arc_form
malformed(struct arc_chain *c, const char *why)
{
	c->why = why;
	return ARC_MALFORMED;
}

static enum arc_form
collect(const struct mime_field *all, size_t n, struct arc_chain *c)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < COUNT(fields); k++) {
			unsigned at = 0;

			if (!slice_eq_nocase(all[i].name, slice_of(fields[k].name)))
				continue;
			if (!fields[k].take(c, &all[i], &at))
				return malformed(c, "a field of it is malformed or there twice");
			if (at > c->n)
				c->n = at;
		}
	}
	return c->n == 0 ? ARC_NO_CHAIN : ARC_WELL_FORMED;
}

enum arc_form
arc_chain_read(const struct mime_field *all, size_t n, struct arc_chain *out)
{
	enum arc_form form;

	memset(out, 0, sizeof(*out));
	form = collect(all, n, out);
	if (form != ARC_WELL_FORMED)
		return form;
	for (size_t i = 0; i < out->n; i++) {
		const struct arc_set *set = &out->sets[i];

		if (set->results == NULL || set->signature == NULL || set->seal == NULL)
			return malformed(out, "a set of it lacks a field");
	}
	if (slice_eq(tags_get(&out->sets[out->n - 1].seal_tags, "cv"), SLICE("fail")))
		return ARC_ENDED;
	for (size_t i = 0; i < out->n; i++) {
		if (!signature_ok(&out->sets[i].signature_tags))
			return malformed(out, "a message signature of it is malformed");
		if (!seal_ok(&out->sets[i].seal_tags, i == 0))
			return malformed(out, "a seal of it is malformed or out of order");
	}
	return ARC_WELL_FORMED;
}

unsigned
arc_chain_last(const struct mime_field *all, size_t n, bool *ended)
{
	unsigned last = 0, i;
	struct tags tags;

	*ended = false;
	for (size_t k = 0; k < n; k++) {
		bool seal = slice_eq_nocase(all[k].name, SLICE("ARC-Seal"));

		if (slice_eq_nocase(all[k].name, SLICE("ARC-Authentication-Results")))
			i = results_instance(all[k].value);
		else if ((seal || slice_eq_nocase(all[k].name, SLICE("ARC-Message-Signature"))) &&
			 tags_read(all[k].value, &tags))
			i = instance_of(tags_get(&tags, "i"));
		else
			continue;
		if (i > last)
			*ended = false;
		if (i >= last && seal)
			*ended = *ended || slice_eq(tags_get(&tags, "cv"), SLICE("fail"));
		last = i > last ? i : last;
	}
	return last;
}

/* -- what a sealer saw */

/* The next result: up to a semicolon outside of comments and quotes, comments left out. */
static bool
next_result(struct slice *rest, char *out, size_t size)
{
	unsigned depth = 0;
	bool quoted = false;
	size_t n = 0;

	if (rest->len == 0)
		return false;
	while (rest->len > 0) {
		char c = rest->at[0];

		*rest = slice_skip(*rest, c == '\\' && (quoted || depth > 0) ? 2 : 1);
		if (quoted)
			quoted = c != '"';
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && c == '"')
			quoted = true;
		else if (depth == 0 && c == ';')
			break;
		else if (depth == 0 && n + 1 < size)
			out[n++] =
			    isspace((unsigned char)c) ? ' ' : (char)tolower((unsigned char)c);
	}
	out[n] = '\0';
	return true;
}

static bool
is_pass_for(const char *result, const char *author)
{
	const char *at = result + strspn(result, " "), *from;
	size_t n = strlen(author);

	if (strncmp(at, "dmarc", 5) != 0)
		return false;
	at += 5 + strspn(at + 5, " ");
	if (*at++ != '=')
		return false;
	at += strspn(at, " ");
	if (strncmp(at, "pass", 4) != 0 || (at[4] != ' ' && at[4] != '\0'))
		return false;
	from = strstr(at, "header.from=");
	if (from == NULL)
		return true;
	from += strlen("header.from=");
	return strncmp(from, author, n) == 0 && (from[n] == ' ' || from[n] == '\0');
}

bool
arc_saw_dmarc_pass(const struct arc_set *set, const char *author)
{
	struct slice rest = set->results->value;
	char result[512];

	while (next_result(&rest, result, sizeof(result)))
		if (is_pass_for(result, author))
			return true;
	return false;
}
