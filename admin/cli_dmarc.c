/* cli_dmarc - what other servers saw of a domain's mail: DMARC aggregate reports, in a table and in words
 *
 * Which addresses are ours: those of this machine, of the listeners, and of the host name in DNS while the
 * server runs to ask it. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

#include "admin/cli_reports.h"
#include "admin/dmarc_sources.h"
#include "admin/text.h"

#define OWN_MAX 64
#define SHOWN 25 /* sources, without --all */
#define DNS_PATIENCE 5

struct own {
	char text[OWN_MAX][INET6_ADDRSTRLEN];
	const char *at[OWN_MAX];
	size_t n;
};

/* -- which addresses are ours */

static void
own_add(struct own *own, const char *ip)
{
	unsigned char bytes[16];

	if (own->n == OWN_MAX || strlen(ip) >= sizeof(own->text[0]) ||
	    (inet_pton(AF_INET, ip, bytes) != 1 && inet_pton(AF_INET6, ip, bytes) != 1))
		return;
	snprintf(own->text[own->n], sizeof(own->text[0]), "%s", ip);
	own->at[own->n] = own->text[own->n];
	own->n++;
}

static void
own_machine(struct own *own)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) == -1)
		return;
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		char text[INET6_ADDRSTRLEN] = "";

		if (i->ifa_addr == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, text,
			    sizeof(text));
		else if (i->ifa_addr->sa_family == AF_INET6)
			inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr, text,
			    sizeof(text));
		own_add(own, text);
	}
	freeifaddrs(all);
}

static void
own_listeners(struct own *own, const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_listen; i++)
		for (size_t a = 0; a < conf->listen[i].address.n; a++) {
			char host[256];
			uint16_t port;

			if (conf_host_port(conf->listen[i].address.at[a], 25, host, &port))
				own_add(own, host);
		}
}

static void
own_names(struct own *own, struct cli *cli)
{
	static const char *const types[] = { "A", "AAAA" };
	unsigned patience = cli->patience;

	cli->patience = DNS_PATIENCE;
	for (size_t t = 0; t < COUNT(types) && cli_server_up(cli); t++) {
		struct err err = { .kind = ERR_NONE };
		struct admin_request rq;
		struct rows rows;

		rows_init(&rows);
		cli_rq(&rq, "dns.ask");
		cli_rq_word(&rq, "name", cli_conf(cli)->hostname);
		cli_rq_word(&rq, "type", types[t]);
		if (cli_ask(cli, &rq, &rows, &err) == 0)
			for (size_t i = 0; i < rows.n; i++)
				own_add(own, row_text(&rows.at[i], "value"));
		rows_free(&rows);
		if (err.kind != ERR_NONE)
			break;
	}
	cli->patience = patience;
}

/* -- for people */

/* "pass", "fail", or how many of them pass. */
static void
share_text(int64_t part, int64_t all, char out[static 24])
{
	if (part == all || part == 0)
		snprintf(out, 24, "%s", part == all ? "pass" : "fail");
	else
		snprintf(out, 24, "%lld pass", (long long)part);
}

static void
done_text(const struct dmarc_source *s, char out[static 60])
{
	int64_t rest = s->messages - s->quarantine - s->reject;
	const struct {
		int64_t n;
		const char *word;
	} parts[] = { { rest, "delivered" }, { s->quarantine, "to spam" }, { s->reject, "refused" } };

	out[0] = '\0';
	for (size_t i = 0; i < COUNT(parts); i++) {
		size_t len = strlen(out);

		if (parts[i].n == s->messages)
			snprintf(out, 60, "%s", parts[i].word);
		else if (parts[i].n > 0)
			snprintf(out + len, 60 - len, "%s%lld %s", len > 0 ? ", " : "", (long long)parts[i].n,
			    parts[i].word);
	}
}

static void
table_row(struct rows *table, const struct dmarc_source *s)
{
	char messages[24], dkim[24], spf[24], done[60];
	struct admin_word words[] = { { "state", source_state_word(s->state) }, { "ip", s->ip },
		{ "messages", messages }, { "dkim", dkim }, { "spf", spf }, { "done", done },
		{ "who", s->text } };

	snprintf(messages, sizeof(messages), "%lld", (long long)s->messages);
	share_text(s->dkim, s->messages, dkim);
	share_text(s->spf, s->messages, spf);
	done_text(s, done);
	rows_add(table, words, COUNT(words));
}

static void
print_sources(struct cli *cli, const struct dmarc_view *v, size_t most)
{
	static const struct column columns[] = {
		{ "state", "", COLUMN_STATE, false },
		{ "ip", "Source", COLUMN_TEXT, false },
		{ "messages", "Messages", COLUMN_NUMBER, false },
		{ "dkim", "DKIM", COLUMN_STATE, false },
		{ "spf", "SPF", COLUMN_STATE, false },
		{ "done", "Done with it", COLUMN_TEXT, false },
		{ "who", "Who", COLUMN_TEXT, false },
		{ NULL, NULL, COLUMN_TEXT, false },
	};
	struct table_style style = cli_style(cli);
	int64_t rest = 0;
	struct rows table;

	rows_init(&table);
	for (size_t i = 0; i < v->n; i++) {
		if (i < most)
			table_row(&table, &v->at[i]);
		else
			rest += v->at[i].messages;
	}
	table_text(&cli->out, &table, columns, &style);
	if (v->n > most)
		cli_say(cli, "and %zu more sources with %lld messages; --all shows them", v->n - most,
		    (long long)rest);
	rows_free(&table);
}

