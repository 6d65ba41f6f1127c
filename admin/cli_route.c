/* cli_route - `tegami route ADDRESS`: where mail to an address would go, and why
 *
 * The directory tells the way through aliases (also while the server is down), relay the route and the hosts of each place
 * elsewhere, queue whether it is suspended or out of reach. Nothing is sent. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "admin/cli.h"
#include "admin/text.h"
#include "base/clock.h"

#define PLACES_MAX 100

struct place { /* elsewhere */
	const char *address, *domain;
	struct rows hosts, state;
	struct err err; /* why `hosts` is not known */
};

static const char *
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at != NULL ? at + 1 : address;
}

static const struct row *
row_of(const struct rows *rows, const char *kind, size_t nth)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(row_text(&rows->at[i], "row"), kind) == 0 && nth-- == 0)
			return &rows->at[i];
	return NULL;
}

/* -- asking */

static void
ask_place(struct cli *cli, struct place *p, const char *from)
{
	struct err ignored = { .kind = ERR_NONE };
	struct admin_request rq;

	rows_init(&p->hosts);
	rows_init(&p->state);
	p->err = (struct err){ .kind = ERR_NONE };
	if (!cli_server_up(cli)) {
		err_set(&p->err, ERR_TEMPORARY, "the server is down; which hosts are asked is known while it runs");
		return;
	}
	cli_rq(&rq, "relay.route");
	cli_rq_word(&rq, "domain", p->domain);
	cli_rq_word(&rq, "from", from);
	cli_ask(cli, &rq, &p->hosts, &p->err);
	cli_rq(&rq, "queue.destinations");
	cli_rq_word(&rq, "domain", p->domain);
	cli_ask(cli, &rq, &p->state, &ignored);
}

/* -- for people */

static const char *
step_words(const struct row *r)
{
	static const struct {
		const char *is, *words;
	} all[] = { { "mailbox", "is a mailbox here" }, { "alias", "is an alias" },
		{ "catch-all", "has no mailbox or alias of its own: the catch-all of its domain takes it" },
		{ "elsewhere", "is of a domain of another server" },
		{ "return-address", "is a return address that this server gave to mail it sent on" },
		{ "unknown", "does not exist" } };

	for (size_t i = 0; i < COUNT(all); i++)
		if (strcmp(row_text(r, "is"), all[i].is) == 0)
			return all[i].words;
	return "";
}

static void
say_steps(struct cli *cli, const struct rows *way)
{
	const struct row *r;

	for (size_t i = 0; (r = row_of(way, "step", i)) != NULL; i++) {
		const char *by = row_text(r, "by");

		cli_say(cli, "%*s%s %s%s%s", (int)(2 * row_number(r, "depth")), "", row_text(r, "address"),
		    step_words(r), *by != '\0' ? ", found as " : "", by);
	}
}

static void
say_route(struct cli *cli, const struct row *r)
{
	const char *by, *tls;

	if (r == NULL)
		return;
	by = row_text(r, "by");
	tls = row_text(r, "tls");
	if (strcmp(by, "mx") == 0)
		cli_say(cli, "  Route: the MX hosts of %s (no route section or smarthost is for it)", row_text(r, "host"));
	else if (strcmp(by, "address") == 0)
		cli_say(cli, "  Route: the address itself");
	else if (strcmp(row_text(r, "route"), "relay.smarthost") == 0)
		cli_say(cli, "  Route: relay.smarthost, %s port %s", row_text(r, "host"), row_text(r, "port"));
	else
		cli_say(cli, "  Route: the section route \"%s\", %s port %s%s", row_text(r, "route"), row_text(r, "host"),
		    row_text(r, "port"), strcmp(row_text(r, "protocol"), "lmtp") == 0 ? " by LMTP" : "");
	cli_say(cli, "  TLS:   %s%s", tls,
	    strcmp(tls, "opportunistic") == 0 ? " (used where the host offers it)"
	    : strcmp(tls, "required") == 0    ? " (a host without it gets nothing)"
	    : strcmp(tls, "verified") == 0    ? " (a host that cannot prove its name gets nothing)"
					      : "");
}

static void
say_hosts(struct cli *cli, const struct place *p)
{
	const struct row *r;

	for (size_t i = 0; (r = row_of(&p->hosts, "host", i)) != NULL; i++)
		cli_say(cli, "  %s %s. %s [%s], TLS: %s", i == 0 ? "Hosts:" : "      ", row_text(r, "number"), row_text(r, "host"),
		    row_text(r, "address"), row_text(r, "policy"));
	for (size_t i = 0; (r = row_of(&p->hosts, "problem", i)) != NULL; i++)
		cli_say(cli, "  %s %s", strcmp(row_text(r, "status"), "permanent") == 0 ? "Never:" : "Not now:",
		    row_text(r, "text"));
	if (p->err.kind != ERR_NONE)
		cli_say(cli, "  %s", p->err.text);
}

static void
say_state(struct cli *cli, const struct place *p)
{
	char when[TEXT_SHOWN];

	for (size_t i = 0; i < p->state.n; i++) {
		const struct row *r = &p->state.at[i];
		const char *state = row_text(r, "state"), *why = row_text(r, "why");

		text_show_when(row_number(r, "until"), clock_now(), when);
		if (strcmp(state, "suspended") == 0)
			cli_say(cli, "  SUSPENDED by the administrator%s%s: `tegami queue resume %s`",
			    *why != '\0' ? ": " : "", why, p->domain);
		else if (strcmp(state, "paused") == 0)
			cli_say(cli, "  Out of reach, tried again %s: %s", when, why);
		cli_say(cli, "  Queue: %s recipients wait; %s of at most %s sessions are open", row_text(r, "recipients"),
		    row_text(r, "sessions"), row_text(r, "limit"));
	}
}

