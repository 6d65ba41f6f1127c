/* cli_init - a new mail server: configuration, certificate, databases
 *
 * Nothing that is there is overwritten. The configuration is written last, so that a failed init
 * can simply be run again. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/cert.h"
#include "admin/cli.h"
#include "storage/prepare.h"

#define DEFAULT_STATE_DIR LOCALSTATEDIR "/lib/tegami"

struct plan {
	const char *hostname;
	char config[PATH_MAX], state_dir[PATH_MAX], certificate[PATH_MAX + 16], key[PATH_MAX + 16];
	bool config_default;
};

/* `path` from the root. */
static int
absolute(const char *path, char out[static PATH_MAX], struct err *err)
{
	char here[PATH_MAX] = "";
	int n;

	if (path[0] != '/' && getcwd(here, sizeof(here)) == NULL)
		return err_sys(err, "working directory");
	n = path[0] == '/' ? snprintf(out, PATH_MAX, "%s", path)
			   : snprintf(out, PATH_MAX, "%s/%s", here, path);
	if (n >= PATH_MAX)
		return err_set(err, ERR_USAGE, "the path is too long: %.200s", path);
	for (size_t len = strlen(out); len > 1 && out[len - 1] == '/';)
		out[--len] = '\0';
	/* It becomes a text in the configuration. */
	if (strpbrk(out, "\"\\\n\r${}") != NULL)
		return err_set(err, ERR_USAGE,
		    "a path cannot have quotes, backslashes, braces or $ in it: %.200s", out);
	return 0;
}

/* All folders above the last part of `path` (and `path` too with `whole`). */
static int
make_folders(const char *path, bool whole, mode_t mode, struct err *err)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		if (c == '\0' && !whole)
			return 0;
		*p = '\0';
		if (mkdir(part, mode) == -1 && errno != EEXIST)
			return err_sys(err, "%s", part);
		if (c == '\0')
			return 0;
		*p = c;
	}
}

static int
check_hostname(const char *name, struct err *err)
{
	size_t len = strlen(name);
	const char *bad =
	    name + strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");

	if (*bad != '\0' || len > 253 || len == 0 || name[0] == '.' || name[0] == '-' ||
	    name[len - 1] == '.')
		return err_set(err, ERR_USAGE,
		    "\"%.100s\" is no host name; write it like mx.example.org", name);
	if (strchr(name, '.') == NULL)
		return err_set(err, ERR_USAGE,
		    "\"%.100s\" is only a short name; mail needs the full one, like "
		    "%.100s.example.org",
		    name, name);
	return 0;
}

static int
make_plan(struct cli *cli, const struct cli_args *args, struct plan *p, struct err *err)
{
	const char *dir = cli_option(args, "state-dir");
	char config[PATH_MAX];

	p->hostname = args->operand[0];
	if (check_hostname(p->hostname, err) == -1 ||
	    absolute(dir != NULL ? dir : DEFAULT_STATE_DIR, p->state_dir, err) == -1)
		return -1;
	if (cli->config_named || dir == NULL)
		snprintf(config, sizeof(config), "%s", cli->config_file);
	else if (snprintf(config, sizeof(config), "%s/tegami.conf", p->state_dir) >= PATH_MAX)
		return err_set(err, ERR_USAGE, "the path is too long");
	if (absolute(config, p->config, err) == -1)
		return -1;
	p->config_default = strcmp(p->config, conf_default_file()) == 0;
	snprintf(p->certificate, sizeof(p->certificate), "%s/cert.pem", p->state_dir);
	snprintf(p->key, sizeof(p->key), "%s/key.pem", p->state_dir);
	if (access(p->config, F_OK) == 0)
		return err_set(err, ERR_EXISTS,
		    "%s is there already; remove it first, or choose another with -c FILE or "
		    "--state-dir DIR",
		    p->config);
	return 0;
}

/* Keep a pair that is there; half a pair is a mistake. */
static int
make_certificate(const struct plan *p, struct err *err)
{
	bool has_cert = access(p->certificate, F_OK) == 0, has_key = access(p->key, F_OK) == 0;

	if (has_cert && has_key)
		return 0;
	if (has_cert || has_key)
		return err_set(err, ERR_EXISTS,
		    "%s is there but not %s; put the other one beside it, or move it away",
		    has_cert ? p->certificate : p->key, has_cert ? p->key : p->certificate);
	return cert_make(p->hostname, p->certificate, p->key, err);
}

