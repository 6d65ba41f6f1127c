/* cli_dns_check - what the world sees of a domain, beside what it should see
 *
 * Every question goes through the running server's resolver, so the answers are those that mail gets. A
 * row for each finding: ok, warning or error, and what to do. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "admin/cli_findings.h"
#include "admin/message.h"

#define ADDRESSES_MAX 8
#define ADDRESS_SIZE 46
#define SILENT_MAX 2 /* questions without any answer, after which no more are asked */

struct look {
	struct cli *cli;
	struct findings *found;
	const char *domain, *hostname;
	char address[ADDRESSES_MAX][ADDRESS_SIZE]; /* of the host name */
	size_t n_addresses;
	bool heard;	 /* DNS answered something */
	unsigned silent; /* questions that DNS did not answer */
	bool broken;	 /* no use to go on: told once */
};

struct answer { /* to one question */
	struct rows rows;
	bool answered, secure;
	const char *status;
};

/* -- asking */

/* Each silent question costs the whole time-out of the resolver: when nothing at all answers, the
 * administrator wants to know that, not to wait for thirty of them. */
static bool
dns_is_dead(struct look *l)
{
	if (l->heard || l->silent < SILENT_MAX)
		return false;
	if (!l->broken)
		finding(l->found, "dns", FINDING_ERROR,
		    "see whether this machine reaches its name servers (resolver.servers, or the "
		    "root servers without it), then try again",
		    "DNS answers nothing here, so the rest was not asked");
	l->broken = true;
	return true;
}

static bool
ask(struct look *l, const char *name, const char *type, const char *zone, struct answer *a)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;

	if (dns_is_dead(l))
		return false;
	rows_init(&a->rows);
	cli_rq(&rq, "dns.ask");
	cli_rq_word(&rq, "name", name);
	cli_rq_word(&rq, "type", type);
	cli_rq_word(&rq, "zone", zone);
	if (cli_ask(l->cli, &rq, &a->rows, &err) == -1 || a->rows.n == 0) {
		if (!l->broken)
			finding(l->found, "server", FINDING_WARNING, "try again in a moment", "%s",
			    err.text);
		l->broken = true;
		rows_free(&a->rows);
		return false;
	}
	a->status = row_text(&a->rows.at[0], "status");
	a->answered = strcmp(row_text(&a->rows.at[0], "answered"), "no") != 0;
	a->secure = strcmp(row_text(&a->rows.at[0], "secure"), "yes") == 0;
	l->heard = l->heard || a->answered;
	l->silent += !a->answered;
	return true;
}

static size_t
count(const struct answer *a)
{
	return a->rows.n - 1;
}

static const char *
value(const struct answer *a, size_t i)
{
	return row_text(&a->rows.at[i + 1], "value");
}

/* DNS itself failed: nobody knows. true: that was told. */
static bool
unanswered(struct look *l, const char *what, const char *name, const struct answer *a)
{
	if (a->answered)
		return false;
	finding(l->found, what, FINDING_WARNING,
	    "see whether the domain's name servers, and ours (resolver.servers), can be reached",
	    "%s could not be looked up: %s", name, a->status);
	return true;
}

/* -- where mail goes */

static void
check_mx(struct look *l)
{
	char advice[400], others[300] = "";
	struct answer a;
	bool ours = false;

	if (!ask(l, l->domain, "MX", NULL, &a))
		return;
	snprintf(advice, sizeof(advice), "publish: %s. MX 10 %s.", l->domain, l->hostname);
	for (size_t i = 0; i < count(&a); i++) {
		const char *host = strchr(value(&a, i), ' ');

		host = host == NULL ? "" : host + 1;
		if (strcasecmp(host, l->hostname) == 0)
			ours = true;
		else
			snprintf(others + strlen(others), sizeof(others) - strlen(others),
			    "%s%.120s", others[0] != '\0' ? ", " : "", host);
	}
	if (unanswered(l, "mx", l->domain, &a))
		;
	else if (ours && others[0] == '\0')
		finding(l->found, "mx", FINDING_OK, "", "mail for %s comes to %s", l->domain,
		    l->hostname);
	else if (ours)
		finding(l->found, "mx", FINDING_OK, "", "mail for %s comes to %s; other hosts: %s",
		    l->domain, l->hostname, others);
	else if (count(&a) > 0)
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

	if (!ask(l, l->hostname, type, NULL, &a))
		return false;
	known = !unanswered(l, "address", l->hostname, &a);
	if (known)
		for (size_t i = 0; i < count(&a) && l->n_addresses < ADDRESSES_MAX; i++)
			snprintf(l->address[l->n_addresses++], ADDRESS_SIZE, "%s", value(&a, i));
	rows_free(&a.rows);
	return known;
}

