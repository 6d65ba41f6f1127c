/* cli_dns_check - what the world sees of a domain, beside what it should see
 *
 * Every question goes through the running server's resolver, so the answers are those that mail gets. A
 * row for each finding: ok, warning or error, and what to do. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "admin/cli_dns_look.h"
#include "admin/dkim_rule.h"
#include "admin/message.h"

/* -- where mail goes */

static void
check_mx(struct look *l)
{
	char advice[400], others[300] = "";
	struct answer a;
	bool ours = false;

	if (!look_ask(l, l->domain, "MX", NULL, &a))
		return;
	snprintf(advice, sizeof(advice), "publish: %s. MX 10 %s.", l->domain, l->hostname);
	for (size_t i = 0; i < look_count(&a); i++) {
		const char *host = strchr(look_value(&a, i), ' ');

		host = host == NULL ? "" : host + 1;
		if (strcasecmp(host, l->hostname) == 0)
			ours = true;
		else
			snprintf(others + strlen(others), sizeof(others) - strlen(others),
			    "%s%.120s", others[0] != '\0' ? ", " : "", host);
	}
	if (look_unanswered(l, "mx", l->domain, &a))
		;
	else if (ours && others[0] == '\0')
		finding(l->found, "mx", FINDING_OK, "", "mail for %s comes to %s", l->domain,
		    l->hostname);
	else if (ours)
		finding(l->found, "mx", FINDING_OK, "", "mail for %s comes to %s; other hosts: %s",
		    l->domain, l->hostname, others);
	else if (look_count(&a) > 0)
		finding(l->found, "mx", FINDING_ERROR, advice, "mail for %s goes to %s, not to %s",
		    l->domain, others, l->hostname);
	else
		finding(l->found, "mx", FINDING_ERROR, advice, "%s has no MX record (%s)",
		    l->domain, a.status);
	if (a.answered)
		finding(l->found, "dnssec", FINDING_OK, "",
		    a.secure ? "%s is signed, and the signature was checked"
			     : "%s is not signed with DNSSEC, or it was not checked here",
		    l->domain);
	rows_free(&a.rows);
}

/* false: nobody knows whether there are any, which was told. */
static bool
take_addresses(struct look *l, const char *type)
{
	struct answer a;
	bool known;

	if (!look_ask(l, l->hostname, type, NULL, &a))
		return false;
	known = !look_unanswered(l, "address", l->hostname, &a);
	if (known)
		for (size_t i = 0; i < look_count(&a) && l->n_addresses < ADDRESSES_MAX; i++)
			snprintf(l->address[l->n_addresses++], ADDRESS_SIZE, "%s", look_value(&a, i));
	rows_free(&a.rows);
	return known;
}

static void
check_pointer(struct look *l, const char *address)
{
	struct answer a;
	bool fits = false;

	if (!look_ask(l, address, "PTR", NULL, &a))
		return;
	for (size_t i = 0; i < look_count(&a); i++)
		fits = fits || strcasecmp(look_value(&a, i), l->hostname) == 0;
	if (look_unanswered(l, "ptr", address, &a))
		;
	else if (fits)
		finding(
		    l->found, "ptr", FINDING_OK, "", "%s leads back to %s", address, l->hostname);
	else
		finding(l->found, "ptr", FINDING_WARNING,
		    "ask whoever gave you the address for a PTR record with the host name; many "
		    "servers "
		    "refuse mail without it",
		    "%s leads to %s, not to %s", address, look_count(&a) > 0 ? look_value(&a, 0) : "no name",
		    l->hostname);
	rows_free(&a.rows);
}

static void
check_lists(struct look *l, const char *address)
{
	const struct conf *conf = cli_conf(l->cli);

	for (size_t i = 0; i < conf->spam.n_dnsbl; i++) {
		const char *zone = conf->spam.dnsbl[i].name;
		struct answer a;

		if (!look_ask(l, address, "A", zone, &a))
			return;
		/* 127.255.255.0/24 is how lists say that they do not answer us */
		if (look_count(&a) > 0 && strncmp(look_value(&a, 0), "127.", 4) == 0 &&
		    strncmp(look_value(&a, 0), "127.255.255.", 12) != 0)
			finding(l->found, "dnsbl", FINDING_ERROR,
			    "look on that list's web site why, end the cause, then ask to be taken "
			    "off",
			    "%s is on the block list %s", address, zone);
		else if (a.answered)
			finding(l->found, "dnsbl", FINDING_OK, "", "%s is not on the block list %s",
			    address, zone);
		rows_free(&a.rows);
	}
}

static void
check_addresses(struct look *l)
{
	char advice[400];
	bool known = take_addresses(l, "A");

	known = take_addresses(l, "AAAA") && known;
	snprintf(advice, sizeof(advice), "publish an A record (and AAAA) for %s", l->hostname);
	if (l->n_addresses == 0 && known)
		finding(
		    l->found, "address", FINDING_ERROR, advice, "%s has no address", l->hostname);
	for (size_t i = 0; i < l->n_addresses; i++) {
		finding(
		    l->found, "address", FINDING_OK, "", "%s is %s", l->hostname, l->address[i]);
		check_pointer(l, l->address[i]);
		check_lists(l, l->address[i]);
	}
}

