/* cli_tlsrpt - how TLS went when others sent mail to a domain: TLS reports (RFC 8460), in a table and in words */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/cli_reports.h"
#include "base/clock.h"

#define HOST_SHOWN 120
#define SHOWN 25

struct kind { /* of a failure: RFC 8460 4.3 */
	const char *result, *text, *advice;
};

static const struct kind kinds[] = {
	{ "starttls-not-supported", "the host did not offer STARTTLS",
	    "see that the certificate is read (`tegami check`), and that nothing before the server (a firewall, a "
	    "proxy) takes STARTTLS out" },
	{ "certificate-host-mismatch", "the certificate is for another name",
	    "get a certificate for the name that the MX record and the MTA-STS policy give" },
	{ "certificate-expired", "the certificate had run out",
	    "renew it (a new file is taken without a restart); `tegami check` says how long it lasts" },
	{ "certificate-not-trusted", "the certificate comes from an authority that the sender does not know",
	    "use one of a public authority, and give its whole chain in tls.certificate" },
	{ "validation-failure", "the certificate or the TLS session could not be verified",
	    "look at the reason given; often the chain in tls.certificate is not whole" },
	{ "tlsa-invalid", "no TLSA record fits the certificate",
	    "publish the pin that `tegami dns show` prints, before the certificate's key changes" },
	{ "dnssec-invalid", "the signatures (DNSSEC) of the zone are broken",
	    "have whoever runs the zone sign it anew; until then senders with DANE cannot deliver" },
	{ "dane-required", "the sender wants DANE, and there is no usable TLSA record",
	    "publish the TLSA records that `tegami dns show` prints, in a signed zone" },
	{ "sts-policy-fetch-error", "the MTA-STS policy could not be fetched",
	    "see that https://mta-sts.DOMAIN/.well-known/mta-sts.txt answers, with a good certificate" },
	{ "sts-policy-invalid", "the MTA-STS policy is not written as it should be",
	    "compare it with RFC 8461 3.2: version, mode, mx and max_age, a line each" },
	{ "sts-webpki-invalid", "the web server of the MTA-STS policy has a bad certificate",
	    "renew the certificate of mta-sts.DOMAIN" },
	{ "not-told", "the reporter counts failures without saying which", "" },
};
static const struct kind other = { "", "something went wrong that the reporter names himself", "" };

struct failure { /* of a kind, at a host */
	const struct kind *kind;
	const char *result, *host, *reason;
	int64_t sessions, latest;
};

struct view {
	struct failure *at;
	size_t n;
	int64_t good, failed;
	struct reports_seen seen;
};

static const struct kind *
kind_of(const char *result)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (strcmp(kinds[i].result, result) == 0)
			return &kinds[i];
	return &other;
}

/* The host's name, else its address, else the names in the policy. */
static const char *
host_of(const struct row *r)
{
	static const char *const keys[] = { "host", "host_ip", "mx" };

	for (size_t i = 0; i < COUNT(keys); i++)
		if (*row_text(r, keys[i]) != '\0')
			return row_text(r, keys[i]);
	return "";
}

static void
add_failure(struct view *v, const struct row *r)
{
	const char *result = row_text(r, "result"), *host = host_of(r);
	int64_t latest = row_number(r, "latest");
	struct failure *f = v->at;

	while (f < v->at + v->n && (strcmp(f->result, result) != 0 || strcmp(f->host, host) != 0))
		f++;
	if (f == v->at + v->n) {
		*f = (struct failure){ .kind = kind_of(result), .result = result, .host = host, .reason = "" };
		v->n++;
	}
	f->sessions += row_number(r, "sessions");
	f->latest = latest > f->latest ? latest : f->latest;
	if (*f->reason == '\0')
		f->reason = *row_text(r, "reason") != '\0' ? row_text(r, "reason") : row_text(r, "info");
	v->failed += row_number(r, "sessions");
}

static int
by_sessions(const void *a, const void *b)
{
	const struct failure *x = a, *y = b;

	if (x->sessions != y->sessions)
		return x->sessions > y->sessions ? -1 : 1;
	return strcmp(x->host, y->host);
}

static int
view_make(struct view *v, const struct rows *rows)
{
	memset(v, 0, sizeof(*v));
	v->at = calloc(rows->n + 1, sizeof(*v->at));
	if (v->at == NULL)
		return -1;
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->at[i];

		if (strcmp(row_text(r, "what"), "report") == 0)
			cli_reports_see(&v->seen, r);
		else if (strcmp(row_text(r, "what"), "result") != 0)
			continue;
		else if (*row_text(r, "result") == '\0')
			v->good += row_number(r, "sessions");
		else
			add_failure(v, r);
	}
	qsort(v->at, v->n, sizeof(*v->at), by_sessions);
	return 0;
}

/* -- for people */

