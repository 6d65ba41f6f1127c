/* cli_dkim - keys that sign outgoing mail
 *
 * Private keys are files of root's that no role can open; so the CLI makes and lists them itself,
 * and asks the server to reload. Somebody without the right to read them is told by `signer` which
 * there are, while the server runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "admin/cli.h"
#include "filters/dkim_key.h"

struct listing {
	struct rows *keys;
	struct err *err;
};

static int
list_one(void *arg, const char *domain, const char *selector, const char *path)
{
	struct listing *l = arg;
	enum dkim_algorithm algorithm;
	char record[DKIM_RECORD_SIZE];
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_sys(l->err, "%s", path);
	rc = dkim_key_record(fd, &algorithm, record, l->err);
	close(fd);
	if (rc == -1)
		return err_context(l->err, "%s", path);
	struct admin_word words[] = { { "domain", domain }, { "selector", selector },
		{ "algorithm", dkim_algorithm_name(algorithm) }, { "record", record } };

	return rows_add(l->keys, words, COUNT(words));
}

int
cli_dkim_keys(struct cli *cli, struct rows *keys, struct err *err)
{
	const struct conf *conf = cli_conf(cli);
	struct listing l = { keys, err };
	struct admin_request rq;

	if (conf == NULL)
		return err_set(err, ERR_PERMANENT, "%s", "");
	if (chdir(conf->state_dir) == -1)
		return err_sys(err, "state_dir %s", conf->state_dir);
	if (access(DKIM_KEYS_DIR, R_OK | X_OK) == 0 || errno == ENOENT)
		return dkim_key_each(list_one, &l, err) == 0 ? 0 : -1;
	cli_rq(&rq, "dkim.list");
	return cli_ask(cli, &rq, keys, err);
}

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

static void
say_created(
    struct cli *cli, const char *domain, const char *selector, enum dkim_algorithm algorithm)
{
	struct json j;

	if (cli->json) {
		json_init(&j, &cli->out);
		json_open(&j, '{');
		json_key(&j, "ok");
		json_bool(&j, true);
		json_pair(&j, "domain", domain);
		json_pair(&j, "selector", selector);
		json_pair(&j, "algorithm", dkim_algorithm_name(algorithm));
		json_close(&j, '}');
		return;
	}
	cli_say(cli, "Made a key for %s (%s, selector %s).", domain,
	    algorithm == DKIM_RSA ? "RSA, 2048 bits" : "Ed25519", selector);
	cli_say(cli, "Publish it: `tegami dns show %s` prints the record.", domain);
}

static int
dkim_create(struct cli *cli, const struct cli_args *args)
{
	const char *wanted = cli_option(args, "algorithm");
	enum dkim_algorithm algorithm =
	    wanted != NULL && strcasecmp(wanted, "ed25519") == 0 ? DKIM_ED25519 : DKIM_RSA;
	char domain[256], selector[DKIM_SELECTOR_SIZE];
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows rows;
	int rc;

	if (wanted != NULL && algorithm == DKIM_RSA && strcasecmp(wanted, "rsa") != 0) {
		cli_fail(cli, "--algorithm is rsa (every receiver knows it) or ed25519, not \"%s\"",
		    wanted);
		return CLI_USAGE;
	}
	if (our_domain(cli, args->operand[0], domain, &err) == -1)
		return cli_error(cli, &err);
	if (chdir(cli_conf(cli)->state_dir) == -1)
		return cli_fail(cli, "%s: %s", cli_conf(cli)->state_dir, strerror(errno));
	if (dkim_key_create(domain, algorithm, selector, &err) == -1) {
		if (err.sys == EACCES || err.sys == EPERM)
			return cli_fail(cli, "only root may make keys: %s", err.text);
		return cli_error(cli, &err);
	}
	say_created(cli, domain, selector, algorithm);
	if (!cli_server_up(cli))
		return CLI_DONE;
	rows_init(&rows);
	cli_rq(&rq, "server.reload");
	rc = cli_ask(cli, &rq, &rows, &err);
	rows_free(&rows);
	if (rc == -1)
		return cli_fail(
		    cli, "the key is there, but the server could not take it: %s", err.text);
	cli_say(cli, "The server signs with it from now on.");
	return CLI_DONE;
}

static int
dkim_list(struct cli *cli, const struct cli_args *args)
{
	static const struct column columns[] = { { "domain", "DOMAIN", COLUMN_TEXT, false },
		{ "selector", "SELECTOR", COLUMN_TEXT, false },
		{ "algorithm", "ALGORITHM", COLUMN_TEXT, true },
		{ "record", NULL, COLUMN_TEXT, true }, { NULL, NULL, COLUMN_TEXT, false } };
	struct table_style style = cli_style(cli);
	struct err err = { .kind = ERR_NONE };
	struct rows keys;
	struct json j;
	int rc;

	(void)args;
	rows_init(&keys);
	rc = cli_dkim_keys(cli, &keys, &err);
	if (rc == 0 && cli->json) {
		json_init(&j, &cli->out);
		table_json(&j, &keys, columns);
	} else if (rc == 0 && keys.n == 0)
		cli_say(cli, "No keys yet; `tegami dkim create DOMAIN` makes one.");
	else if (rc == 0)
		table_text(&cli->out, &keys, columns, &style);
	rows_free(&keys);
	return rc == 0 ? CLI_DONE : cli_error(cli, &err);
}

static const struct cli_option create_options[] = {
	{ "algorithm", "rsa|ed25519", "rsa, when left out" },
	{ NULL, NULL, NULL },
};

const struct cli_command cli_dkim_commands[] = {
	{ "dkim", "create", dkim_create, "DOMAIN", 1, 1, create_options,
	    "a new key that signs the mail of DOMAIN's users" },
	{ "dkim", "list", dkim_list, NULL, 0, 0, NULL, "which keys there are" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
