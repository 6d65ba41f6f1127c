/* dkim_field - the rules for a signature's tags
 *
 * A row for each tag that has a rule of its own; a signature that breaks one is judged without its key
 * (RFC 6376 6.1.1). What costs time in the number of tags, names or bytes has a ceiling here: a hostile
 * field costs no more than a look at it. */
#include "filters/dkim_field.h"

#include <ctype.h>
#include <string.h>

#define SIGNATURE_MAX 4096 /* bytes of b=, folded; RSA of 8192 bits takes 1368 */
#define HASH_MAX 256

static bool
is_name(struct slice s, size_t most)
{
	if (s.len == 0 || s.len > most)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.at[i]) && strchr("-_.", s.at[i]) == NULL)
			return false;
	return s.at[0] != '.';
}

static bool
version_ok(struct slice v, const struct tags *tags)
{
	(void)tags;
	return slice_eq(v, SLICE("1"));
}

static bool
domain_ok(struct slice v, const struct tags *tags)
{
	(void)tags;
	return is_name(v, 253);
}

static bool
signature_ok(struct slice v, const struct tags *tags)
{
	(void)tags;
	return v.len > 0 && v.len <= SIGNATURE_MAX;
}

static bool
hash_ok(struct slice v, const struct tags *tags)
{
	(void)tags;
	return v.len > 0 && v.len <= HASH_MAX;
}

/* The author's field must be among them; a name may stand there often. */
static bool
names_ok(struct slice v, const struct tags *tags)
{
	bool from = false;
	size_t n = 0;

	(void)tags;
	while (v.at != NULL) {
		from = slice_eq_nocase(slice_trim(slice_cut(&v, ':')), SLICE("from")) || from;
		if (++n > DKIM_NAMES_MAX)
			return false;
	}
	return from;
}

/* "local@domain" or "@domain", at or below d=. */
static bool
identity_ok(struct slice v, const struct tags *tags)
{
	struct slice d = tags_get(tags, "d"), host;
	ptrdiff_t at = slice_find_last(v, '@');

	if (at == -1)
		return false;
	host = slice_skip(v, (size_t)at + 1);
	return slice_ends_nocase(host, d) &&
	       (host.len == d.len || (host.len > d.len && host.at[host.len - d.len - 1] == '.'));
}

static bool
query_ok(struct slice v, const struct tags *tags)
{
	(void)tags;
	while (v.at != NULL)
		if (slice_eq(slice_trim(slice_cut(&v, ':')), SLICE("dns/txt")))
			return true;
	return false;
}

static bool
number_ok(struct slice v, const struct tags *tags)
{
	uint64_t n;

	(void)tags;
	return v.len <= 20 && slice_to_u64(v, &n);
}

static const struct {
	const char *name;
	bool needed;
	bool (*ok)(struct slice value, const struct tags *tags);
	const char *why;
} rules[] = {
	{ "v", true, version_ok, "its version (v=) is not 1" },
	{ "d", true, domain_ok, "its domain (d=) is malformed" },
	{ "s", true, domain_ok, "its selector (s=) is malformed" },
	{ "h", true, names_ok, "its list of fields (h=) is too long or lacks From" },
	{ "b", true, signature_ok, "its signature (b=) is missing or too long" },
	{ "bh", true, hash_ok, "its hash (bh=) is missing or too long" },
	{ "i", false, identity_ok, "its identity (i=) is not of its domain (d=)" },
	{ "q", false, query_ok, "its key is not to be had from DNS (q=)" },
	{ "l", false, number_ok, "its length (l=) is no number" },
	{ "t", false, number_ok, "its time (t=) is no number" },
	{ "x", false, number_ok, "its end (x=) is no number" },
};

static enum dkim_result
wrong(const char **why, const char *text)
{
	*why = text;
	return DKIM_IS_PERMERROR;
}

static enum dkim_result
algorithm(const struct tags *tags, const char **why)
{
	struct slice a = tags_get(tags, "a");

	if (slice_eq_nocase(a, SLICE("rsa-sha1"))) {
		*why = "rsa-sha1 is not accepted any more";
		return DKIM_IS_POLICY;
	}
	if (!slice_eq_nocase(a, SLICE("rsa-sha256")) &&
	    !slice_eq_nocase(a, SLICE("ed25519-sha256")))
		return wrong(why, "its algorithm (a=) is unknown");
	return DKIM_IS_NONE;
}

/* x= must not be past, nor before t=; t= not far ahead. */
static enum dkim_result
times(const struct tags *tags, int64_t now, const char **why)
{
	uint64_t made = 0, end = 0;
	bool has_made = slice_to_u64(tags_get(tags, "t"), &made),
	     ends = slice_to_u64(tags_get(tags, "x"), &end);

	if (ends && has_made && end < made)
		return wrong(why, "it ends (x=) before it was made (t=)");
	*why = "the signature is not valid at this time";
	if ((ends && end < (uint64_t)now) || (has_made && made > (uint64_t)now + DKIM_CLOCK_SKEW))
		return DKIM_IS_FAIL;
	return DKIM_IS_NONE;
}

enum dkim_result
dkim_field_read(struct slice value, int64_t now, struct tags *tags, const char **why)
{
	enum dkim_result r;

	tags->n = 0;
	if (value.len > DKIM_FIELD_MAX)
		return wrong(why, "the signature field is too long");
	if (!tags_read(value, tags)) {
		tags->n = 0;
		return wrong(why, "the signature is malformed or has too many tags");
	}
	for (size_t i = 0; i < COUNT(rules); i++) {
		struct slice v = tags_get(tags, rules[i].name);

		if (v.at == NULL ? rules[i].needed : !rules[i].ok(v, tags))
			return wrong(why, rules[i].why);
	}
	r = algorithm(tags, why);
	return r != DKIM_IS_NONE ? r : times(tags, now, why);
}
