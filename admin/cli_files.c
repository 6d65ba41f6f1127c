/* cli_files - the stores themselves, while the server is down
 *
 * The same verbs that the roles answer, run here as the owner of the database: root takes the
 * owner's ids for the while, anybody else needs the rights already. Everything happens in state_dir
 * as working directory, as in the roles.
 *
 * Errors: ERR_PERMANENT when only the running server can answer. */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/cli.h"
#include "admin/spam.h"
#include "base/envelope.h"
#include "filters/tokens.h"
#include "storage/credentials.h"
#include "storage/credentials_admin.h"
#include "storage/directory.h"
#include "storage/directory_admin.h"
#include "storage/history.h"
#include "storage/history_admin.h"
#include "storage/score.h"

static bool entered;

int
cli_owner_enter(const char *name, struct err *err)
{
	struct stat st;

	if (stat(name, &st) == -1) {
		if (errno == ENOENT)
			return err_set(err, ERR_PERMANENT,
			    "there is no %s yet; `tegami init` makes the databases, and so does "
			    "the first start of tegamid",
			    name);
		return err_sys(err, "%s", name);
	}
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) == -1 || setegid(st.st_gid) == -1 || seteuid(st.st_uid) == -1)
		return err_sys(err, "cannot become the owner of %s", name);
	entered = true;
	return 0;
}

void
cli_owner_leave(void)
{
	if (!entered)
		return;
	entered = false;
	if (seteuid(0) == -1 || setegid(0) == -1)
		_exit(CLI_FAILED);
}

/* -- the stores */

static int
directory_do(
    const struct conf *conf, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	struct directory_settings settings = { conf->hostname, conf->delivery.subaddress_separator,
		conf->delivery.default_quota };
	struct directory *d = directory_open(DB_WRITE, &settings, err);
	int rc;

	if (d == NULL)
		return -1;
	rc = admin_run(directory_admin_verbs, d, rq, out, err);
	directory_close(&d);
	return rc;
}

static int
auth_do(
    const struct conf *conf, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	struct credentials *c = credentials_open(DB_WRITE, err);
	int rc;

	(void)conf;
	if (c == NULL)
		return -1;
	rc = admin_run(credentials_admin_verbs, c, rq, out, err);
	credentials_close(&c);
	return rc;
}

static int
history_do(
    const struct conf *conf, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	struct history *h = history_open(DB_READ, err);
	int rc;

	(void)conf;
	if (h == NULL)
		return -1;
	rc = admin_run(history_admin_verbs, h, rq, out, err);
	history_close(&h);
	return rc;
}

static int
score_do(
    const struct conf *conf, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	struct score *s = score_open(DB_WRITE, err);
	int rc;

	(void)conf;
	if (s == NULL)
		return -1;
	rc = admin_run(spam_admin_verbs, s, rq, out, err);
	score_close(&s);
	return rc;
}

/* What filter and control do together while the server runs. */
static int
learn_do(
    const struct conf *conf, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	static struct tokens tokens;
	struct score *s;
	struct body body;
	enum score_class as;
	bool changed = false;
	int rc = -1;

	(void)conf;
	if (!spam_class(admin_get(rq, "class"), &as))
		return err_set(err, ERR_USAGE, "class must be spam or ham");
	if (rq->fd < 0 || body_open(&body, (struct slice){ 0 }, rq->fd) == -1)
		return err_set(err, ERR_PERMANENT, "the message cannot be read");
	tokens_of_message(body.bytes, &tokens);
	body_close(&body);
	if (tokens.n == 0)
		return err_set(
		    err, ERR_PERMANENT, "there are no words in this message to learn from");
	s = score_open(DB_WRITE, err);
	if (s != NULL)
		rc = score_learn(s, as, tokens.at, tokens.n, &changed, err);
	if (rc == 0)
		admin_row(out, "changed", changed ? "yes" : "no", NULL);
	score_close(&s);
	return rc;
}

static const struct {
	enum role role;
	const char *prefix; /* of the verb */
	const char *file;
	int (*run)(const struct conf *conf, const struct admin_request *rq, struct admin_out *out,
	    struct err *err);
} stores[] = {
	{ ROLE_DIRECTORY, "", "directory.db", directory_do },
	{ ROLE_AUTH, "", "credentials.db", auth_do },
	{ ROLE_CONTROL, "trace", "history.db", history_do },
	{ ROLE_CONTROL, "dmarc.", "history.db", history_do },
	{ ROLE_CONTROL, "tlsrpt.", "history.db", history_do },
	{ ROLE_CONTROL, "spam.learn", "score.db", learn_do },
	{ ROLE_CONTROL, "spam.", "score.db", score_do },
};

int
cli_files_run(struct cli *cli, enum role role, const struct admin_request *rq,
    struct admin_out *out, struct err *err)
{
	const struct conf *conf = cli_conf(cli);
	int rc;

	if (conf == NULL)
		return err_set(err, ERR_PERMANENT, "%s", "");
	for (size_t i = 0; i < COUNT(stores); i++) {
		if (stores[i].role != role ||
		    strncmp(rq->verb, stores[i].prefix, strlen(stores[i].prefix)) != 0)
			continue;
		if (chdir(conf->state_dir) == -1)
			return err_sys(err, "state_dir %s", conf->state_dir);
		if (cli_owner_enter(stores[i].file, err) == -1)
			return -1;
		rc = stores[i].run(conf, rq, out, err);
		cli_owner_leave();
		return rc;
	}
	return err_set(err, ERR_PERMANENT,
	    "the server is not running, and only it can answer this; start it with `tegamid -c %s`",
	    cli->config_file);
}