static void
say_place(struct cli *cli, const struct place *p)
{
	cli_say(cli, "%s%s goes to another server", cli->out.len > 0 ? "\n" : "", p->address);
	say_route(cli, row_of(&p->hosts, "route", 0));
	say_hosts(cli, p);
	say_state(cli, p);
}

static void
say_answer(struct cli *cli, const struct rows *way)
{
	const struct row *answer = row_of(way, "answer", 0), *r;
	const char *status = row_text(answer, "status"), *why = row_text(answer, "why");

	for (size_t i = 0; (r = row_of(way, "target", i)) != NULL; i++)
		if (strcmp(row_text(r, "kind"), "local") == 0)
			cli_say(cli, "\n%s is delivered here, into %s", row_text(r, "address"), row_text(r, "home"));
	if (strcmp(status, "unknown") == 0)
		cli_say(cli, "Mail to it is refused: 550 5.1.1 %s", why);
	else if (strcmp(status, "temporary") == 0)
		cli_say(cli, "Mail to it must wait: 451 4.3.0 %s", why);
	else if (strcmp(status, "ok") == 0 && *why != '\0')
		cli_say(cli, "Note: %s", why);
}

/* -- for programs */

static void
json_rows(struct json *j, const char *key, const struct rows *rows, const char *kind)
{
	const struct row *r;

	json_key(j, key);
	json_open(j, '[');
	for (size_t i = 0; (r = row_of(rows, kind, i)) != NULL; i++) {
		json_open(j, '{');
		for (size_t w = 0; w < r->n; w++)
			if (strcmp(r->words[w].key, "row") != 0)
				json_pair(j, r->words[w].key, r->words[w].value);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void
json_place(struct json *j, const struct place *p)
{
	const struct row *route = row_of(&p->hosts, "route", 0);

	json_open(j, '{');
	json_pair(j, "address", p->address);
	json_pair(j, "domain", p->domain);
	for (size_t w = 0; route != NULL && w < route->n; w++)
		if (strcmp(route->words[w].key, "row") != 0)
			json_pair(j, route->words[w].key, route->words[w].value);
	json_rows(j, "hosts", &p->hosts, "host");
	json_rows(j, "problems", &p->hosts, "problem");
	json_pair(j, "queue", p->state.n > 0 ? row_text(&p->state.at[0], "state") : "open");
	json_pair(j, "error", p->err.kind != ERR_NONE ? p->err.text : "");
	json_close(j, '}');
}

static void
json_all(struct cli *cli, const char *address, const struct rows *way, const struct place *places, size_t n)
{
	const struct row *answer = row_of(way, "answer", 0);
	struct json j;

	json_init(&j, &cli->out);
	json_open(&j, '{');
	json_pair(&j, "address", address);
	json_pair(&j, "status", row_text(answer, "status"));
	json_pair(&j, "why", row_text(answer, "why"));
	json_rows(&j, "steps", way, "step");
	json_rows(&j, "targets", way, "target");
	json_key(&j, "elsewhere");
	json_open(&j, '[');
	for (size_t i = 0; i < n; i++)
		json_place(&j, &places[i]);
	json_close(&j, ']');
	json_close(&j, '}');
}

/* -- the command */

/* The places elsewhere that the way ends at; the address itself when its domain is not ours. */
static size_t
find_places(const char *address, const struct rows *way, struct place *places)
{
	const struct row *r;
	size_t n = 0;

	if (strcmp(row_text(row_of(way, "answer", 0), "status"), "elsewhere") == 0)
		places[n++] = (struct place){ .address = address, .domain = domain_of(address) };
	for (size_t i = 0; (r = row_of(way, "target", i)) != NULL && n < PLACES_MAX; i++)
		if (strcmp(row_text(r, "kind"), "remote") == 0)
			places[n++] = (struct place){ .address = row_text(r, "address"),
				.domain = domain_of(row_text(r, "address")) };
	return n;
}

static void
tell(struct cli *cli, const char *address, const char *from, const struct rows *way)
{
	static struct place places[PLACES_MAX];
	size_t n = find_places(address, way, places);

	for (size_t i = 0; i < n; i++)
		ask_place(cli, &places[i], from);
	if (cli->json) {
		json_all(cli, address, way, places, n);
	} else {
		say_steps(cli, way);
		say_answer(cli, way);
		for (size_t i = 0; i < n; i++)
			say_place(cli, &places[i]);
	}
	for (size_t i = 0; i < n; i++) {
		rows_free(&places[i].hosts);
		rows_free(&places[i].state);
	}
}

static int
route(struct cli *cli, const struct cli_args *args)
{
	const char *address = args->operand[0];
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows way;
	int rc;

	if (strchr(address, '@') == NULL && strcasecmp(address, "postmaster") != 0) {
		cli_fail(cli, "\"%.200s\" is no address; say NAME@DOMAIN", address);
		return CLI_USAGE;
	}
	cli_rq(&rq, "directory.explain");
	cli_rq_word(&rq, "address", address);
	rows_init(&way);
	rc = cli_ask(cli, &rq, &way, &err);
	if (rc == 0 && row_of(&way, "answer", 0) == NULL)
		rc = err_set(&err, ERR_BUG, "the directory gave no answer");
	if (rc == 0)
		tell(cli, address, cli_option(args, "from"), &way);
	rows_free(&way);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static const struct cli_option options[] = {
	{ "from", "ADDR", "as for mail from this sender (routes may differ by sender)" },
	{ NULL, NULL, NULL },
};

const struct cli_command cli_route_commands[] = {
	{ "route", NULL, route, "ADDRESS", 1, 1, options, "where would mail to it go, and why?" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
