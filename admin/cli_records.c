/* cli_records - the DNS records that a domain of ours wants */
#include "admin/cli_records.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/cert.h"

#define TTL 3600

static void
record(struct rows *rows, const char *name, const char *type, const char *value)
{
	char ttl[12];
	struct admin_word words[] = { { "name", name }, { "ttl", ttl }, { "type", type },
		{ "value", value } };

	snprintf(ttl, sizeof(ttl), "%d", TTL);
	rows_add(rows, words, COUNT(words));
}

/* -- who signs */

static void
keys_of(struct rows *rows, const char *domain, const struct rows *keys)
{
	char name[400];

	for (size_t i = 0; i < keys->n; i++) {
		const struct row *k = &keys->at[i];

		if (strcasecmp(row_text(k, "domain"), domain) != 0 || strcmp(row_text(k, "state"), "retired") == 0)
			continue;
		snprintf(name, sizeof(name), "%s._domainkey.%s", row_text(k, "selector"), domain);
		record(rows, name, "TXT", row_text(k, "record"));
	}
}

/* -- reports */

/* Where reports on the domain's mail go: "mailto:a@b.test,mailto:c@d.test". */
static void
report_uris(const struct conf *conf, const char *domain, char *out, size_t size)
{
	const struct conf_strings *to = &conf->reports.address;
	size_t len = 0;

	snprintf(out, size, "mailto:postmaster@%s", domain);
	for (size_t i = 0; i < to->n && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%smailto:%s", i > 0 ? "," : "", to->at[i]);
}

/* DMARC (RFC 9989) and TLS reports (RFC 8460). An address in another domain has to
 * agree in that domain's zone (RFC 9990 4). */
static void
reports(struct rows *rows, const struct conf *conf, const char *domain)
{
	const struct conf_strings *to = &conf->reports.address;
	char name[600], value[2200], uris[2000];

	report_uris(conf, domain, uris, sizeof(uris));
	snprintf(name, sizeof(name), "_dmarc.%s", domain);
	snprintf(value, sizeof(value), "v=DMARC1; p=none; rua=%s", uris);
	record(rows, name, "TXT", value);
	snprintf(name, sizeof(name), "_smtp._tls.%s", domain);
	snprintf(value, sizeof(value), "v=TLSRPTv1; rua=%s", uris);
	record(rows, name, "TXT", value);
	for (size_t i = 0; i < to->n; i++) {
		const char *at = strrchr(to->at[i], '@');

		if (at == NULL || strcasecmp(at + 1, domain) == 0)
			continue;
		snprintf(name, sizeof(name), "%s._report._dmarc.%s", domain, at + 1);
		record(rows, name, "TXT", "v=DMARC1");
	}
}

/* -- TLS between servers */

void
records_policy(const struct conf *conf, char out[static POLICY_SIZE])
{
	snprintf(out, POLICY_SIZE, "version: STSv1\nmode: testing\nmx: %.255s\nmax_age: 604800\n", conf->hostname);
}

/* The id changes whenever the policy does: peers fetch it anew then (RFC 8461 3.1). */
static void
mta_sts(struct rows *rows, const struct conf *conf, const char *domain)
{
	char policy[POLICY_SIZE], name[400], value[80];
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

	records_policy(conf, policy);
	for (const char *c = policy; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
	snprintf(name, sizeof(name), "_mta-sts.%s", domain);
	snprintf(value, sizeof(value), "v=STSv1; id=%016" PRIx64, hash);
	record(rows, name, "TXT", value);
}

bool
records_host_inside(const struct conf *conf, const char *domain)
{
	struct slice host = slice_of(conf->hostname), zone = slice_of(domain);

	return slice_ends_nocase(host, zone) && (host.len == zone.len || host.at[host.len - zone.len - 1] == '.');
}

/* The pins of our certificates' keys (RFC 7672 3.1.1), and of the keys that come after them. */
static void
pins(struct rows *rows, const struct conf *conf)
{
	char name[400], next[4200], value[CERT_PIN_SIZE + 8] = "3 1 1 ", *pin = value + strlen("3 1 1 ");

	snprintf(name, sizeof(name), "_25._tcp.%s", conf->hostname);
	for (size_t i = 0; i < conf->tls.certificate.n; i++)
		if (cert_pin(conf->tls.certificate.at[i], pin, NULL) == 0)
			record(rows, name, "TLSA", value);
	for (size_t i = 0; i < conf->tls.key.n; i++) {
		snprintf(next, sizeof(next), "%s" CERT_NEXT, conf->tls.key.at[i]);
		if (cert_key_pin(next, pin, NULL) == 0)
			record(rows, name, "TLSA", value);
	}
}

/* -- mail programs */

/* Where programs of the domain's users find their servers (RFC 6186, 8314 5.1): TLS from the first byte is preferred. */
static void
services(struct rows *rows, const char *hostname, const char *domain)
{
	static const struct {
		const char *name;
		unsigned priority, port;
	} known[] = { { "_submissions._tcp", 0, 465 }, { "_submission._tcp", 0, 587 }, { "_imaps._tcp", 0, 993 },
		{ "_imap._tcp", 10, 143 }, { "_autodiscover._tcp", 0, 443 } };
	char name[400], value[400];

	for (size_t i = 0; i < COUNT(known); i++) {
		snprintf(name, sizeof(name), "%s.%s", known[i].name, domain);
		snprintf(value, sizeof(value), "%u 1 %u %s.", known[i].priority, known[i].port, hostname);
		record(rows, name, "SRV", value);
	}
}

/* Names of a web server; the host itself may have one of them. */
static void
web_names(struct rows *rows, const char *hostname, const char *domain)
{
	static const char *const known[] = { "mta-sts", "autoconfig", "autodiscover" };
	char name[400], value[300];

	snprintf(value, sizeof(value), "%.255s.", hostname);
	for (size_t i = 0; i < COUNT(known); i++) {
		snprintf(name, sizeof(name), "%s.%s", known[i], domain);
		if (strcasecmp(name, hostname) != 0)
			record(rows, name, "CNAME", value);
	}
}

void
records_of(struct rows *rows, const struct conf *conf, const char *domain, const struct rows *keys)
{
	const char *hostname = conf->hostname;
	char value[300];

	snprintf(value, sizeof(value), "10 %.255s.", hostname);
	record(rows, domain, "MX", value);
	record(rows, domain, "TXT", "v=spf1 mx -all");
	keys_of(rows, domain, keys);
	reports(rows, conf, domain);
	mta_sts(rows, conf, domain);
	if (records_host_inside(conf, domain))
		pins(rows, conf);
	services(rows, hostname, domain);
	web_names(rows, hostname, domain);
}
