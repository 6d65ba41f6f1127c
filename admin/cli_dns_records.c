/* cli_dns_records - the records for TLS between servers and for mail programs, as the world sees them
 *
 * They are optional, so a missing one is a warning at most; one that leads astray is an error. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/cli_dns_look.h"
#include "admin/cli_records.h"
#include "base/rua.h"

static char show[400], leave_one[400], pin_at_once[400], if_offered[400]; /* advice, for the domain looked at */

/* -- texts of policies */

static size_t
that_begin(const struct answer *a, const char *with, const char **first)
{
	size_t n = 0;

	for (size_t i = 0; i < look_count(a); i++)
		if (strncmp(look_value(a, i), with, strlen(with)) == 0 && n++ == 0)
			*first = look_value(a, i);
	return n;
}

/* Does the list of "rua=" have an address that reports can be sent to? */
static bool
names_a_reader(const char *list)
{
	struct slice rest = slice_of(list);
	struct rua to[RUA_MAX];

	return rua_read(slice_cut(&rest, ';'), to) > 0;
}

/* One TXT record that begins so and has this tag. true: it is there. */
static bool
policy(struct look *l, const char *what, const char *prefix, const char *version, const char *tag)
{
	char name[400];
	const char *text = "";
	struct answer a;
	bool there;
	size_t n;

	snprintf(name, sizeof(name), "%s.%s", prefix, l->domain);
	if (!look_ask(l, name, "TXT", NULL, &a))
		return false;
	n = that_begin(&a, version, &text);
	there = n == 1 && strstr(text, tag) != NULL;
	if (look_unanswered(l, what, name, &a))
		;
	else if (n == 0)
		finding(l->found, what, FINDING_WARNING, show, "%s is not published", name);
	else if (n > 1)
		finding(l->found, what, FINDING_ERROR, leave_one,
		    "%s has several records, which count as none", name);
	else if (!there)
		finding(l->found, what, FINDING_ERROR, show, "%s has no %s, so it says nothing: %s", name, tag, text);
	else if (strcmp(what, "tlsrpt") == 0 && !names_a_reader(strstr(text, tag) + strlen(tag)))
		finding(l->found, what, FINDING_ERROR, show, "%s names no mailto: or https: address for reports: %s", name, text);
	else
		finding(l->found, what, FINDING_OK, "", "%s is published: %s", name, text);
	rows_free(&a.rows);
	return there;
}

/* -- names of a web server */

/* 1: it has an address, 0: it has none, -1: nobody knows. */
static int
has_address(struct look *l, const char *name)
{
	static const char *const types[] = { "A", "AAAA" };
	int has = 0;

	for (size_t i = 0; i < COUNT(types) && has != 1; i++) {
		struct answer a;

		if (!look_ask(l, name, types[i], NULL, &a))
			return -1;
		has = look_count(&a) > 0 ? 1 : a.answered ? has : -1;
		rows_free(&a.rows);
	}
	return has;
}

static void
web_name(struct look *l, const char *what, const char *prefix, bool needed)
{
	char name[400];
	int has;

	snprintf(name, sizeof(name), "%s.%s", prefix, l->domain);
	has = has_address(l, name);
	if (has == 1)
		finding(l->found, what, FINDING_OK, "", "%s has an address; what is served there is not looked at", name);
	else if (has == 0)
		finding(l->found, what, needed ? FINDING_ERROR : FINDING_WARNING, show,
		    needed ? "%s has no address: the policy cannot be fetched" : "%s has no address", name);
}

/* -- services */

