/* dnsbl - is the client on a DNS block list? (RFC 5782)
 *
 * All lists are asked at once. An answer outside 127/8, or one of the 127.255.255.x codes with
 * which lists refuse to answer, is no listing. */
#include <ctype.h>
#include <stdio.h>

#include "filters/check.h"

static bool
is_listing(const struct answer *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const uint8_t *at = (const uint8_t *)a->rdata[i].at;

		if (a->rdata[i].len == 4 && at[0] == 127 && !(at[1] == 255 && at[2] == 255))
			return true;
	}
	return false;
}

static const char *
rule_name(struct judge *j, const char *zone)
{
	char *name = pool_printf(j->pool, "DNSBL_%s", zone);

	for (char *c = name; c != NULL && *c != '\0'; c++)
		*c = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c) : '_';
	return name == NULL ? "DNSBL" : name;
}

static const struct answer *
ask_list(struct judge *j, const struct ip *client, const char *zone)
{
	char name[400], reverse[80];

	ip_reverse(client, reverse);
	snprintf(name, sizeof(name), "%s.%s", reverse, zone);
	return judge_dns(j, name, RR_A);
}

static void
tell_list(struct judge *j, const struct conf_dnsbl *list, const struct answer *a)
{
	if (a->status == DNS_TEMPORARY)
		judge_hit(j, "dnsbl", "temperror", NULL, 0, "%s did not answer", list->name);
	else if (is_listing(a))
		judge_hit(j, "dnsbl", "listed", rule_name(j, list->name), list->weight,
		    "The client %s is listed by %s", j->facts.ip, list->name);
	else
		judge_hit(
		    j, "dnsbl", "clean", NULL, 0, "The client is not listed by %s", list->name);
}

enum check_status
check_dnsbl(struct judge *j)
{
	bool waits = false;
	struct ip client;

	/* addresses of 127/8 are the lists' own test entries; no list knows private ones */
	if (!ip_parse(j->facts.ip, &client) || (ip_is_private(&client) && !ip_is_loopback(&client)))
		return CHECK_DONE;
	for (size_t i = 0; i < j->conf->spam.n_dnsbl; i++)
		if (ask_list(j, &client, j->conf->spam.dnsbl[i].name) == NULL)
			waits = true;
	if (waits)
		return CHECK_WAIT;
	for (size_t i = 0; i < j->conf->spam.n_dnsbl; i++)
		tell_list(
		    j, &j->conf->spam.dnsbl[i], ask_list(j, &client, j->conf->spam.dnsbl[i].name));
	return CHECK_DONE;
}
