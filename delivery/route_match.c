/* route_match - which route section holds
 *
 * A section is for the domains it lists, else for the one that its title names; one that lists senders and no domains is
 * for all domains. Pure; never fails. */
#include "delivery/route_match.h"

#include <string.h>
#include <strings.h>

enum fit { FIT_NOT, FIT_ALL, FIT_PART, FIT_EXACT };

static enum fit
domain_fit(const char *pattern, const char *domain)
{
	size_t len = strlen(domain), tail;

	if (strcmp(pattern, "*") == 0)
		return FIT_ALL;
	if (strcasecmp(pattern, domain) == 0)
		return FIT_EXACT;
	if (pattern[0] != '*' || pattern[1] != '.')
		return FIT_NOT;
	tail = strlen(pattern + 1);
	return len > tail && strcasecmp(domain + len - tail, pattern + 1) == 0 ? FIT_PART : FIT_NOT;
}

static enum fit
fit_of_domain(const struct conf_route *r, const char *domain)
{
	enum fit best = FIT_NOT, one;

	if (r->domain.n == 0)
		return r->sender.n > 0 ? FIT_ALL : domain_fit(r->name, domain);
	for (size_t i = 0; i < r->domain.n; i++) {
		one = domain_fit(r->domain.at[i], domain);
		if (one > best)
			best = one;
	}
	return best;
}

/* "alice@example.org", "example.org", or "<>". */
static enum fit
sender_fit(const char *pattern, const char *sender)
{
	const char *at = strrchr(sender, '@');

	if (strcmp(pattern, "<>") == 0)
		return sender[0] == '\0' ? FIT_EXACT : FIT_NOT;
	if (strchr(pattern, '@') != NULL)
		return strcasecmp(pattern, sender) == 0 ? FIT_EXACT : FIT_NOT;
	return at != NULL && strcasecmp(pattern, at + 1) == 0 ? FIT_PART : FIT_NOT;
}

static enum fit
fit_of_sender(const struct conf_route *r, const char *sender)
{
	enum fit best = FIT_NOT, one;

	if (r->sender.n == 0)
		return FIT_ALL;
	for (size_t i = 0; sender != NULL && i < r->sender.n; i++) {
		one = sender_fit(r->sender.at[i], sender);
		if (one > best)
			best = one;
	}
	return best;
}

const struct conf_route *
route_match(const struct conf *conf, const char *domain, const char *sender)
{
	const struct conf_route *best = NULL;
	unsigned best_fit = 0;

	for (size_t i = 0; i < conf->n_route; i++) {
		const struct conf_route *r = &conf->route[i];
		enum fit d = fit_of_domain(r, domain), s = fit_of_sender(r, sender);
		unsigned fit = d == FIT_NOT || s == FIT_NOT ? 0 : 4u * d + s;

		if (fit > best_fit) {
			best = r;
			best_fit = fit;
		}
	}
	return best;
}
