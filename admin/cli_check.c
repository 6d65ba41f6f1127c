/* cli_check - is everything as it should be? A row each: what, how it is, and what to do
 *
 * Each check is a function in the table; it adds rows. Here are those that ask the server, which
 * say nothing while it is down; those that ask the machine are in cli_check_host.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/cli_check.h"
#include "admin/text.h"
#include "base/clock.h"

/* -- what the server knows */

static void
check_server(struct check *c)
{
	struct admin_request rq;
	struct err err = { .kind = ERR_NONE };
	struct rows roles;
	size_t bad = 0;

	if (!c->up) {
		finding(&c->found, "server", FINDING_WARNING, "start it with `tegamid`",
		    "it is not running");
		return;
	}
	rows_init(&roles);
	cli_rq(&rq, "role.list");
	if (cli_ask(c->cli, &rq, &roles, &err) == -1)
		finding(&c->found, "server", FINDING_ERROR, "read the log of tegamid",
		    "its processes are not known: %s", err.text);
	for (size_t i = 0; i < roles.n; i++) {
		const char *state = row_text(&roles.at[i], "state");

		if (strcmp(state, "running") == 0 || strcmp(state, "ready") == 0 ||
		    strcmp(state, "leaving") == 0)
			continue;
		bad++;
		finding(&c->found, "server", FINDING_ERROR,
		    "read the log; a process that keeps dying says why there", "%s is %s",
		    row_text(&roles.at[i], "name"), state);
	}
	if (err.kind == ERR_NONE && bad == 0)
		finding(&c->found, "server", FINDING_OK, "", "all %zu processes run", roles.n);
	rows_free(&roles);
}

/* What the directory finds of itself: users without a domain, aliases into nowhere ... */
static void
check_directory(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;

	cli_rq(&rq, "directory.check");
	if (cli_ask(c->cli, &rq, &c->found.rows, &err) == -1 && err.text[0] != '\0')
		finding(&c->found, "directory", FINDING_ERROR, "see what the message says", "%s",
		    err.text);
}

static void
check_world(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;

	if (!c->up)
		return;
	cli_rq(&rq, "status.check");
	if (cli_ask(c->cli, &rq, &c->found.rows, &err) == -1)
		finding(&c->found, "dns", FINDING_WARNING, "try again in a moment", "%s", err.text);
}

static void
check_queue(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows q;
	const char *intake, *held;

	if (!c->up)
		return;
	rows_init(&q);
	cli_rq(&rq, "queue.stats");
	if (cli_ask(c->cli, &rq, &q, &err) == 0 && q.n > 0) {
		intake = row_text(&q.at[0], "intake");
		held = row_text(&q.at[0], "held");
		if (*intake != '\0' && strcmp(intake, "open") != 0)
			finding(&c->found, "queue", FINDING_ERROR,
			    "mend that; mail is taken again by itself", "no mail is taken: %s",
			    intake);
		else if (atoll(held) > 0)
			finding(&c->found, "queue", FINDING_WARNING,
			    "look at them with `tegami queue list`", "%s are held back", held);
		else
			finding(&c->found, "queue", FINDING_OK, "", "%s messages wait",
			    row_text(&q.at[0], "messages"));
	}
	rows_free(&q);
}

/* What is to be done about a key; most of them: nothing. true: it signs. */
static bool
check_key(struct check *c, const struct row *k)
{
	const char *domain = row_text(k, "domain"), *selector = row_text(k, "selector"),
		   *published = row_text(k, "published"), *state = row_text(k, "state");
	bool active = strcmp(state, "active") == 0, signs = table_true(row_text(k, "signs"));
	char show[400], retire[500];

	snprintf(show, sizeof(show), "publish what `tegami dns show %.250s` prints for it", domain);
	snprintf(retire, sizeof(retire), "remove its record from DNS, then: tegami dkim retire %.250s %.63s", domain, selector);
	if (active && strcmp(published, "wrong") == 0)
		finding(&c->found, "dkim", FINDING_ERROR, show, "the key %s of %s does not sign: DNS has another record for it",
		    selector, domain);
	else if (active && strcmp(published, "missing") == 0)
		finding(&c->found, "dkim", signs ? FINDING_WARNING : FINDING_ERROR, show,
		    signs ? "the key %s of %s signs, but its record is not in DNS: receivers cannot check it"
			  : "the key %s of %s does not sign: its record is not in DNS",
		    selector, domain);
	else if (strcmp(state, "next") == 0)
		finding(&c->found, "dkim", FINDING_WARNING, show, "the next key %s of %s waits for its record in DNS", selector,
		    domain);
	else if (strcmp(state, "retired") == 0)
		finding(&c->found, "dkim", FINDING_WARNING, retire, "the record of the old key %s of %s is not wanted any more",
		    selector, domain);
	return signs;
}

static void
check_dkim_of(struct check *c, const char *domain, const struct rows *keys)
{
	char advice[400];
	size_t n = 0, signing = 0;

	for (size_t i = 0; i < keys->n; i++) {
		if (strcasecmp(row_text(&keys->at[i], "domain"), domain) != 0)
			continue;
		n++;
		signing += check_key(c, &keys->at[i]);
	}
	snprintf(advice, sizeof(advice), "tegami dkim create %.250s", domain);
	if (signing > 0)
		finding(&c->found, "dkim", FINDING_OK, "", "mail of %s is signed", domain);
	else
		finding(&c->found, "dkim", FINDING_WARNING, n == 0 ? advice : "tegami dkim list", "mail of %s is not signed",
		    domain);
}