/* -- who may send */

/* What our own SPF check says of mail from the domain that comes from this address. */
static void
judge_spf(struct look *l, const char *address)
{
	static const char mail[] = "From: <postmaster@localhost>\r\n\r\n";
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows rows;
	char from[300];

	rows_init(&rows);
	snprintf(from, sizeof(from), "postmaster@%s", l->domain);
	cli_rq(&rq, "filter.test");
	cli_rq_word(&rq, "ip", address);
	cli_rq_word(&rq, "helo", l->hostname);
	cli_rq_word(&rq, "from", from);
	rq.fd = message_fd((struct slice){ mail, sizeof(mail) - 1 }, &err);
	if (rq.fd >= 0 && cli_ask(l->cli, &rq, &rows, &err) == 0)
		for (size_t i = 0; i < rows.n; i++) {
			const char *result = row_text(&rows.at[i], "result");

			if (strcmp(row_text(&rows.at[i], "check"), "spf") != 0)
				continue;
			if (strcmp(result, "pass") == 0)
				finding(l->found, "spf", FINDING_OK, "", "%s may send for %s",
				    address, l->domain);
			else
				finding(l->found, "spf", FINDING_ERROR,
				    "name the host in the record: \"v=spf1 mx -all\" lets every MX "
				    "host send",
				    "%s may not send for %s (%s)", address, l->domain, result);
		}
	if (rq.fd >= 0)
		close(rq.fd);
	rows_free(&rows);
}

static size_t
count_that_begin(const struct answer *a, const char *with)
{
	size_t n = 0;

	for (size_t i = 0; i < look_count(a); i++)
		n += strncasecmp(look_value(a, i), with, strlen(with)) == 0;
	return n;
}

static void
check_spf(struct look *l)
{
	char advice[400];
	struct answer a;
	size_t n;

	if (!look_ask(l, l->domain, "TXT", NULL, &a))
		return;
	n = count_that_begin(&a, "v=spf1");
	snprintf(advice, sizeof(advice), "publish: %s. TXT \"v=spf1 mx -all\"", l->domain);
	if (look_unanswered(l, "spf", l->domain, &a))
		;
	else if (n == 0)
		finding(l->found, "spf", FINDING_ERROR, advice, "%s publishes no SPF record",
		    l->domain);
	else if (n > 1)
		finding(l->found, "spf", FINDING_ERROR,
		    "leave one of them and put all senders into it",
		    "%s has %zu SPF records, which counts as none", l->domain, n);
	else
		for (size_t i = 0; i < l->n_addresses; i++)
			judge_spf(l, l->address[i]);
	rows_free(&a.rows);
}

/* -- signatures */

static enum dkim_dns
judge_key(const struct answer *a, const char *record)
{
	if (!a->answered)
		return DKIM_DNS_UNKNOWN;
	if (look_count(a) == 0)
		return DKIM_DNS_ABSENT;
	return look_count(a) == 1 && dkim_record_same(look_value(a, 0), record) ? DKIM_DNS_RIGHT : DKIM_DNS_WRONG;
}

/* What is said of a key, by its state and what DNS has; "%s" is its selector. */
static const struct {
	const char *state;
	enum dkim_dns dns;
	enum finding_state finding;
	const char *text, *advice; /* NULL: publish what dns show prints */
} key_rows[] = {
	{ "active", DKIM_DNS_RIGHT, FINDING_OK, "the key %s is published", "" },
	{ "active", DKIM_DNS_ABSENT, FINDING_ERROR, "the key %s is not published: receivers cannot check its signatures", NULL },
	{ "active", DKIM_DNS_WRONG, FINDING_ERROR, "what is published for the key %s is another key, or several records", NULL },
	{ "next", DKIM_DNS_RIGHT, FINDING_OK, "the next key %s is published; it signs within minutes", "" },
	{ "next", DKIM_DNS_ABSENT, FINDING_WARNING, "the next key %s waits: it is not published", NULL },
	{ "next", DKIM_DNS_WRONG, FINDING_ERROR, "what is published for the next key %s is another key, or several records",
	    NULL },
	{ "retiring", DKIM_DNS_RIGHT, FINDING_OK, "the old key %s is still published, as it should be for a while", "" },
	{ "retiring", DKIM_DNS_ABSENT, FINDING_WARNING, "the old key %s is published no more, but mail on its way wants it", NULL },
	{ "retiring", DKIM_DNS_WRONG, FINDING_WARNING, "what is published for the old key %s is another key", NULL },
	{ "retired", DKIM_DNS_ABSENT, FINDING_OK, "the record of the old key %s is removed", "" },
	{ "retired", DKIM_DNS_RIGHT, FINDING_WARNING, "the record of the old key %s is not wanted any more",
	    "remove it from DNS, then retire the key once more: tegami dkim retire" },
	{ "retired", DKIM_DNS_WRONG, FINDING_WARNING, "there is still a record for the old key %s",
	    "remove it from DNS, then retire the key once more: tegami dkim retire" },
};