static void
print_failures(struct cli *cli, const struct view *v, size_t most)
{
	static const struct column columns[] = {
		{ "result", "What failed", COLUMN_TEXT, false },
		{ "sessions", "Sessions", COLUMN_NUMBER, false },
		{ "host", "Host", COLUMN_TEXT, false },
		{ "latest", "Latest", COLUMN_TEXT, false },
		{ "text", "That is", COLUMN_TEXT, false },
		{ NULL, NULL, COLUMN_TEXT, false },
	};
	struct table_style style = cli_style(cli);
	struct rows table;

	rows_init(&table);
	for (size_t i = 0; i < v->n && i < most; i++) {
		const struct failure *f = &v->at[i];
		char sessions[24], latest[24], host[HOST_SHOWN], text[400];
		struct admin_word words[] = { { "result", f->result }, { "sessions", sessions }, { "host", host },
			{ "latest", latest }, { "text", text } };

		snprintf(sessions, sizeof(sessions), "%lld", (long long)f->sessions);
		snprintf(host, sizeof(host), "%.100s", f->host);
		snprintf(text, sizeof(text), "%s%s%.120s%s", f->kind->text, *f->reason != '\0' ? " (" : "",
		    f->reason, *f->reason != '\0' ? ")" : "");
		cli_reports_day(f->latest, latest);
		rows_add(&table, words, COUNT(words));
	}
	table_text(&cli->out, &table, columns, &style);
	if (v->n > most)
		cli_say(cli, "and %zu more kinds; --all shows them", v->n - most);
	rows_free(&table);
}

static void
print_advice(struct cli *cli, const struct view *v)
{
	cli_say(cli, "\nTo do:");
	for (size_t k = 0; k < COUNT(kinds); k++) {
		bool seen = false;

		for (size_t i = 0; i < v->n; i++)
			seen = seen || v->at[i].kind == &kinds[k];
		if (seen && *kinds[k].advice != '\0')
			cli_say(cli, "  %s -> %s", kinds[k].result, kinds[k].advice);
	}
}

static void
print_view(struct cli *cli, const struct view *v, const char *domain, size_t most)
{
	char period[100];

	cli_reports_period(&v->seen, period);
	cli_say(cli, "TLS of mail to %s, %s", domain, period);
	cli_say(cli, "%lld session%s with TLS as it should be, %lld failed", (long long)v->good,
	    v->good == 1 ? "" : "s", (long long)v->failed);
	if (v->n > 0) {
		cli_say(cli, "%s", "");
		print_failures(cli, v, most);
		print_advice(cli, v);
	} else {
		cli_say(cli, "\nAll is well.");
	}
	cli_reports_unproven(cli, &v->seen);
}

/* -- for programs */

static void
json_view(struct cli *cli, const struct view *v, const char *domain, const struct rows *rows)
{
	struct json j;

	json_init(&j, &cli->out);
	json_open(&j, '{');
	cli_reports_json(cli, &j, domain, "_smtp._tls", rows);
	json_key(&j, "succeeded");
	json_number(&j, v->good);
	json_key(&j, "failed");
	json_number(&j, v->failed);
	json_key(&j, "failures");
	json_open(&j, '[');
	for (size_t i = 0; i < v->n; i++) {
		const struct failure *f = &v->at[i];
		char latest[40];

		json_open(&j, '{');
		json_pair(&j, "result", f->result);
		json_pair(&j, "host", f->host);
		json_key(&j, "sessions");
		json_number(&j, f->sessions);
		clock_iso(f->latest * CLOCK_SECOND, latest);
		json_pair(&j, "latest", latest);
		json_pair(&j, "reason", f->reason);
		json_pair(&j, "text", f->kind->text);
		json_pair(&j, "advice", f->kind->advice);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
}

static int
tlsrpt_show(struct cli *cli, const struct cli_args *args)
{
	const char *domain = args->operand[0];
	struct view view = { 0 };
	struct rows rows;
	int status;

	rows_init(&rows);
	status = cli_reports_ask(cli, args, "tlsrpt.show", &rows);
	if (status == CLI_DONE && view_make(&view, &rows) == -1)
		status = cli_fail(cli, "there is not enough memory");
	if (status == CLI_DONE && cli->json) {
		json_view(cli, &view, domain, &rows);
	} else if (status == CLI_DONE) {
		if (view.seen.n == 0)
			cli_reports_none(cli, domain, "_smtp._tls");
		else
			print_view(cli, &view, domain, cli_option(args, "all") != NULL ? SIZE_MAX : SHOWN);
		cli_reports_bad(cli, &rows);
	}
	free(view.at);
	rows_free(&rows);
	return status;
}

const struct cli_command cli_tlsrpt_commands[] = {
	{ "tlsrpt", "show", tlsrpt_show, "DOMAIN", 1, 1, cli_reports_options,
	    "how TLS went for those who sent mail to it" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
