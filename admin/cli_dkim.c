/* cli_dkim - keys that sign outgoing mail: made, watched on their way (filters/dkim_state.h), and put away
 *
 * New keys are files that the CLI writes, as root; then the server reloads. What becomes of them later is decided by
 * control (which looks into DNS) and written by tegamid while they run, and by the CLI while they do not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "admin/cli.h"
#include "filters/dkim_key.h"

/* The domain in its one form, which must be ours. */
static int
our_domain(struct cli *cli, const char *domain, char out[static 256], struct err *err)
{
	struct admin_request rq;
	struct rows rows;
	int rc;

	cli_rq(&rq, "domain.show");
	cli_rq_word(&rq, "domain", domain);
	rows_init(&rows);
	rc = cli_ask(cli, &rq, &rows, err);
	if (rc == 0)
		snprintf(out, 256, "%s", rows.n > 0 ? row_text(&rows.at[0], "domain") : "");
	rows_free(&rows);
	return rc;
}

/* -- new keys */

#define KINDS 2

struct made {
	enum dkim_algorithm algorithm[KINDS];
	enum dkim_state state[KINDS];
	char selector[KINDS][DKIM_SELECTOR_SIZE];
	size_t n;
};

/* Is there a key of the domain in this state? algorithm NULL: of any kind. */
static const struct row *
key_in(const struct rows *keys, const char *domain, const char *algorithm, const char *state)
{
	for (size_t i = 0; i < keys->n; i++) {
		const struct row *k = &keys->at[i];

		if (strcmp(row_text(k, "domain"), domain) == 0 && strcmp(row_text(k, "state"), state) == 0 &&
		    (algorithm == NULL || strcmp(row_text(k, "algorithm"), algorithm) == 0))
			return k;
	}
	return NULL;
}

static bool
has_seen(const struct rows *keys, const char *domain)
{
	for (size_t i = 0; i < keys->n; i++)
		if (strcmp(row_text(&keys->at[i], "domain"), domain) == 0 &&
		    strcmp(row_text(&keys->at[i], "state"), "active") == 0 && table_true(row_text(&keys->at[i], "seen")))
			return true;
	return false;
}

/* The first key of its kind signs at once, so that a new domain's mail is signed from its first hour; unless another one
 * is in DNS already, or does that work. */
static enum dkim_state
begins_as(const struct rows *keys, const char *domain, enum dkim_algorithm algorithm, bool rotate)
{
	return rotate || has_seen(keys, domain) ||
			       key_in(keys, domain, dkim_algorithm_name(algorithm), "active") != NULL
		   ? DKIM_NEXT
		   : DKIM_ACTIVE;
}

static int
plan(const struct rows *keys, const char *domain, bool rotate, struct made *m, struct err *err)
{
	if (rotate && key_in(keys, domain, NULL, "active") == NULL)
		return err_set(err, ERR_PERMANENT, "%s has no key yet; `tegami dkim create %s` makes the first", domain, domain);
	for (size_t i = 0; i < m->n; i++) {
		const struct row *waits = key_in(keys, domain, dkim_algorithm_name(m->algorithm[i]), "next");

		if (waits != NULL)
			return err_set(err, ERR_EXISTS,
			    "%s has a next key, %s, that waits for its record in DNS: publish it (`tegami dns show %s`), or "
			    "drop it with `tegami dkim retire %s %s`",
			    domain, row_text(waits, "selector"), domain, domain, row_text(waits, "selector"));
		m->state[i] = begins_as(keys, domain, m->algorithm[i], rotate);
	}
	return 0;
}

static int
make(const char *domain, struct made *m, struct err *err)
{
	for (size_t i = 0; i < m->n; i++)
		if (dkim_key_create(domain, m->algorithm[i], m->state[i], m->selector[i], err) == -1) {
			if (err->sys == EACCES || err->sys == EPERM)
				err_context(err, "only root may make keys");
			return -1;
		}
	return 0;
}

