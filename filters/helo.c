/* helo - what a client's own name for itself tells, without asking anybody */
#include <string.h>
#include <strings.h>

#include "filters/check.h"

static bool
helo_is_literal(const struct judge *j)
{
	return j->facts.helo[0] == '[';
}

static bool
helo_missing(const void *what)
{
	const struct judge *j = what;

	return j->facts.helo[0] == '\0';
}

static bool
helo_bare_address(const void *what)
{
	const struct judge *j = what;
	struct ip ip;

	return ip_parse(j->facts.helo, &ip);
}

static bool
helo_no_dot(const void *what)
{
	const struct judge *j = what;

	return j->facts.helo[0] != '\0' && !helo_is_literal(j) && !helo_bare_address(what) &&
	       strchr(j->facts.helo, '.') == NULL && strcasecmp(j->facts.helo, "localhost") != 0;
}

static bool
helo_localhost(const void *what)
{
	const struct judge *j = what;
	struct slice helo = slice_of(j->facts.helo);

	return slice_eq_nocase(helo, SLICE("localhost")) ||
	       slice_starts_nocase(helo, SLICE("localhost."));
}

/* An address literal that is not the client's address. */
static bool
helo_other_address(const void *what)
{
	const struct judge *j = what;
	struct slice text = slice_of(j->facts.helo);
	char inner[64];
	struct ip said, is;

	if (text.len < 3 || !helo_is_literal(j) || text.at[text.len - 1] != ']')
		return false;
	text = slice_first(slice_skip(text, 1), text.len - 2);
	if (slice_starts_nocase(text, SLICE("IPv6:")))
		text = slice_skip(text, 5);
	return slice_copy(text, inner, sizeof(inner)) && ip_parse(inner, &said) &&
	       ip_parse(j->facts.ip, &is) && memcmp(&said, &is, sizeof(is)) != 0;
}

static bool
helo_ours(const void *what)
{
	const struct judge *j = what;

	return j->conf->hostname != NULL && strcasecmp(j->facts.helo, j->conf->hostname) == 0;
}

static bool
helo_recipient(const void *what)
{
	const struct judge *j = what;
	const char *domain = address_domain(j->facts.rcpt);

	return domain[0] != '\0' && !helo_ours(what) && strcasecmp(j->facts.helo, domain) == 0;
}

static bool
helo_bad_chars(const void *what)
{
	const struct judge *j = what;

	for (const char *c = j->facts.helo; *c != '\0' && !helo_is_literal(j); c++)
		if (*c <= ' ' || *c >= 127 || strchr("@/\\,;<>\"'()!$%&*=+", *c) != NULL)
			return true;
	return false;
}

static const struct rule rules[] = {
	{ "HELO_MISSING", 1500, helo_missing, "The client did not say HELO" },
	{ "HELO_BARE_ADDRESS", 1500, helo_bare_address,
	    "The HELO name is an address without brackets" },
	{ "HELO_NO_DOT", 1000, helo_no_dot, "The HELO name has no domain" },
	{ "HELO_LOCALHOST", 1500, helo_localhost,
	    "The client from outside calls itself localhost" },
	{ "HELO_OTHER_ADDRESS", 1000, helo_other_address, "The HELO address is not the client's" },
	{ "HELO_OURS", 3000, helo_ours, "The client calls itself by our own name" },
	{ "HELO_RECIPIENT", 1500, helo_recipient,
	    "The client calls itself by the recipient's domain" },
	{ "HELO_BAD_CHARS", 1000, helo_bad_chars,
	    "The HELO name has characters that no host name has" },
};

enum check_status
check_helo(struct judge *j)
{
	struct ip client;

	if (!ip_parse(j->facts.ip, &client) || ip_is_loopback(&client))
		return CHECK_DONE;
	for (size_t i = 0; i < COUNT(rules); i++)
		if (rules[i].hit(j))
			judge_hit(j, rules[i].name, "hit", rules[i].name, rules[i].score, "%s",
			    rules[i].text);
	return CHECK_DONE;
}