/* An advice that many sources share is given once. */
static bool
said_before(const struct dmarc_view *v, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(v->at[k].advice, v->at[i].advice) == 0)
			return true;
	return false;
}

static void
print_advice(struct cli *cli, const struct dmarc_view *v, size_t most)
{
	bool titled = false;

	for (size_t i = 0; i < v->n && i < most; i++) {
		const struct dmarc_source *s = &v->at[i];

		if (s->advice[0] == '\0' || said_before(v, i))
			continue;
		if (!titled)
			cli_say(cli, "\nTo do:");
		titled = true;
		cli_say(cli, "  %s%s -> %s", s->kind == SOURCE_STRANGER ? "strangers, as " : "", s->ip,
		    s->advice);
	}
}

static void
print_head(struct cli *cli, const struct dmarc_view *v, const char *domain)
{
	char period[100];

	cli_reports_period(&v->seen, period);
	cli_say(cli, "%s, %s, policy p=%s", domain, period, v->policy[0] != '\0' ? v->policy : "?");
	cli_say(cli, "%lld messages from %zu sources: %lld pass, %lld fail\n", (long long)v->messages, v->n,
	    (long long)v->pass, (long long)(v->messages - v->pass));
}

static void
print_view(struct cli *cli, const struct dmarc_view *v, const char *domain, size_t most)
{
	struct table_style style = cli_style(cli);

	print_head(cli, v, domain);
	print_sources(cli, v, most);
	print_advice(cli, v, most);
	buf_char(&cli->out, '\n');
	table_show(&cli->out, COLUMN_STATE, source_state_word(v->state), &style);
	cli_say(cli, "  %s", v->text);
	cli_reports_unproven(cli, &v->seen);
}

/* -- for programs */

static void
json_source(struct json *j, const struct dmarc_source *s)
{
	const struct {
		const char *key;
		int64_t n;
	} numbers[] = { { "messages", s->messages }, { "pass", s->pass }, { "dkim", s->dkim },
		{ "spf", s->spf }, { "none", s->messages - s->quarantine - s->reject },
		{ "quarantine", s->quarantine }, { "reject", s->reject }, { "forwarded", s->forwarded } };

	json_open(j, '{');
	json_pair(j, "ip", s->ip);
	json_pair(j, "kind", source_kind_word(s->kind));
	json_pair(j, "state", source_state_word(s->state));
	for (size_t i = 0; i < COUNT(numbers); i++) {
		json_key(j, numbers[i].key);
		json_number(j, numbers[i].n);
	}
	json_pair(j, "proves", s->proves);
	json_pair(j, "envelope_from", s->envelope);
	json_pair(j, "text", s->text);
	json_pair(j, "advice", s->advice);
	json_close(j, '}');
}

static void
json_view(struct cli *cli, const struct dmarc_view *v, const char *domain, const struct rows *rows)
{
	struct json j;

	json_init(&j, &cli->out);
	json_open(&j, '{');
	cli_reports_json(cli, &j, domain, "_dmarc", rows);
	json_key(&j, "messages");
	json_number(&j, v->messages);
	json_key(&j, "pass");
	json_number(&j, v->pass);
	json_pair(&j, "policy", v->policy);
	json_key(&j, "stricter_is_safe");
	json_bool(&j, v->safe);
	json_pair(&j, "text", v->text);
	json_key(&j, "sources");
	json_open(&j, '[');
	for (size_t i = 0; i < v->n; i++)
		json_source(&j, &v->at[i]);
	json_close(&j, ']');
	json_close(&j, '}');
}

static int
dmarc_show(struct cli *cli, const struct cli_args *args)
{
	const char *domain = args->operand[0];
	struct dmarc_view view = { 0 };
	struct own own = { .n = 0 };
	struct rows rows;
	int status;

	rows_init(&rows);
	status = cli_reports_ask(cli, args, "dmarc.show", &rows);
	if (status == CLI_DONE) {
		own_machine(&own);
		own_listeners(&own, cli_conf(cli));
		own_names(&own, cli);
		if (dmarc_view_make(&view, &rows, domain, own.at, own.n) == -1)
			status = cli_fail(cli, "there is not enough memory");
	}
	if (status == CLI_DONE && cli->json) {
		json_view(cli, &view, domain, &rows);
	} else if (status == CLI_DONE) {
		if (view.seen.n == 0)
			cli_reports_none(cli, domain, "_dmarc");
		else
			print_view(cli, &view, domain, cli_option(args, "all") != NULL ? SIZE_MAX : SHOWN);
		cli_reports_bad(cli, &rows);
	}
	dmarc_view_free(&view);
	rows_free(&rows);
	return status;
}

const struct cli_command cli_dmarc_commands[] = {
	{ "dmarc", "show", dmarc_show, "DOMAIN", 1, 1, cli_reports_options,
	    "who sends in its name, as other servers report" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