static void
made_json(struct cli *cli, const char *domain, const struct made *m)
{
	struct json j;

	json_init(&j, &cli->out);
	json_open(&j, '{');
	json_key(&j, "ok");
	json_bool(&j, true);
	json_pair(&j, "domain", domain);
	json_pair(&j, "selector", m->selector[0]);
	json_pair(&j, "algorithm", dkim_algorithm_name(m->algorithm[0]));
	json_key(&j, "keys");
	json_open(&j, '[');
	for (size_t i = 0; i < m->n; i++) {
		json_open(&j, '{');
		json_pair(&j, "selector", m->selector[i]);
		json_pair(&j, "algorithm", dkim_algorithm_name(m->algorithm[i]));
		json_pair(&j, "state", dkim_state_name(m->state[i]));
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
}

static void
made_say(struct cli *cli, const char *domain, const struct made *m, bool up)
{
	bool waits = false;

	for (size_t i = 0; i < m->n; i++) {
		cli_say(cli, "Made a key for %s (%s, selector %s)%s.", domain,
		    m->algorithm[i] == DKIM_RSA ? "RSA, 2048 bits" : "Ed25519", m->selector[i],
		    m->state[i] == DKIM_NEXT ? "; it waits for its record in DNS" : "");
		waits = waits || m->state[i] == DKIM_NEXT;
	}
	cli_say(cli, "Publish: `tegami dns show %s` prints the records.", domain);
	if (waits)
		cli_say(cli, "The server looks for them and signs with the new keys once they are there; `tegami dkim list` shows it.");
	else if (up)
		cli_say(cli, "The server signs with %s from now on.", m->n > 1 ? "them" : "it");
}

static int
take_up(struct cli *cli, struct err *err)
{
	struct admin_request rq;
	struct rows rows;
	int rc;

	if (!cli_server_up(cli))
		return 0;
	rows_init(&rows);
	cli_rq(&rq, "server.reload");
	rc = cli_ask(cli, &rq, &rows, err);
	rows_free(&rows);
	return rc == 0 ? 0 : err_context(err, "the keys are there, but the server could not take them");
}

/* --algorithm: one kind; else both. false: it is none. */
static bool
kinds(const char *wanted, struct made *m)
{
	static const enum dkim_algorithm all[KINDS] = { DKIM_RSA, DKIM_ED25519 };

	for (size_t i = 0; i < KINDS; i++)
		if (wanted == NULL || strcasecmp(wanted, dkim_algorithm_name(all[i])) == 0)
			m->algorithm[m->n++] = all[i];
	return m->n > 0;
}

static int
new_keys(struct cli *cli, const struct cli_args *args, bool rotate)
{
	struct made m = { .n = 0 };
	struct err err = { .kind = ERR_NONE };
	char domain[256];
	struct rows keys;
	int rc;

	if (!kinds(cli_option(args, "algorithm"), &m)) {
		cli_fail(cli, "--algorithm is rsa (every receiver knows it) or ed25519, not \"%s\"",
		    cli_option(args, "algorithm"));
		return CLI_USAGE;
	}
	rows_init(&keys);
	rc = our_domain(cli, args->operand[0], domain, &err);
	if (rc == 0)
		rc = cli_dkim_keys(cli, &keys, &err);
	if (rc == 0)
		rc = plan(&keys, domain, rotate, &m, &err);
	if (rc == 0)
		rc = make(domain, &m, &err);
	if (rc == 0)
		rc = take_up(cli, &err);
	rows_free(&keys);
	if (rc == -1)
		return cli_error(cli, &err);
	if (cli->json)
		made_json(cli, domain, &m);
	else
		made_say(cli, domain, &m, cli_server_up(cli));
	return CLI_DONE;
}

static int
dkim_create(struct cli *cli, const struct cli_args *args)
{
	return new_keys(cli, args, false);
}

static int
dkim_rotate(struct cli *cli, const struct cli_args *args)
{
	return new_keys(cli, args, true);
}

/* -- on their way */

struct moving {
	char domain[256];
	const char *selector;
	struct rows keys;
	const struct row *key;
	bool force;
};

static int
find_key(struct cli *cli, const struct cli_args *args, struct moving *m, struct err *err)
{
	m->selector = args->operand[1];
	m->force = cli_option(args, "force") != NULL;
	rows_init(&m->keys);
	if (our_domain(cli, args->operand[0], m->domain, err) == -1 || cli_dkim_keys(cli, &m->keys, err) == -1)
		return -1;
	for (size_t i = 0; i < m->keys.n && m->key == NULL; i++)
		if (strcmp(row_text(&m->keys.at[i], "domain"), m->domain) == 0 &&
		    strcmp(row_text(&m->keys.at[i], "selector"), m->selector) == 0)
			m->key = &m->keys.at[i];
	if (m->key == NULL)
		return err_set(err, ERR_NOT_FOUND, "%s has no key %s; `tegami dkim list` shows them", m->domain, m->selector);
	return 0;
}

/* While the server is down: on the files. */
static int
change_files(struct cli *cli, const struct moving *m, const struct dkim_change *change, size_t n, struct err *err)
{
	struct dkim_terms terms = { .now = (int64_t)time(NULL),
		.keep = cli_conf(cli)->dkim.retire_after / 1000,
		.force = m->force,
		.wait = true };
	int keys = open(DKIM_KEYS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (keys < 0)
		return err_sys(err, "only root may change keys: " DKIM_KEYS_DIR);
	rc = dkim_change(keys, m->domain, change, n, &terms, err);
	close(keys);
	return rc;
}

static int
ask_server(struct cli *cli, const struct moving *m, const char *verb, const char *key, struct err *err)
{
	struct admin_request rq;
	struct rows rows;
	int rc;

	rows_init(&rows);
	cli_rq(&rq, verb);
	cli_rq_word(&rq, "domain", m->domain);
	cli_rq_word(&rq, key, m->selector);
	cli_rq_word(&rq, "force", m->force ? "yes" : NULL);
	rc = cli_ask(cli, &rq, &rows, err);
	rows_free(&rows);
	return rc;
}

static int
moved(struct cli *cli, const struct moving *m, const char *state)
{
	struct json j;

	if (!cli->json)
		return CLI_DONE;
	json_init(&j, &cli->out);
	json_open(&j, '{');
	json_key(&j, "ok");
	json_bool(&j, true);
	json_pair(&j, "domain", m->domain);
	json_pair(&j, "selector", m->selector);
	json_pair(&j, "state", state);
	json_close(&j, '}');
	return CLI_DONE;
}

/* The same step that the rule takes while the server runs: those of its kind retire. */
static int
activate_files(struct cli *cli, const struct moving *m, struct err *err)
{
	struct dkim_change change[DKIM_CHANGES_MAX] = { { m->selector, DKIM_ACTIVATE } };
	const char *algorithm = row_text(m->key, "algorithm");
	size_t n = 1;

	if (!m->force)
		return err_set(err, ERR_TEMPORARY,
		    "the server does not run, and nobody else can see whether the record is in DNS: start it, and it uses the "
		    "key by itself once the record is there; --force uses it unseen");
	for (size_t i = 0; i < m->keys.n && n < COUNT(change); i++) {
		const struct row *k = &m->keys.at[i];

		if (k != m->key && strcmp(row_text(k, "domain"), m->domain) == 0 &&
		    strcmp(row_text(k, "algorithm"), algorithm) == 0 && strcmp(row_text(k, "state"), "active") == 0)
			change[n++] = (struct dkim_change){ row_text(k, "selector"), DKIM_RETIRE };
	}
	return change_files(cli, m, change, n, err);
}

static int
dkim_activate(struct cli *cli, const struct cli_args *args)
{
	struct err err = { .kind = ERR_NONE };
	struct moving m = { .key = NULL };
	int rc = find_key(cli, args, &m, &err);

	if (rc == 0)
		rc = cli_server_up(cli) ? ask_server(cli, &m, "dkim.activate", "selector", &err)
					: activate_files(cli, &m, &err);
	if (rc == 0) {
		cli_say(cli, "%s signs the mail of %s. `tegami dkim list` shows which key it replaced, and until when that one's "
			     "record has to stay.",
		    m.selector, m.domain);
		moved(cli, &m, "active");
	}
	rows_free(&m.keys);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static int
dkim_retire(struct cli *cli, const struct cli_args *args)
{
	struct err err = { .kind = ERR_NONE };
	struct moving m = { .key = NULL };
	int rc = find_key(cli, args, &m, &err);
	bool signs = rc == 0 && strcmp(row_text(m.key, "state"), "active") == 0;

	if (rc == 0) {
		struct dkim_change change = { m.selector, DKIM_RETIRE };

		rc = cli_server_up(cli) ? ask_server(cli, &m, "server.dkim", "retire", &err)
					: change_files(cli, &m, &change, 1, &err);
	}
	if (rc == 0 && signs)
		cli_say(cli, "%s signs no more. Mail on its way is still checked with it: leave its record in DNS until "
			     "`tegami dkim list` calls it retired.",
		    m.selector);
	else if (rc == 0)
		cli_say(cli, "The key %s is removed. Remove its record, %s._domainkey.%s, from DNS.", m.selector, m.selector,
		    m.domain);
	if (rc == 0)
		moved(cli, &m, signs ? "retiring" : "removed");
	rows_free(&m.keys);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

/* -- the list */

static const char *
what_to_do(const struct row *k)
{
	static const struct {
		const char *state, *published, *advice;
	} all[] = {
		{ "next", "missing", "publish its record (tegami dns show)" },
		{ "next", "wrong", "mend its record: what is published is another key" },
		{ "next", NULL, "publish its record (tegami dns show)" },
		{ "active", "missing", "publish its record (tegami dns show)" },
		{ "active", "wrong", "mend its record: what is published is another key" },
		{ "retiring", NULL, "leave its record in DNS for now" },
		{ "retired", "missing", "tegami dkim retire" },
		{ "retired", NULL, "remove its record, then tegami dkim retire" },
	};

	for (size_t i = 0; i < COUNT(all); i++)
		if (strcmp(row_text(k, "state"), all[i].state) == 0 &&
		    (all[i].published == NULL || strcmp(row_text(k, "published"), all[i].published) == 0))
			return all[i].advice;
	return "";
}

static int
with_advice(const struct rows *keys, struct rows *out)
{
	for (size_t i = 0; i < keys->n; i++) {
		struct admin_word words[24];
		size_t n = 0;

		for (; n < keys->at[i].n && n < COUNT(words) - 1; n++)
			words[n] = keys->at[i].words[n];
		words[n++] = (struct admin_word){ "advice", what_to_do(&keys->at[i]) };
		if (rows_add(out, words, n) == -1)
			return -1;
	}
	return 0;
}

static int
dkim_list(struct cli *cli, const struct cli_args *args)
{
	static const struct column columns[] = { { "domain", "DOMAIN", COLUMN_TEXT, false },
		{ "selector", "SELECTOR", COLUMN_TEXT, false },
		{ "algorithm", "ALGORITHM", COLUMN_TEXT, true }, { "state", "STATE", COLUMN_TEXT, false },
		{ "signs", "SIGNS", COLUMN_BOOL, false }, { "published", "IN DNS", COLUMN_TEXT, false },
		{ "since", NULL, COLUMN_TIME, true }, { "until", NULL, COLUMN_TIME, true },
		{ "name", NULL, COLUMN_TEXT, true }, { "record", NULL, COLUMN_TEXT, true },
		{ "seen", NULL, COLUMN_BOOL, true }, { "advice", "WHAT TO DO", COLUMN_TEXT, true },
		{ NULL, NULL, COLUMN_TEXT, false } };
	struct table_style style = cli_style(cli);
	struct err err = { .kind = ERR_NONE };
	struct rows keys, shown;
	struct json j;
	int rc;

	(void)args;
	rows_init(&keys);
	rows_init(&shown);
	rc = cli_dkim_keys(cli, &keys, &err);
	if (rc == 0)
		rc = with_advice(&keys, &shown);
	if (rc == 0 && cli->json) {
		json_init(&j, &cli->out);
		table_json(&j, &shown, columns);
	} else if (rc == 0 && keys.n == 0)
		cli_say(cli, "No keys yet; `tegami dkim create DOMAIN` makes them.");
	else if (rc == 0)
		table_text(&cli->out, &shown, columns, &style);
	rows_free(&shown);
	rows_free(&keys);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static const struct cli_option create_options[] = {
	{ "algorithm", "rsa|ed25519", "only this kind; both, when left out" },
	{ NULL, NULL, NULL },
};
static const struct cli_option activate_options[] = {
	{ "force", NULL, "also when its record is not in DNS" },
	{ NULL, NULL, NULL },
};
static const struct cli_option retire_options[] = {
	{ "force", NULL, "also the last one that signs, and before the time of its record is over" },
	{ NULL, NULL, NULL },
};

const struct cli_command cli_dkim_commands[] = {
	{ "dkim", "create", dkim_create, "DOMAIN", 1, 1, create_options,
	    "new keys, RSA and Ed25519, that sign the mail of DOMAIN's users" },
	{ "dkim", "list", dkim_list, NULL, 0, 0, NULL, "which keys there are, and how far on their way" },
	{ "dkim", "rotate", dkim_rotate, "DOMAIN", 1, 1, create_options,
	    "the next keys; they take over once their records are in DNS" },
	{ "dkim", "activate", dkim_activate, "DOMAIN SELECTOR", 2, 2, activate_options,
	    "look for the record of a key now, and sign with it" },
	{ "dkim", "retire", dkim_retire, "DOMAIN SELECTOR", 2, 2, retire_options,
	    "sign no more with a key; remove one that is through" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
