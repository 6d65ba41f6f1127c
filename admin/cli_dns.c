/* cli_dns - the records to publish for a domain, as lines of a zone file */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/cert.h"
#include "admin/cli_records.h"

#define STRING_MAX 255 /* of one string in a TXT record (RFC 1035 3.3) */
#define STRING_CUT 200

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

/* Of another domain, whose zone file is another one. */
static bool
is_outside(const char *name, const char *domain)
{
	size_t len = strlen(name), zone = strlen(domain);

	return len < zone || strcasecmp(name + len - zone, domain) != 0 || (len > zone && name[len - zone - 1] != '.');
}

static void
print_records(struct buf *out, const struct rows *records, const char *domain)
{
	size_t most = 0;

	for (size_t i = 0; i < records->n; i++)
		if (strlen(row_text(&records->at[i], "name")) > most)
			most = strlen(row_text(&records->at[i], "name"));
	for (size_t i = 0; i < records->n; i++) {
		const struct row *r = &records->at[i];
		const char *name = row_text(r, "name"), *type = row_text(r, "type");

		if (is_outside(name, domain))
			buf_text(out, "; in that domain's zone: ");
		buf_printf(out, "%s.%*s  %s  IN  %-5s  ", name, (int)(most - strlen(name)), "", row_text(r, "ttl"), type);
		if (strcmp(type, "TXT") == 0)
			txt_value(out, slice_of(row_text(r, "value")));
		else
			buf_text(out, row_text(r, "value"));
		buf_char(out, '\n');
	}
}

/* Which key is not in use yet, and which record is not wanted any more. */
static void
print_keys(struct buf *out, const struct rows *keys, const char *domain)
{
	static const struct {
		const char *state, *text;
	} notes[] = {
		{ "next", "is that of the next key, which signs once it is seen in DNS" },
		{ "retiring", "is of a key that signs no more; leave it for mail on its way until `tegami dkim list` calls it retired" },
		{ "retired", "can be removed; then `tegami dkim retire` forgets the key" },
	};
	size_t n = 0;

	for (size_t i = 0; i < keys->n; i++) {
		if (strcasecmp(row_text(&keys->at[i], "domain"), domain) != 0)
			continue;
		n++;
		for (size_t k = 0; k < COUNT(notes); k++)
			if (strcmp(row_text(&keys->at[i], "state"), notes[k].state) == 0)
				buf_printf(out, "; %s._domainkey.%s. %s\n", row_text(&keys->at[i], "selector"), domain,
				    notes[k].text);
	}
	if (n == 0)
		buf_printf(out,
		    "; There is no DKIM key yet: `tegami dkim create %s` makes them; then show this again.\n", domain);
}

static void
print_hints(struct buf *out, const struct conf *conf, const char *domain)
{
	char policy[POLICY_SIZE], *line, *rest = NULL;

	buf_printf(out,
	    "; %s itself needs an A record (AAAA too, if it has IPv6), and each of its addresses a PTR record that\n"
	    "; leads back to it. SRV lets mail programs find their servers; leave out those you do not offer.\n"
	    "; DMARC: once reports look right, raise p=none to quarantine.\n",
	    conf->hostname);
	if (records_host_inside(conf, domain))
		buf_printf(out,
		    "; TLSA counts only where the zone is signed (DNSSEC). To change the certificate's key without a gap, put\n"
		    "; the coming key at %s" CERT_NEXT ", publish what is shown for it then, and use it two days later.\n",
		    conf->tls.key.n > 0 ? conf->tls.key.at[0] : "tls.key");
	buf_printf(out,
	    "; mta-sts, autoconfig and autodiscover are names for a web server; leave them and _mta-sts out without one.\n"
	    "; It serves at https://mta-sts.%s/.well-known/mta-sts.txt (raise testing to enforce once reports look right,\n"
	    "; and change the id with it):\n",
	    domain);
	records_policy(conf, policy);
	for (line = strtok_r(policy, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		buf_printf(out, ";   %s\n", line);
}

static void
print_zone(struct cli *cli, const struct rows *records, const struct rows *keys, const char *domain)
{
	buf_printf(&cli->out, "; to be published in the zone of %s\n", domain);
	print_records(&cli->out, records, domain);
	print_keys(&cli->out, keys, domain);
	print_hints(&cli->out, cli_conf(cli), domain);
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
			print_zone(cli, &records, &keys, name);
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