static void
check_pointer(struct look *l, const char *address)
{
	struct answer a;
	bool fits = false;

	if (!ask(l, address, "PTR", NULL, &a))
		return;
	for (size_t i = 0; i < count(&a); i++)
		fits = fits || strcasecmp(value(&a, i), l->hostname) == 0;
	if (unanswered(l, "ptr", address, &a))
		;
	else if (fits)
		finding(
		    l->found, "ptr", FINDING_OK, "", "%s leads back to %s", address, l->hostname);
	else
		finding(l->found, "ptr", FINDING_WARNING,
		    "ask whoever gave you the address for a PTR record with the host name; many "
		    "servers "
		    "refuse mail without it",
		    "%s leads to %s, not to %s", address, count(&a) > 0 ? value(&a, 0) : "no name",
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

		if (!ask(l, address, "A", zone, &a))
			return;
		/* 127.255.255.0/24 is how lists say that they do not answer us */
		if (count(&a) > 0 && strncmp(value(&a, 0), "127.", 4) == 0 &&
		    strncmp(value(&a, 0), "127.255.255.", 12) != 0)
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

	for (size_t i = 0; i < count(a); i++)
		n += strncasecmp(value(a, i), with, strlen(with)) == 0;
	return n;
}

static void
check_spf(struct look *l)
{
	char advice[400];
	struct answer a;
	size_t n;

	if (!ask(l, l->domain, "TXT", NULL, &a))
		return;
	n = count_that_begin(&a, "v=spf1");
	snprintf(advice, sizeof(advice), "publish: %s. TXT \"v=spf1 mx -all\"", l->domain);
	if (unanswered(l, "spf", l->domain, &a))
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

/* The same record but for blanks? */
static bool
same_record(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0') {
		if (*a == ' ')
			a++;
		else if (*b == ' ')
			b++;
		else if (*a++ != *b++)
			return false;
	}
	return true;
}

static void
check_key(struct look *l, const struct row *key)
{
	const char *selector = row_text(key, "selector");
	char name[400], advice[500];
	struct answer a;

	snprintf(name, sizeof(name), "%s._domainkey.%s", selector, l->domain);
	if (!ask(l, name, "TXT", NULL, &a))
		return;
	snprintf(advice, sizeof(advice), "publish what `tegami dns show %s` prints for %s",
	    l->domain, name);
	if (unanswered(l, "dkim", name, &a))
		;
	else if (count(&a) == 1 && same_record(value(&a, 0), row_text(key, "record")))
		finding(l->found, "dkim", FINDING_OK, "", "the key %s is published", selector);
	else if (count(&a) == 0)
		finding(l->found, "dkim", FINDING_ERROR, advice,
		    "the key %s signs mail but is not published: receivers take the signature as "
		    "broken",
		    selector);
	else
		finding(l->found, "dkim", FINDING_ERROR, advice,
		    "what is published for the key %s is %s", selector,
		    count(&a) > 1 ? "several records" : "another key");
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
	if (!ask(l, name, "TXT", NULL, &a))
		return;
	n = count_that_begin(&a, "v=DMARC1");
	snprintf(advice, sizeof(advice),
	    "publish: %s. TXT \"v=DMARC1; p=none; rua=mailto:%s%s\"", name,
	    to->n > 0 ? to->at[0] : "postmaster@", to->n > 0 ? "" : l->domain);
	if (unanswered(l, "dmarc", name, &a))
		;
	else if (n == 1 && strcasestr(value(&a, 0), "p=none") != NULL)
		finding(l->found, "dmarc", FINDING_OK, "",
		    "the policy only watches (p=none); raise it once the reports look right");
	else if (n == 1)
		finding(
		    l->found, "dmarc", FINDING_OK, "", "a policy is published: %s", value(&a, 0));
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
    struct look *) = { check_mx, check_addresses, check_spf, check_dkim, check_dmarc };

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