/* Written under another name and linked into place: whole, or not there; never over another. */
static int
write_config(const struct plan *p, const char *temporary, struct err *err)
{
	FILE *f = fopen(temporary, "wxe");
	bool ok;

	if (f == NULL)
		return err_sys(err, "%s", temporary);
	fprintf(f,
	    "# Tegami: all that must be said. Every other option has a good default;\n"
	    "# `tegami config explain` tells of them.\n"
	    "hostname  = \"%s\"\n"
	    "state_dir = \"%s\"\n"
	    "tls {\n"
	    "\tcertificate = \"%s\"\n"
	    "\tkey         = \"%s\"\n"
	    "}\n",
	    p->hostname, p->state_dir, p->certificate, p->key);
	ok = fchmod(fileno(f), 0644) == 0 && fflush(f) == 0 && fsync(fileno(f)) == 0;
	ok = fclose(f) == 0 && ok;
	return ok ? 0 : err_sys(err, "%s", temporary);
}

static int
prepare(const struct plan *p, const char *config, struct err *err)
{
	struct prepare_owner owners[ROLE_COUNT];
	struct conf *conf = conf_read(config, err);
	int rc;

	if (conf == NULL)
		return -1;
	rc = state_owners(owners, err);
	if (rc == 0)
		rc = make_certificate(p, err);
	if (rc == 0)
		rc = state_prepare(conf, owners, err);
	conf_free(&conf);
	return rc;
}

static int
set_up(const struct plan *p, struct err *err)
{
	char temporary[PATH_MAX + 16];
	int rc;

	if (make_folders(p->config, false, 0755, err) == -1 ||
	    make_folders(p->state_dir, true, 0711, err) == -1)
		return -1;
	snprintf(temporary, sizeof(temporary), "%s.new", p->config);
	unlink(temporary); /* of an init that failed */
	rc = write_config(p, temporary, err);
	if (rc == 0)
		rc = prepare(p, temporary, err);
	if (rc == 0 && link(temporary, p->config) == -1)
		rc = err_sys(err, "%s", p->config);
	unlink(temporary);
	return rc;
}

/* Everything behind the first dot: mx.example.org receives for example.org. */
static const char *
likely_domain(const char *hostname)
{
	const char *dot = strchr(hostname, '.');

	return strchr(dot + 1, '.') != NULL ? dot + 1 : hostname;
}

static void
say_next(struct cli *cli, const struct plan *p)
{
	const char *domain = likely_domain(p->hostname);

	cli_say(cli,
	    "Tegami is set up as %s.\n"
	    "\n"
	    "  configuration  %s\n"
	    "  state          %s\n"
	    "  certificate    %s\n"
	    "                 self-signed; put a real one in its place, then `tegami reload`\n"
	    "\n"
	    "Next:",
	    p->hostname, p->config, p->state_dir, p->certificate);
	if (!p->config_default)
		cli_say(cli, "  export TEGAMI_CONFIG=%s", p->config);
	cli_say(cli,
	    "  tegami domain add %s\n"
	    "  tegami user add you@%s\n"
	    "  tegami dkim create %s\n"
	    "  tegamid                     starts the server\n"
	    "  tegami check                is everything as it should be?\n"
	    "  tegami dns show %s%*s what to publish in DNS",
	    domain, domain, domain, domain, (int)(strlen(domain) < 11 ? 12 - strlen(domain) : 1),
	    "");
	if (geteuid() != 0)
		cli_say(cli,
		    "\nYou are not root: everything will run as you, and ports below 1024 are out "
		    "of reach. Give\n"
		    "`listen` sections with higher ports (`tegami config explain listen`).");
}

static int
init(struct cli *cli, const struct cli_args *args)
{
	struct err err = { .kind = ERR_NONE };
	static struct plan p;
	struct json j;

	if (make_plan(cli, args, &p, &err) == -1 || set_up(&p, &err) == -1)
		return cli_error(cli, &err);
	if (cli->json) {
		json_init(&j, &cli->out);
		json_open(&j, '{');
		json_key(&j, "ok");
		json_bool(&j, true);
		json_pair(&j, "hostname", p.hostname);
		json_pair(&j, "config", p.config);
		json_pair(&j, "state_dir", p.state_dir);
		json_pair(&j, "certificate", p.certificate);
		json_pair(&j, "key", p.key);
		json_close(&j, '}');
	} else
		say_next(cli, &p);
	return CLI_DONE;
}

static const struct cli_option options[] = {
	{ "state-dir", "DIR", "where everything is kept (default " DEFAULT_STATE_DIR ")" },
	{ NULL, NULL, NULL },
};

const struct cli_command cli_init_commands[] = {
	{ "init", NULL, init, "HOSTNAME", 1, 1, options,
	    "write a configuration, make databases and a certificate; HOSTNAME is this server's "
	    "full name" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