static void
check_dkim(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows domains, keys;

	rows_init(&domains);
	rows_init(&keys);
	cli_rq(&rq, "domain.list");
	if (cli_ask(c->cli, &rq, &domains, &err) == 0 && cli_dkim_keys(c->cli, &keys, &err) == 0) {
		for (size_t i = 0; i < domains.n; i++)
			check_dkim_of(c, row_text(&domains.at[i], "domain"), &keys);
		if (domains.n == 0)
			finding(&c->found, "domains", FINDING_WARNING,
			    "tegami domain add example.org",
			    "there is none yet: no mail can arrive");
	}
	rows_free(&domains);
	rows_free(&keys);
}

/* Is there somebody behind the address that reports are sent to? */
static void
check_reports(struct check *c)
{
	for (size_t i = 0; i < c->conf->reports.address.n; i++) {
		const char *address = c->conf->reports.address.at[i], *status;
		struct err err = { .kind = ERR_NONE };
		struct admin_request rq;
		struct rows rows;
		char advice[600];

		rows_init(&rows);
		cli_rq(&rq, "directory.explain");
		cli_rq_word(&rq, "address", address);
		if (cli_ask(c->cli, &rq, &rows, &err) == 0 && rows.n > 0) {
			status = row_text(&rows.at[rows.n - 1], "status");
			snprintf(advice, sizeof(advice),
			    "tegami alias add %s postmaster@..., or name another in reports.address", address);
			if (strcmp(status, "ok") == 0)
				finding(&c->found, "reports", FINDING_OK, "", "reports of other servers come to %s",
				    address);
			else if (strcmp(status, "full") == 0 || strcmp(status, "temporary") == 0)
				finding(&c->found, "reports", FINDING_WARNING, "tegami user quota",
				    "reports to %s are put off: %s", address, row_text(&rows.at[rows.n - 1], "why"));
			else
				finding(&c->found, "reports", FINDING_ERROR, advice,
				    "%s takes no mail, so reports are refused: %s", address,
				    row_text(&rows.at[rows.n - 1], "why"));
		}
		rows_free(&rows);
	}
}

/* Reports that other domains want of us, and that could not go. */
static void
check_reports_sent(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows rows;

	if (!c->up)
		return;
	rows_init(&rows);
	cli_rq(&rq, "tlsrpt.waiting");
	if (cli_ask(c->cli, &rq, &rows, &err) == -1)
		finding(&c->found, "reports", FINDING_WARNING, "try again in a moment",
		    "whether reports to others wait is not known: %s", err.text);
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.at[i];
		const char *tries = row_text(r, "tries"), *why = row_text(r, "why");
		char next[40], advice[200];

		clock_iso(row_number(r, "next") * CLOCK_SECOND, next);
		snprintf(advice, sizeof(advice),
		    "nothing, if this passes: the next try is at %s; the log says when one is given up", next);
		finding(&c->found, "reports", FINDING_WARNING, advice,
		    "the %s report on %s waits after %s %s%s%s", row_text(r, "kind"), row_text(r, "domain"), tries,
		    strcmp(tries, "1") == 0 ? "try" : "tries", *why != '\0' ? ": " : "", why);
	}
	if (rows.n > 0 && row_number(&rows.at[0], "all") > (int64_t)rows.n)
		finding(&c->found, "reports", FINDING_WARNING, "read the log, which names each of them",
		    "%lld more reports to other domains wait",
		    (long long)(row_number(&rows.at[0], "all") - (int64_t)rows.n));
	rows_free(&rows);
}

static void (*const checks[])(struct check *) = { check_server, check_state_dir, check_databases,
	check_directory, check_ports, check_certificates, check_dkim, check_reports, check_reports_sent, check_antivirus, check_queue,
	check_clock, check_disk, check_world };

static int
check(struct cli *cli, const struct cli_args *args)
{
	struct check c = { .cli = cli };
	struct err err = { .kind = ERR_NONE };

	(void)args;
	findings_init(&c.found);
	if (access(cli->config_file, F_OK) == 0 && cli->conf == NULL)
		cli->conf = conf_read(cli->config_file, &err);
	c.conf = cli->conf;
	if (c.conf == NULL) {
		finding(&c.found, "config", FINDING_ERROR,
		    err.kind == ERR_NONE
			? "make one with `tegami init HOSTNAME`, or name it with -c FILE"
			: "correct these lines; `tegami config explain OPTION` helps",
		    err.kind == ERR_NONE ? "there is no configuration at %s" : "%s",
		    err.kind == ERR_NONE ? cli->config_file : err.text);
		return findings_finish(cli, &c.found);
	}
	finding(&c.found, "config", FINDING_OK, "", "%s reads well", cli->config_file);
	c.up = cli_server_up(cli);
	for (size_t i = 0; i < COUNT(checks); i++)
		checks[i](&c);
	return findings_finish(cli, &c.found);
}

const struct cli_command cli_check_commands[] = {
	{ "check", NULL, check, NULL, 0, 0, NULL,
	    "is everything as it should be? A row each, and what to do" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
