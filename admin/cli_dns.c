/* cli_dns - the records to publish for a domain, as lines of a zone file */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/cert.h"
#include "admin/cli.h"

#define TTL 3600
#define STRING_MAX 255 /* of one string in a TXT record (RFC 1035 3.3) */
#define STRING_CUT 200

static void
record(struct rows *rows, const char *name, const char *type, const char *value)
{
	char ttl[12];
	struct admin_word words[] = { { "name", name }, { "ttl", ttl }, { "type", type },
		{ "value", value } };

	snprintf(ttl, sizeof(ttl), "%d", TTL);
	rows_add(rows, words, COUNT(words));
}

/* Where programs of the domain's users find their servers (RFC 6186, 8314 5.1). */
static void
services(struct rows *rows, const char *hostname, const char *domain)
{
	static const struct {
		const char *name;
		unsigned port;
	} known[] = { { "_submissions._tcp", 465 }, { "_submission._tcp", 587 }, { "_imaps._tcp", 993 } };
	char name[400], value[400];

	for (size_t i = 0; i < COUNT(known); i++) {
		snprintf(name, sizeof(name), "%s.%s", known[i].name, domain);
		snprintf(value, sizeof(value), "0 1 %u %s.", known[i].port, hostname);
		record(rows, name, "SRV", value);
	}
}

/* The pins of our certificates, when the host itself is in this domain (RFC 7672 3.1.1). */
static void
pins(struct rows *rows, const struct conf *conf, const char *domain)
{
	struct slice host = slice_of(conf->hostname), zone = slice_of(domain);
	char name[400], value[CERT_PIN_SIZE + 8] = "3 1 1 ";

	if (!slice_ends_nocase(host, zone) || (host.len > zone.len && host.at[host.len - zone.len - 1] != '.'))
		return;
	snprintf(name, sizeof(name), "_25._tcp.%s", conf->hostname);
	for (size_t i = 0; i < conf->tls.certificate.n; i++)
		if (cert_pin(conf->tls.certificate.at[i], value + strlen("3 1 1 "), NULL) == 0)
			record(rows, name, "TLSA", value);
}

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

/* DMARC (RFC 9989) and, with an address for them, TLS reports (RFC 8460). An address in another domain has to
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
	if (to->n == 0)
		return;
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

/* MX, SPF, a DKIM record for each key, DMARC, TLSA, SRV. */
static void
records_of(struct rows *rows, const struct conf *conf, const char *domain, const struct rows *keys)
{
	const char *hostname = conf->hostname;
	char name[400], value[600];

	snprintf(value, sizeof(value), "10 %s.", hostname);
	record(rows, domain, "MX", value);
	record(rows, domain, "TXT", "v=spf1 mx -all");
	for (size_t i = 0; i < keys->n; i++) {
		const struct row *k = &keys->at[i];

		if (strcasecmp(row_text(k, "domain"), domain) != 0)
			continue;
		snprintf(name, sizeof(name), "%s._domainkey.%s", row_text(k, "selector"), domain);
		record(rows, name, "TXT", row_text(k, "record"));
	}
	reports(rows, conf, domain);
	pins(rows, conf, domain);
	services(rows, hostname, domain);
}

/* A long text is several strings, one a line, in parentheses. */
static void
txt_value(struct buf *out, struct slice s)
{
	bool several = s.len > STRING_MAX;

	buf_text(out, several ? "(" : "");
	do {
		struct slice part = slice_first(s, several ? STRING_CUT : STRING_MAX);

		if (several)
			buf_text(out, "\n\t\"");
		else
			buf_char(out, '"');
		buf_slice(out, part);
		buf_char(out, '"');
		s = slice_skip(s, part.len);
	} while (s.len > 0);
	buf_text(out, several ? " )" : "");
}

static void
print_zone(struct cli *cli, const struct rows *records, const char *hostname, const char *domain,
    bool signs)
{
	size_t most = 0;

	for (size_t i = 0; i < records->n; i++)
		if (strlen(row_text(&records->at[i], "name")) > most)
			most = strlen(row_text(&records->at[i], "name"));
	buf_printf(&cli->out, "; to be published in the zone of %s\n", domain);
	for (size_t i = 0; i < records->n; i++) {
		const struct row *r = &records->at[i];
		const char *name = row_text(r, "name"), *type = row_text(r, "type");

		buf_printf(&cli->out, "%s.%*s  %s  IN  %-3s  ", name, (int)(most - strlen(name)),
		    "", row_text(r, "ttl"), type);
		if (strcmp(type, "TXT") == 0)
			txt_value(&cli->out, slice_of(row_text(r, "value")));
		else
			buf_text(&cli->out, row_text(r, "value"));
		buf_char(&cli->out, '\n');
	}
	buf_printf(&cli->out,
	    "; %s itself needs an A record (AAAA too, if it has IPv6), and each of its addresses "
	    "a\n"
	    "; PTR record that leads back to it. TLSA counts only where the zone is signed (DNSSEC); change it\n"
	    "; before the certificate's key changes. SRV lets mail programs find their servers. DMARC: once reports look right, raise p=none to "
	    "quarantine.\n",
	    hostname);
	if (!signs)
		buf_printf(&cli->out,
		    "; There is no DKIM key yet: `tegami dkim create %s` makes one; then show this "
		    "again.\n",
		    domain);
}

static bool
signs(const struct rows *keys, const char *domain)
{
	for (size_t i = 0; i < keys->n; i++)
		if (strcasecmp(row_text(&keys->at[i], "domain"), domain) == 0)
			return true;
	return false;
}

static int
dns_show(struct cli *cli, const struct cli_args *args)
{
	static const struct column columns[] = { { "name", NULL, COLUMN_TEXT, false },
		{ "ttl", NULL, COLUMN_NUMBER, false }, { "type", NULL, COLUMN_TEXT, false },
		{ "value", NULL, COLUMN_TEXT, false }, { NULL, NULL, COLUMN_TEXT, false } };
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows domain, keys, records;
	struct json j;
	int rc;

	rows_init(&domain);
	rows_init(&keys);
	rows_init(&records);
	cli_rq(&rq, "domain.show");
	cli_rq_word(&rq, "domain", args->operand[0]);
	rc = cli_ask(cli, &rq, &domain, &err);
	if (rc == 0)
		rc = cli_dkim_keys(cli, &keys, &err);
	if (rc == 0) {
		const char *name =
		    domain.n > 0 ? row_text(&domain.at[0], "domain") : args->operand[0];

		records_of(&records, cli_conf(cli), name, &keys);
		if (cli->json) {
			json_init(&j, &cli->out);
			table_json(&j, &records, columns);
		} else
			print_zone(cli, &records, cli_conf(cli)->hostname, name, signs(&keys, name));
	}
	rows_free(&domain);
	rows_free(&keys);
	rows_free(&records);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

const struct cli_command cli_dns_commands[] = {
	{ "dns", "show", dns_show, "DOMAIN", 1, 1, NULL,
	    "the records to publish, ready for a zone file" },
	{ "dns", "check", cli_dns_check, "DOMAIN", 1, 1, NULL,
	    "the records as the world sees them, beside what they should be" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
