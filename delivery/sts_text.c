/* sts_text - what a domain publishes for MTA-STS (RFC 8461), as text: its TXT record and its policy
 *
 * Both come from strangers. A policy is kept as the few lines of it that mean something, so that what
 * is stored, matched and reported is one and the same text. */
#include "delivery/sts_text.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
take_id(struct slice value, char id[static STS_ID])
{
	if (value.len == 0 || value.len >= STS_ID)
		return false;
	for (size_t i = 0; i < value.len; i++)
		if (!is_alnum(value.at[i]))
			return false;
	return slice_copy(value, id, STS_ID);
}

bool
sts_record(struct slice txt, char id[static STS_ID])
{
	struct slice rest = txt, field = slice_trim(slice_cut(&rest, ';'));
	bool found = false;

	if (!slice_eq(field, SLICE("v=STSv1")))
		return false;
	while (rest.len > 0 && !found) {
		struct slice value = slice_trim(slice_cut(&rest, ';'));
		struct slice name = slice_trim(slice_cut(&value, '='));

		if (slice_eq(name, SLICE("id")))
			found = take_id(slice_trim(value), id);
	}
	return found;
}

/* -- the policy */

struct reading {
	struct sts_policy *p;
	struct buf lines;
	bool version, mode, age;
	unsigned mx;
	const char *wrong;
};

static void
take_version(struct reading *r, struct slice value)
{
	if (!slice_eq(value, SLICE("STSv1")))
		r->wrong = "its version is not STSv1";
	r->version = true;
}

static void
take_mode(struct reading *r, struct slice value)
{
	static const char *const words[] = {
		[STS_NONE] = "none", [STS_TESTING] = "testing", [STS_ENFORCE] = "enforce"
	};

	r->mode = true;
	for (size_t i = 0; i < COUNT(words); i++) {
		if (slice_eq(value, slice_of(words[i]))) {
			r->p->mode = (enum sts_mode)i;
			buf_printf(&r->lines, "mode: %s\n", words[i]);
			return;
		}
	}
	r->wrong = "its mode is none of enforce, testing, none";
}

static void
take_age(struct reading *r, struct slice value)
{
	uint64_t n;

	r->age = true;
	if (value.len > 10 || !slice_to_u64(value, &n)) {
		r->wrong = "its max_age is no number";
		return;
	}
	r->p->max_age = n > STS_MAX_AGE ? STS_MAX_AGE : (uint32_t)n;
	buf_printf(&r->lines, "max_age: %u\n", r->p->max_age);
}

static void
take_mx(struct reading *r, struct slice value)
{
	if (value.len == 0 || value.len > 253 || ++r->mx > STS_MX_MAX) {
		r->wrong =
		    r->mx > STS_MX_MAX ? "it names too many hosts" : "one of its mx is no name";
		return;
	}
	for (size_t i = 0; i < value.len; i++) {
		char c = value.at[i];

		if (!is_alnum(c) && c != '-' && c != '.' && c != '_' && !(c == '*' && i == 0)) {
			r->wrong = "one of its mx is no name";
			return;
		}
	}
	buf_printf(&r->lines, "mx: %.*s\n", SLICE_ARG(value));
}

/* Of all but mx the first one counts. */
static void
take_line(struct reading *r, struct slice line)
{
	struct slice value = line, name = slice_trim(slice_cut(&value, ':'));

	value = slice_trim(value);
	if (slice_eq(name, SLICE("version")) && !r->version)
		take_version(r, value);
	else if (slice_eq(name, SLICE("mode")) && !r->mode)
		take_mode(r, value);
	else if (slice_eq(name, SLICE("max_age")) && !r->age)
		take_age(r, value);
	else if (slice_eq(name, SLICE("mx")))
		take_mx(r, value);
}

static const char *
missing(const struct reading *r)
{
	if (!r->version)
		return "it has no version";
	if (!r->mode)
		return "it has no mode";
	if (!r->age)
		return "it has no max_age";
	if (r->mx == 0 && r->p->mode != STS_NONE)
		return "it names no mx";
	return r->lines.failed ? "it is too long" : NULL;
}

const char *
sts_parse(struct slice text, struct sts_policy *p)
{
	struct reading r = { .p = p };
	struct slice rest = text, line;

	memset(p, 0, sizeof(*p));
	buf_init(&r.lines, sizeof(p->text) - 1);
	buf_text(&r.lines, "version: STSv1\n");
	while (r.wrong == NULL && slice_line(&rest, &line))
		take_line(&r, line);
	if (r.wrong == NULL)
		r.wrong = missing(&r);
	slice_copy(slice_trim(buf_all(&r.lines)), p->text, sizeof(p->text));
	buf_free(&r.lines);
	return r.wrong;
}

/* -- which hosts */

static bool
pattern_names(struct slice pattern, struct slice host)
{
	if (pattern.len > 2 && pattern.at[0] == '*' && pattern.at[1] == '.') {
		ptrdiff_t dot = slice_find(host, '.');

		return dot > 0 &&
		       slice_eq_nocase(slice_skip(pattern, 2), slice_skip(host, (size_t)dot + 1));
	}
	return slice_eq_nocase(pattern, host);
}

bool
sts_names(const char *text, const char *host)
{
	struct slice rest = slice_of(text), line, name = slice_of(host);

	if (name.len > 0 && name.at[name.len - 1] == '.')
		name.len--;
	while (slice_line(&rest, &line))
		if (slice_starts(line, SLICE("mx: ")) && pattern_names(slice_skip(line, 4), name))
			return true;
	return false;
}
