/* rdns - what DNS says about the client itself: its name, whether the name leads back to it, and
 * whether its HELO name exists
 *
 * Nothing is said when DNS did not answer, or about clients on private networks. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "filters/check.h"

#define NAMES_MAX 5

/* Does one of the client's names have the client's address? name gets that one, or the first. NULL
 * answer: wait. */
enum rdns { RDNS_WAIT, RDNS_UNKNOWN, RDNS_NONE, RDNS_MISMATCH, RDNS_CONFIRMED };

static enum rdns
confirm(struct judge *j, const struct ip *client, const struct answer *ptr, char name[static 256])
{
	bool waits = false, unknown = false;
	char host[256];

	for (size_t i = 0; i < ptr->n && i < NAMES_MAX; i++) {
		const struct answer *a;

		if (!rdata_name(ptr->rdata[i], 0, host))
			continue;
		if (name[0] == '\0')
			memcpy(name, host, sizeof(host));
		a = judge_dns(j, host, client->v6 ? RR_AAAA : RR_A);
		waits = waits || a == NULL;
		unknown = unknown || (a != NULL && a->status == DNS_TEMPORARY);
		for (size_t k = 0; a != NULL && k < a->n; k++)
			if (a->rdata[k].len == (client->v6 ? 16 : 4) &&
			    memcmp(a->rdata[k].at, client->bytes, a->rdata[k].len) == 0) {
				memcpy(name, host, sizeof(host));
				return RDNS_CONFIRMED;
			}
	}
	return waits             ? RDNS_WAIT
	       : unknown         ? RDNS_UNKNOWN
	       : name[0] == '\0' ? RDNS_NONE
				 : RDNS_MISMATCH;
}

static enum rdns
find_name(struct judge *j, const struct ip *client, char name[static 256])
{
	char reverse[100];
	const struct answer *ptr;

	ip_reverse(client, reverse);
	strcat(reverse, client->v6 ? ".ip6.arpa" : ".in-addr.arpa");
	name[0] = '\0';
	ptr = judge_dns(j, reverse, RR_PTR);
	if (ptr == NULL)
		return RDNS_WAIT;
	if (ptr->status == DNS_TEMPORARY)
		return RDNS_UNKNOWN;
	return ptr->status == DNS_OK ? confirm(j, client, ptr, name) : RDNS_NONE;
}

/* Names that providers give to every line: the address is in it. */
static bool
is_generic(const char *name, const struct ip *ip)
{
	char forms[4][20];
	static const char *const form[] = { "%u-%u-%u-%u", "%u.%u.%u.%u" };

	if (ip->v6)
		return false;
	for (size_t i = 0; i < 2; i++) {
		const uint8_t *b = ip->bytes;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(forms[2 * i], sizeof(forms[0]), form[i], b[0], b[1], b[2], b[3]);
		snprintf(forms[2 * i + 1], sizeof(forms[0]), form[i], b[3], b[2], b[1], b[0]);
#pragma GCC diagnostic pop
	}
	for (size_t i = 0; i < COUNT(forms); i++)
		if (strstr(name, forms[i]) != NULL)
			return true;
	return false;
}

/* 1 it has an address, 0 it has none, -1 nobody knows, -2 wait. */
static int
helo_exists(struct judge *j)
{
	const struct answer *v4, *v6;

	if (j->facts.helo[0] == '[' || strchr(j->facts.helo, '.') == NULL)
		return -1;
	v4 = judge_dns(j, j->facts.helo, RR_A);
	v6 = judge_dns(j, j->facts.helo, RR_AAAA);
	if (v4 == NULL || v6 == NULL)
		return -2;
	if (v4->status == DNS_OK || v6->status == DNS_OK)
		return 1;
	return v4->status == DNS_TEMPORARY || v6->status == DNS_TEMPORARY ? -1 : 0;
}

static void
tell_rdns(struct judge *j, enum rdns is, const char *name, const struct ip *client)
{
	switch (is) {
	case RDNS_NONE:
		judge_hit(j, "rdns", "none", "RDNS_NONE", 1300, "The client %s has no name in DNS",
		    j->facts.ip);
		break;
	case RDNS_MISMATCH:
		judge_hit(j, "rdns", "fail", "RDNS_MISMATCH", 800,
		    "The client's name %s does not lead back to %s", name, j->facts.ip);
		break;
	case RDNS_CONFIRMED:
		if (is_generic(name, client))
			judge_hit(j, "rdns", "generic", "RDNS_GENERIC", 800,
			    "The client's name %s is one of a dial-up range", name);
		else
			judge_hit(j, "rdns", "pass", NULL, 0, "The client's name is %s", name);
		break;
	case RDNS_UNKNOWN:
	case RDNS_WAIT:
		judge_hit(
		    j, "rdns", "temperror", NULL, 0, "DNS did not answer for the client's name");
	}
}

enum check_status
check_rdns(struct judge *j)
{
	struct ip client;
	char name[256];
	enum rdns is;
	int helo;

	if (!ip_parse(j->facts.ip, &client) || ip_is_private(&client))
		return CHECK_DONE;
	helo = helo_exists(j);
	is = find_name(j, &client, name);
	if (is == RDNS_WAIT || helo == -2)
		return CHECK_WAIT;
	tell_rdns(j, is, name, &client);
	if (helo == 0)
		judge_hit(j, "HELO_UNKNOWN", "hit", "HELO_UNKNOWN", 800,
		    "The HELO name %s has no address in DNS", j->facts.helo);
	return CHECK_DONE;
}
