/* params - ESMTP parameters behind the path of MAIL and RCPT
 *
 * One row per parameter that we offer; another is refused by name. */
#include "smtp/proto/params.h"

#include <string.h>

typedef bool param_fn(struct params *p, struct slice value);

static bool
read_size(struct params *p, struct slice value)
{
	/* 20 digits are the most that RFC 1870 allows */
	return value.len <= 20 && slice_to_u64(value, &p->size);
}

static bool
read_body(struct params *p, struct slice value)
{
	p->eight_bit = slice_eq_nocase(value, SLICE("8BITMIME"));
	return p->eight_bit || slice_eq_nocase(value, SLICE("7BIT"));
}

/* Who wrote it first, as another server says (RFC 4954 5): read, never believed. */
static bool
read_auth(struct params *p, struct slice value)
{
	(void)p;
	return value.len > 0;
}

static const struct param_row {
	const char *name;
	unsigned where;
	size_t seen; /* offset of its has_ flag */
	param_fn *read;
} rows[] = {
	{ "SIZE", PARAMS_MAIL, offsetof(struct params, has_size), read_size },
	{ "BODY", PARAMS_MAIL, offsetof(struct params, has_body), read_body },
	{ "AUTH", PARAMS_MAIL, offsetof(struct params, has_auth), read_auth },
};

static bool
keyword_ok(struct slice s)
{
	if (s.len == 0 || s.at[0] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '-')
			return false;
	}
	return true;
}

static bool
value_ok(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] <= 32 || s.at[i] == '=' || s.at[i] == 127)
			return false;
	return true;
}

static enum params_status
read_one(struct slice word, enum params_for where, struct params *out)
{
	struct slice value = word;
	struct slice name = slice_cut(&value, '=');

	if (!keyword_ok(name) || !value_ok(value) || (value.at != NULL && value.len == 0))
		return PARAMS_SYNTAX;
	for (size_t i = 0; i < COUNT(rows); i++) {
		bool *seen = (bool *)((char *)out + rows[i].seen);

		if (!(rows[i].where & where) || !slice_eq_nocase(name, slice_of(rows[i].name)))
			continue;
		if (*seen)
			return PARAMS_TWICE;
		*seen = true;
		return rows[i].read(out, value) ? PARAMS_OK : PARAMS_VALUE;
	}
	return PARAMS_UNKNOWN;
}

enum params_status
params_read(struct slice args, enum params_for where, struct params *out, struct slice *culprit)
{
	memset(out, 0, sizeof(*out));
	*culprit = (struct slice){ "", 0 };
	for (args = slice_trim(args); args.len > 0; args = slice_trim(args)) {
		struct slice word = slice_cut(&args, ' ');
		enum params_status status = read_one(word, where, out);

		if (status != PARAMS_OK) {
			*culprit = word;
			return status;
		}
	}
	return PARAMS_OK;
}

const char *
params_why(enum params_status status)
{
	static const char *const words[] = {
		[PARAMS_OK] = "Fine",
		[PARAMS_SYNTAX] = "That is not a parameter of the form NAME=VALUE",
		[PARAMS_TWICE] = "The parameter is given twice",
		[PARAMS_UNKNOWN] = "This server does not offer that parameter",
		[PARAMS_VALUE] = "The parameter does not take that value",
	};

	return words[status];
}
