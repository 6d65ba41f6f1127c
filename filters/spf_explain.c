/* spf_explain - fetches and expands the explanation
 *
 * The text is a stranger's: it is one line of ASCII, bounded, and whoever shows it says whose it is.
 * Whatever goes wrong on the way, there is no explanation and the result stays. */
#include "filters/spf_explain.h"

#include <string.h>

#include "filters/spf_macro.h"

#define NAME_MAX_LEN 2048
#define TEXT_MAX 1000
#define NAMES_MAX 10

/* -- the client's name: the domain itself, else one below it, else any (RFC 7208 7.3) */

static unsigned
closeness(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	if (n < d || strcasecmp(name + n - d, domain) != 0)
		return 1;
	return n == d ? 3 : name[n - d - 1] == '.' ? 2 : 1;
}

static bool
leads_back(const struct answer *a, const struct ip *client)
{
	size_t len = client->v6 ? 16 : 4;

	for (size_t i = 0; i < a->n; i++)
		if (a->rdata[i].len == len && memcmp(a->rdata[i].at, client->bytes, len) == 0)
			return true;
	return false;
}

/* `out` is "unknown" when the client has no name that leads back to it. */
static enum check_status
client_name(struct judge *j, const struct ip *client, const char *domain, char out[static 256])
{
	char reverse[100], host[256];
	const struct answer *ptr, *a;
	enum check_status status = CHECK_DONE;
	unsigned best = 0;

	strcpy(out, "unknown");
	ip_reverse(client, reverse);
	strcat(reverse, client->v6 ? ".ip6.arpa" : ".in-addr.arpa");
	ptr = judge_dns(j, reverse, RR_PTR);
	if (ptr == NULL)
		return CHECK_WAIT;
	for (size_t i = 0; i < ptr->n && i < NAMES_MAX; i++) {
		if (!rdata_name(ptr->rdata[i], 0, host))
			continue;
		a = judge_dns(j, host, client->v6 ? RR_AAAA : RR_A);
		if (a == NULL) {
			status = CHECK_WAIT;
		} else if (leads_back(a, client) && closeness(host, domain) > best) {
			best = closeness(host, domain);
			strcpy(out, host);
		}
	}
	return status;
}

/* -- the text */

static bool
is_plain(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] < ' ' || text.at[i] >= 127)
			return false;
	return true;
}

/* Expand into the pool; "" when that cannot be. */
static enum check_status
expand(struct judge *j, struct slice text, bool in_text, struct spf_names *names, const char **out)
{
	char validated[256] = "unknown";
	struct buf line;

	*out = "";
	if (spf_macro_wants_name(text) &&
	    client_name(j, names->client, names->domain, validated) == CHECK_WAIT)
		return CHECK_WAIT;
	names->validated = validated;
	buf_init(&line, in_text ? TEXT_MAX : NAME_MAX_LEN);
	if (spf_macro_expand(text, in_text, names, &line))
		*out = pool_text(j->pool, buf_all(&line));
	if (*out == NULL)
		*out = "";
	buf_free(&line);
	return CHECK_DONE;
}

enum check_status
spf_explain(struct judge *j, const struct ip *client, const char *helo, const char *sender,
    const char *domain, struct slice spec, const char **text)
{
	struct spf_names names = { .sender = sender,
		.helo = helo,
		.domain = domain,
		.receiver = j->conf->hostname,
		.client = client,
		.now = j->facts.now / 1000000 };
	const struct answer *a;
	struct slice line;
	const char *name;

	*text = "";
	if (expand(j, spec, false, &names, &name) == CHECK_WAIT)
		return CHECK_WAIT;
	a = judge_dns(j, spf_macro_fit(name), RR_TXT);
	if (a == NULL)
		return CHECK_WAIT;
	if (a->status != DNS_OK || a->n != 1)
		return CHECK_DONE;
	line = a->rdata[0];
	return is_plain(line) ? expand(j, line, true, &names, text) : CHECK_DONE;
}
