/* params - ESMTP parameters behind the path of MAIL and RCPT
 *
 * One row per parameter that we offer; another is refused by name. */
#include "smtp/proto/params.h"

#include <string.h>

#include "base/utf8.h"
#include "smtp/proto/xtext.h"

typedef enum params_status param_fn(struct params *p, struct slice value, bool utf8);

static enum params_status
checked(bool ok)
{
	return ok ? PARAMS_OK : PARAMS_VALUE;
}

static enum params_status
read_size(struct params *p, struct slice value, bool utf8)
{
	(void)utf8;
	/* 20 digits are the most that RFC 1870 allows */
	return checked(value.len <= 20 && slice_to_u64(value, &p->size));
}

static enum params_status
read_body(struct params *p, struct slice value, bool utf8)
{
	static const struct slice names[] = {
		[BODY_7BIT] = SLICE("7BIT"),
		[BODY_8BIT] = SLICE("8BITMIME"),
		[BODY_BINARY] = SLICE("BINARYMIME"),
	};

	(void)utf8;
	for (size_t i = 0; i < COUNT(names); i++) {
		p->body = (enum params_body)i;
		if (slice_eq_nocase(value, names[i]))
			return PARAMS_OK;
	}
	return PARAMS_VALUE;
}

/* Who wrote it first, as another server says (RFC 4954 5): read, never believed. */
static enum params_status
read_auth(struct params *p, struct slice value, bool utf8)
{
	(void)p;
	(void)utf8;
	return checked(value.len > 0 && xtext_ok(value));
}

/* SMTPUTF8 and REQUIRETLS */
static enum params_status
read_bare(struct params *p, struct slice value, bool utf8)
{
	(void)p;
	(void)utf8;
	return checked(value.at == NULL);
}

static enum params_status
read_ret(struct params *p, struct slice value, bool utf8)
{
	(void)utf8;
	if (slice_eq_nocase(value, SLICE("FULL")))
		p->ret = RET_FULL;
	else if (slice_eq_nocase(value, SLICE("HDRS")))
		p->ret = RET_HDRS;
	return checked(p->ret != RET_NONE);
}

static enum params_status
read_envid(struct params *p, struct slice value, bool utf8)
{
	(void)utf8;
	if (value.len > ENVID_MAX)
		return PARAMS_LONG;
	p->envid = value;
	return checked(value.len > 0 && xtext_ok(value));
}

/* NEVER alone, or any of the others, each once. */
static enum params_status
read_notify(struct params *p, struct slice value, bool utf8)
{
	static const struct {
		struct slice name;
		unsigned flag;
	} rows[] = {
		{ SLICE("NEVER"), NOTIFY_NEVER },
		{ SLICE("SUCCESS"), NOTIFY_SUCCESS },
		{ SLICE("FAILURE"), NOTIFY_FAILURE },
		{ SLICE("DELAY"), NOTIFY_DELAY },
	};

	(void)utf8;
	while (value.at != NULL) {
		struct slice word = slice_cut(&value, ',');
		unsigned flag = 0;

		for (size_t i = 0; i < COUNT(rows); i++)
			if (slice_eq_nocase(word, rows[i].name))
				flag = rows[i].flag;
		if (flag == 0 || (p->notify & flag))
			return PARAMS_VALUE;
		p->notify |= flag;
	}
	return checked(
	    p->notify != 0 && (!(p->notify & NOTIFY_NEVER) || p->notify == NOTIFY_NEVER));
}

static enum params_status
read_orcpt(struct params *p, struct slice value, bool utf8)
{
	if (value.len > ORCPT_MAX)
		return PARAMS_LONG;
	p->orcpt = value;
	return checked(xtext_orcpt_ok(value, utf8));
}

#define HAS(name) offsetof(struct params, has_##name)

static const struct param_row {
	const char *name;
	unsigned where;
	size_t seen; /* offset of its has_ flag */
	param_fn *read;
} rows[] = {
	{ "SIZE", PARAMS_MAIL, HAS(size), read_size },
	{ "BODY", PARAMS_MAIL, HAS(body), read_body },
	{ "AUTH", PARAMS_MAIL, HAS(auth), read_auth },
	{ "SMTPUTF8", PARAMS_MAIL, HAS(utf8), read_bare },
	{ "REQUIRETLS", PARAMS_MAIL, HAS(requiretls), read_bare },
	{ "RET", PARAMS_MAIL, HAS(ret), read_ret },
	{ "ENVID", PARAMS_MAIL, HAS(envid), read_envid },
	{ "NOTIFY", PARAMS_RCPT, HAS(notify), read_notify },
	{ "ORCPT", PARAMS_RCPT, HAS(orcpt), read_orcpt },
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

/* Printable and without '='; bytes of UTF-8 are looked at by who may take them (RFC 6531 3.3). */
static bool
value_ok(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] <= 32 || s.at[i] == '=' || s.at[i] == 127)
			return false;
	return utf8_ok(s);
}

static enum params_status
read_one(struct slice word, enum params_for where, bool utf8, struct params *out)
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
		return rows[i].read(out, value, utf8 || out->has_utf8);
	}
	return PARAMS_UNKNOWN;
}

enum params_status
params_read(
    struct slice args, enum params_for where, bool utf8, struct params *out, struct slice *culprit)
{
	memset(out, 0, sizeof(*out));
	*culprit = (struct slice){ "", 0 };
	for (args = slice_trim(args); args.len > 0; args = slice_trim(args)) {
		struct slice word = slice_cut(&args, ' ');
		enum params_status status = read_one(word, where, utf8, out);

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
		[PARAMS_LONG] = "The value of the parameter is too long",
	};

	return words[status];
}