static void
service(struct look *l, const char *name, const char *wanted)
{
	const char *port_host = strchr(strchr(wanted, ' ') + 1, ' ') + 1; /* of "0 1 465 host." */
	size_t len = strlen(port_host) - 1;
	struct answer a;
	bool ours = false;

	if (!look_ask(l, name, "SRV", NULL, &a))
		return;
	for (size_t i = 0; i < look_count(&a); i++) {
		const char *at = strchr(look_value(&a, i), ' ');

		at = at != NULL ? strchr(at + 1, ' ') : NULL;
		ours = ours || (at != NULL && strncasecmp(at + 1, port_host, len) == 0 && at[1 + len] == '\0');
	}
	if (look_unanswered(l, "srv", name, &a))
		;
	else if (ours)
		finding(l->found, "srv", FINDING_OK, "", "%s leads to %s", name, l->hostname);
	else if (look_count(&a) > 0)
		finding(l->found, "srv", FINDING_WARNING, show, "%s leads to %s, not to %.*s", name, look_value(&a, 0),
		    (int)len, port_host);
	else
		finding(l->found, "srv", FINDING_WARNING, if_offered,
		    "%s is not published", name);
	rows_free(&a.rows);
}

/* -- TLSA */

static bool
is_published(const struct answer *a, const char *pin)
{
	for (size_t i = 0; i < look_count(a); i++)
		if (strcasecmp(look_value(a, i), pin) == 0)
			return true;
	return false;
}

/* Those of the keys in use come first among `wanted`. */
static void
check_pins(struct look *l, const char *name, const struct rows *wanted)
{
	size_t there = 0, all = 0;
	struct answer a;

	if (!look_ask(l, name, "TLSA", NULL, &a))
		return;
	for (size_t i = 0; i < wanted->n; i++) {
		if (strcmp(row_text(&wanted->at[i], "type"), "TLSA") != 0)
			continue;
		all++;
		there += is_published(&a, row_text(&wanted->at[i], "value"));
	}
	if (look_unanswered(l, "tlsa", name, &a))
		;
	else if (look_count(&a) == 0 && !a.secure)
		finding(l->found, "tlsa", FINDING_OK, "", "%s is not published, and would not count: the zone is not signed", name);
	else if (look_count(&a) == 0)
		finding(l->found, "tlsa", FINDING_WARNING, show, "%s is not published", name);
	else if (there == 0)
		finding(l->found, "tlsa", FINDING_ERROR, pin_at_once,
		    "%s fits none of our keys: servers that check it send us no mail", name);
	else if (there < all)
		finding(l->found, "tlsa", FINDING_WARNING, show, "%s fits %zu of our %zu keys", name, there, all);
	else
		finding(l->found, "tlsa", FINDING_OK, "", a.secure ? "%s fits our keys" :
		    "%s fits our keys, but does not count: the zone is not signed, or that was not checked here", name);
	rows_free(&a.rows);
}

static void
write_advice(const char *domain)
{
	static const struct {
		char *out;
		const char *before, *after;
	} texts[] = {
		{ show, "publish what", "prints for it" },
		{ leave_one, "leave one of them: the one that", "prints" },
		{ pin_at_once, "publish what", "prints for it at once, beside what is there" },
		{ if_offered, "publish what", "prints for it, if you offer that service" },
	};

	for (size_t i = 0; i < COUNT(texts); i++)
		snprintf(texts[i].out, sizeof(show), "%s `tegami dns show %.255s` %s", texts[i].before, domain, texts[i].after);
}

void
look_at_records(struct look *l)
{
	const struct conf *conf = cli_conf(l->cli);
	struct rows wanted, none;
	char pins[400];
	bool sts;

	write_advice(l->domain);
	rows_init(&wanted);
	rows_init(&none);
	records_of(&wanted, conf, l->domain, &none);
	policy(l, "tlsrpt", "_smtp._tls", "v=TLSRPTv1", "rua=");
	sts = policy(l, "mta-sts", "_mta-sts", "v=STSv1", "id=");
	if (sts)
		web_name(l, "mta-sts", "mta-sts", true);
	snprintf(pins, sizeof(pins), "_25._tcp.%s", conf->hostname);
	if (records_host_inside(conf, l->domain))
		check_pins(l, pins, &wanted);
	for (size_t i = 0; i < wanted.n && !l->broken; i++)
		if (strcmp(row_text(&wanted.at[i], "type"), "SRV") == 0)
			service(l, row_text(&wanted.at[i], "name"), row_text(&wanted.at[i], "value"));
	web_name(l, "autoconfig", "autoconfig", false);
	web_name(l, "autoconfig", "autodiscover", false);
	rows_free(&none);
	rows_free(&wanted);
}