/* The text with the selector in place of its "%s". */
static void
put_selector(char *out, size_t size, const char *text, const char *selector)
{
	const char *at = strstr(text, "%s");

	snprintf(out, size, "%.*s%s%s", (int)(at - text), text, selector, at + 2);
}

static void
check_key(struct look *l, const struct row *key)
{
	const char *selector = row_text(key, "selector");
	char name[400], advice[800], text[300];
	struct answer a;
	enum dkim_dns dns;

	snprintf(name, sizeof(name), "%s._domainkey.%s", selector, l->domain);
	if (!look_ask(l, name, "TXT", NULL, &a))
		return;
	snprintf(advice, sizeof(advice), "publish what `tegami dns show %s` prints for %s",
	    l->domain, name);
	dns = judge_key(&a, row_text(key, "record"));
	for (size_t i = 0; i < COUNT(key_rows) && !look_unanswered(l, "dkim", name, &a); i++) {
		if (key_rows[i].dns != dns || strcmp(key_rows[i].state, row_text(key, "state")) != 0)
			continue;
		put_selector(text, sizeof(text), key_rows[i].text, selector);
		finding(l->found, "dkim", key_rows[i].finding, key_rows[i].advice != NULL ? key_rows[i].advice : advice, "%s",
		    text);
		break;
	}
	rows_free(&a.rows);
}

static void
check_dkim(struct look *l)
{
	struct err err = { .kind = ERR_NONE };
	struct rows keys;
	char advice[400];
	size_t n = 0;

	rows_init(&keys);
	if (cli_dkim_keys(l->cli, &keys, &err) == -1)
		finding(l->found, "dkim", FINDING_WARNING, "try again as root",
		    "the keys cannot be listed: %s", err.text);
	for (size_t i = 0; i < keys.n; i++) {
		if (strcasecmp(row_text(&keys.at[i], "domain"), l->domain) != 0)
			continue;
		check_key(l, &keys.at[i]);
		n++;
	}
	snprintf(advice, sizeof(advice), "tegami dkim create %s", l->domain);
	if (n == 0 && err.kind == ERR_NONE)
		finding(l->found, "dkim", FINDING_WARNING, advice, "mail of %s is not signed",
		    l->domain);
	rows_free(&keys);
}

static void
check_dmarc(struct look *l)
{
	const struct conf_strings *to = &cli_conf(l->cli)->reports.address;
	char name[300], advice[500];
	struct answer a;
	size_t n;

	snprintf(name, sizeof(name), "_dmarc.%s", l->domain);
	if (!look_ask(l, name, "TXT", NULL, &a))
		return;
	n = count_that_begin(&a, "v=DMARC1");
	snprintf(advice, sizeof(advice),
	    "publish: %s. TXT \"v=DMARC1; p=none; rua=mailto:%s%s\"", name,
	    to->n > 0 ? to->at[0] : "postmaster@", to->n > 0 ? "" : l->domain);
	if (look_unanswered(l, "dmarc", name, &a))
		;
	else if (n == 1 && strcasestr(look_value(&a, 0), "p=none") != NULL)
		finding(l->found, "dmarc", FINDING_OK, "",
		    "the policy only watches (p=none); raise it once the reports look right");
	else if (n == 1)
		finding(
		    l->found, "dmarc", FINDING_OK, "", "a policy is published: %s", look_value(&a, 0));
	else if (n > 1)
		finding(l->found, "dmarc", FINDING_ERROR, "leave one of them",
		    "%s has %zu records, which count as none", name, n);
	else
		finding(l->found, "dmarc", FINDING_WARNING, advice, "%s publishes no DMARC policy",
		    l->domain);
	rows_free(&a.rows);
}

/* -- the command */

static void (*const checks[])(
    struct look *) = { check_mx, check_addresses, check_spf, check_dkim, check_dmarc, look_at_records };

int
cli_dns_check(struct cli *cli, const struct cli_args *args)
{
	struct err err = { .kind = ERR_NONE };
	struct findings found;
	struct admin_request rq;
	struct look l = { .cli = cli, .found = &found };
	struct rows domain;
	int rc;

	rows_init(&domain);
	cli_rq(&rq, "domain.show");
	cli_rq_word(&rq, "domain", args->operand[0]);
	rc = cli_ask(cli, &rq, &domain, &err);
	if (rc == 0 && !cli_server_up(cli))
		rc = err_set(&err, ERR_TEMPORARY,
		    "the server does not run, and its resolver is wanted for this; start it first");
	if (rc == -1) {
		rows_free(&domain);
		return cli_error(cli, &err);
	}
	findings_init(&found);
	l.domain = domain.n > 0 ? row_text(&domain.at[0], "domain") : args->operand[0];
	l.hostname = cli_conf(cli)->hostname;
	for (size_t i = 0; i < COUNT(checks) && !l.broken; i++)
		checks[i](&l);
	rows_free(&domain);
	return findings_finish(cli, &found);
}
