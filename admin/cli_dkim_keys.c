/* cli_dkim_keys - the DKIM keys there are
 *
 * Private keys are files of root's that no role can open; so the CLI reads them itself, and asks the running server what
 * DNS says of their records. Somebody without the right to read them is told all of it by the server. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "admin/cli.h"
#include "admin/dkim_rule.h"
#include "filters/dkim_key.h"

#define US INT64_C(1000000)

struct listing {
	struct rows *keys;
	const struct rows *told; /* by the server; n is 0: nothing */
	int64_t keep;		 /* s */
	int dir;
	struct err *err;
};

static const struct row *
find(const struct rows *rows, const char *domain, const char *selector)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(row_text(&rows->at[i], "domain"), domain) == 0 &&
		    strcmp(row_text(&rows->at[i], "selector"), selector) == 0)
			return &rows->at[i];
	return NULL;
}

static int
add(struct listing *l, const char *domain, const char *selector, enum dkim_algorithm algorithm, const char *record)
{
	struct dkim_standing s = dkim_standing(l->dir, domain, selector);
	const struct row *told = find(l->told, domain, selector);
	char name[600], since[24], until[24] = "0";
	const char *published = told != NULL ? row_text(told, "published") : "unknown";
	bool stopped = s.state == DKIM_ACTIVE && (told != NULL ? !table_true(row_text(told, "signs")) : s.stopped);

	snprintf(name, sizeof(name), "%s._domainkey.%s", selector, domain);
	snprintf(since, sizeof(since), "%" PRId64, s.since * US);
	if (s.state == DKIM_RETIRING)
		snprintf(until, sizeof(until), "%" PRId64, (s.since + l->keep) * US);
	struct admin_word words[] = { { "domain", domain }, { "selector", selector },
		{ "algorithm", dkim_algorithm_name(algorithm) }, { "name", name }, { "record", record },
		{ "state", dkim_state_shown(s.state, s.since, l->keep, (int64_t)time(NULL)) }, { "since", since },
		{ "until", until }, { "published", published }, { "seen", s.seen ? "yes" : "no" },
		{ "signs", s.state == DKIM_ACTIVE && !stopped ? "yes" : "no" } };

	return rows_add(l->keys, words, COUNT(words));
}

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
	return add(l, domain, selector, algorithm, record);
}

static int
list_files(const struct conf *conf, const struct rows *told, struct rows *keys, struct err *err)
{
	struct listing l = { keys, told, conf->dkim.retire_after / 1000, -1, err };
	int rc;

	l.dir = open(DKIM_KEYS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = dkim_key_each(list_one, &l, err) == 0 ? 0 : -1;
	if (l.dir >= 0)
		close(l.dir);
	return rc;
}

static int
by_name(const void *a, const void *b)
{
	const struct row *one = a, *two = b;
	int rc = strcmp(row_text(one, "domain"), row_text(two, "domain"));

	return rc != 0 ? rc : strcmp(row_text(one, "selector"), row_text(two, "selector"));
}

int
cli_dkim_keys(struct cli *cli, struct rows *keys, struct err *err)
{
	const struct conf *conf = cli_conf(cli);
	struct err untold = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows told;
	int rc = 0;

	if (conf == NULL)
		return err_set(err, ERR_PERMANENT, "%s", "");
	if (chdir(conf->state_dir) == -1)
		return err_sys(err, "state_dir %s", conf->state_dir);
	rows_init(&told);
	cli_rq(&rq, "dkim.list");
	if (access(DKIM_KEYS_DIR, R_OK | X_OK) == 0 || errno == ENOENT) {
		/* that the server cannot say what it knows is no reason to show nothing */
		if (cli_server_up(cli))
			cli_ask(cli, &rq, &told, &untold);
		rc = list_files(conf, &told, keys, err);
	} else {
		rc = cli_ask(cli, &rq, keys, err);
	}
	rows_free(&told);
	if (rc == 0 && keys->n > 1)
		qsort(keys->at, keys->n, sizeof(keys->at[0]), by_name);
	return rc;
}
