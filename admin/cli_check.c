/* cli_check - is everything as it should be? A row each: what, how it is, and what to do
 *
 * Each check is a function in the table; it adds rows. Checks that need the running server say
 * nothing while it is down. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "admin/cert.h"
#include "admin/cli.h"
#include "admin/text.h"
#include "base/clock.h"

#define CERT_SOON (21 * 86400)
#define CONNECT_MS 2000
#define ROW_TEXT 700

static const struct column columns[] = {
	{ "state", NULL, COLUMN_STATE, false },
	{ "name", NULL, COLUMN_TEXT, false },
	{ "text", NULL, COLUMN_TEXT, false },
	{ "advice", NULL, COLUMN_TEXT, false },
	{ NULL, NULL, COLUMN_TEXT, false },
};

enum state { OK, WARNING, ERROR };

struct check {
	struct cli *cli;
	const struct conf *conf;
	struct rows rows;
	bool up;
};

static void add(struct check *c, const char *name, enum state state, const char *advice,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void
add(struct check *c, const char *name, enum state state, const char *advice, const char *fmt, ...)
{
	static const char *const names[] = { "ok", "warning", "error" };
	char text[ROW_TEXT];
	struct admin_word words[] = { { "name", name }, { "state", names[state] }, { "text", text },
		{ "advice", state == OK ? "" : advice } };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rows_add(&c->rows, words, COUNT(words));
}

/* -- the server and its files */

static void
check_server(struct check *c)
{
	struct admin_request rq;
	struct err err = { .kind = ERR_NONE };
	struct rows roles;
	size_t bad = 0;

	if (!c->up) {
		add(c, "server", WARNING, "start it with `tegamid`", "it is not running");
		return;
	}
	rows_init(&roles);
	cli_rq(&rq, "role.list");
	if (cli_ask(c->cli, &rq, &roles, &err) == -1)
		add(c, "server", ERROR, "read the log of tegamid",
		    "its processes are not known: %s", err.text);
	for (size_t i = 0; i < roles.n; i++) {
		const char *state = row_text(&roles.at[i], "state");

		if (strcmp(state, "running") == 0 || strcmp(state, "ready") == 0 ||
		    strcmp(state, "leaving") == 0)
			continue;
		bad++;
		add(c, "server", ERROR, "read the log; a process that keeps dying says why there",
		    "%s is %s", row_text(&roles.at[i], "name"), state);
	}
	if (err.kind == ERR_NONE && bad == 0)
		add(c, "server", OK, "", "all %zu processes run", roles.n);
	rows_free(&roles);
}

static void
check_state_dir(struct check *c)
{
	struct stat st;

	if (stat(c->conf->state_dir, &st) == -1)
		add(c, "permissions", ERROR, "make it with `tegami init`, or correct `state_dir`",
		    "%s: %s", c->conf->state_dir, strerror(errno));
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		add(c, "permissions", ERROR, "chmod 0711 it", "others may write to %s (mode %04o)",
		    c->conf->state_dir, st.st_mode & 07777);
	else if (st.st_uid != 0 && geteuid() == 0)
		add(c, "permissions", WARNING,
		    "chown it to root, if tegamid is to be started by root", "%s belongs to uid %u",
		    c->conf->state_dir, (unsigned)st.st_uid);
	else
		add(c, "permissions", OK, "", "%s is writable by its owner only",
		    c->conf->state_dir);
}

static bool
is_sqlite(int dir, const char *name, struct stat *st)
{
	char head[16] = "", path[64];
	FILE *f;
	bool ok;

	(void)dir;
	if (stat(name, st) == -1)
		return false;
	snprintf(path, sizeof(path), "%s", name);
	f = fopen(path, "re");
	if (f == NULL)
		return errno == EACCES; /* it is there; another user's */
	ok = fread(head, 1, sizeof(head), f) == sizeof(head) &&
	     memcmp(head, "SQLite format 3", 16) == 0;
	fclose(f);
	return ok;
}

static void
check_databases(struct check *c)
{
	static const struct {
		const char *name;
		mode_t forbidden;
	} databases[] = { { "directory.db", S_IRWXO }, { "credentials.db", S_IRWXG | S_IRWXO },
		{ "queue.db", S_IRWXG | S_IRWXO }, { "history.db", S_IRWXG | S_IRWXO },
		{ "score.db", S_IRWXO } };
	size_t good = 0;

	if (chdir(c->conf->state_dir) == -1)
		return;
	for (size_t i = 0; i < COUNT(databases); i++) {
		struct stat st;

		errno = 0;
		if (!is_sqlite(-1, databases[i].name, &st)) {
			add(c, "databases", ERROR,
			    errno == ENOENT ? "start tegamid once, or run `tegami init`"
					    : "restore it from a backup; move the damaged one "
					      "away, never delete it",
			    "%s: %s", databases[i].name,
			    errno ? strerror(errno) : "is no database");
			continue;
		}
		good++;
		if (st.st_mode & databases[i].forbidden)
			add(c, "permissions", ERROR, "start tegamid again: it sets the modes right",
			    "%s is open to others (mode %04o)", databases[i].name,
			    st.st_mode & 07777);
	}
	if (good == COUNT(databases))
		add(c, "databases", OK, "", "all %zu are there", good);
}

/* What the directory finds of itself: users without a domain, aliases into nowhere ... */
static void
check_directory(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;

	cli_rq(&rq, "directory.check");
	if (cli_ask(c->cli, &rq, &c->rows, &err) == -1 && err.text[0] != '\0')
		add(c, "directory", ERROR, "see what the message says", "%s", err.text);
}

/* -- listeners */

/* 0 there is an answer, else an errno. */
static int
try_connect(const struct addrinfo *ai)
{
	struct timeval most = { CONNECT_MS / 1000, 0 };
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	rc = connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 ? 0 : errno;
	close(fd);
	return rc;
}

static int
try_bind(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, rc;

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	rc = bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 ? 0 : errno;
	close(fd);
	return rc;
}

static void
check_port(struct check *c, const char *listener, const char *text)
{
	char host[256] = "", port[8], *shown = host;
	uint16_t number = 0;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *ai = NULL;
	int rc;

	if (text[0] == '/' || !conf_host_port(text, 0, host, &number))
		return;
	snprintf(port, sizeof(port), "%u", number);
	/* All addresses: where the server listens we connect to the loopback one. */
	rc = getaddrinfo(host[0] != '\0' && strcmp(host, "*") != 0 ? host
			 : c->up                                   ? "127.0.0.1"
								   : NULL,
	    port, &hints, &ai);
	if (rc != 0) {
		add(c, "ports", ERROR, "write the address as 192.0.2.1:25, [2001:db8::1]:25 or :25",
		    "%s: %s", text, gai_strerror(rc));
		return;
	}
	if (shown[0] == '\0')
		snprintf(host, sizeof(host), "port");
	rc = c->up ? try_connect(ai) : try_bind(ai);
	if (rc == 0)
		add(c, "ports", OK, "", c->up ? "%s accepts connections on %s" : "%s can have %s",
		    listener, text);
	else if (rc == EADDRINUSE)
		add(c, "ports", ERROR, "another program has this port; `ss -ltnp` shows which",
		    "%s cannot have %s", listener, text);
	else if (rc == EACCES)
		add(c, "ports", WARNING, "start tegamid as root, or choose a port above 1023",
		    "%s: only root may have %s", listener, text);
	else
		add(c, "ports", ERROR,
		    c->up ? "read the log of tegamid" : "correct the address of the listener",
		    "%s, %s: %s", listener, text, strerror(rc));
	freeaddrinfo(ai);
}

static void
check_ports(struct check *c)
{
	for (size_t i = 0; i < c->conf->n_listen; i++)
		for (size_t k = 0; k < c->conf->listen[i].address.n; k++)
			check_port(c, c->conf->listen[i].name, c->conf->listen[i].address.at[k]);
}

/* -- certificates */

static void
check_one_cert(struct check *c, const char *name, const char *certificate, const char *key)
{
	struct err err = { .kind = ERR_NONE };
	bool may_read_key = access(key, R_OK) == 0 || errno != EACCES;
	char host[300];
	struct cert_look look;
	struct stat st;
	char until[20];
	time_t t;

	/* of "*.x" any name below x will do */
	snprintf(host, sizeof(host), "%s%.255s", name[0] == '*' ? "any" : "",
	    name + (name[0] == '*'));
	if (cert_look(certificate, may_read_key ? key : NULL, host, &look, &err) == -1) {
		add(c, "certificates", ERROR, "correct `tls`, or put the files in their place",
		    "%s", err.text);
		return;
	}
	t = (time_t)look.until;
	strftime(until, sizeof(until), "%Y-%m-%d", gmtime(&t));
	if (may_read_key && !look.key_fits)
		add(c, "certificates", ERROR, "give the key that belongs to the certificate",
		    "%s does not fit %s", key, certificate);
	else if (look.until < time(NULL))
		add(c, "certificates", ERROR, "renew it; tegamid takes the new files by itself",
		    "the one for %s ended on %s", name, until);
	else if (!look.started)
		add(c, "certificates", ERROR, "look at the clock, or wait",
		    "the one for %s is not valid yet", name);
	else if (!look.names_host)
		add(c, "certificates", ERROR, "get one for this name", "%s is not for %s",
		    certificate, name);
	else if (look.until < time(NULL) + CERT_SOON)
		add(c, "certificates", WARNING, "renew it; tegamid takes the new files by itself",
		    "the one for %s ends on %s", name, until);
	else if (look.self_signed)
		add(c, "certificates", WARNING,
		    "fine between servers; for mail programs get one from a CA (Let's Encrypt)",
		    "the one for %s is self-signed (until %s)", name, until);
	else
		add(c, "certificates", OK, "", "the one for %s is valid until %s", name, until);
	if (stat(key, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		add(c, "permissions", ERROR, "chmod 0600 it", "%s is open to others (mode %04o)",
		    key, st.st_mode & 07777);
}

static void
check_pairs(struct check *c, const char *name, const struct conf_pairs *p)
{
	for (size_t i = 0; i < p->certificate.n && i < p->key.n; i++)
		check_one_cert(c, name, p->certificate.at[i], p->key.at[i]);
}

static void
check_certificates(struct check *c)
{
	check_pairs(c, c->conf->hostname, &c->conf->tls);
	for (size_t i = 0; i < c->conf->n_sni; i++)
		check_pairs(c, c->conf->sni[i].name, &c->conf->sni[i].pairs);
}

/* -- the machine */

static void
check_clock(struct check *c)
{
	struct timex t = { .modes = 0 };
	int state = adjtimex(&t);
	struct tm tm;
	time_t now = time(NULL);

	gmtime_r(&now, &tm);
	if (tm.tm_year + 1900 < 2025)
		add(c, "clock", ERROR, "set it, and run chrony or systemd-timesyncd",
		    "it says %d: signatures and certificates cannot be judged", tm.tm_year + 1900);
	else if (state == TIME_ERROR || (state != -1 && (t.status & STA_UNSYNC)))
		add(c, "clock", WARNING,
		    "run chrony or systemd-timesyncd (a container uses its host's)",
		    "nobody here keeps it exact");
	else
		add(c, "clock", OK, "", "it is kept in step");
}

static void
check_one_disk(struct check *c, const char *what, const char *path)
{
	uint64_t min = (uint64_t)c->conf->limits.min_free, space;
	char has[TEXT_SHOWN], needs[TEXT_SHOWN];
	struct statvfs fs;

	if (statvfs(path, &fs) == -1) {
		if (errno != ENOENT)
			add(c, "disk", WARNING, "look at it as root", "%s: %s", path,
			    strerror(errno));
		return;
	}
	space = (uint64_t)fs.f_bavail * fs.f_frsize;
	text_show_size(space, has);
	text_show_size(min, needs);
	if (space < min)
		add(c, "disk", ERROR, "make room: no mail is taken until there is",
		    "%s has %s free, less than limits.min_free (%s)", what, has, needs);
	else if (space < 5 * min)
		add(c, "disk", WARNING, "make room soon", "%s has only %s free", what, has);
	else if (fs.f_files > 0 && fs.f_favail < fs.f_files / 50)
		add(c, "disk", WARNING, "each mail is a file: make a file system with more inodes",
		    "%s has only %llu inodes free", what, (unsigned long long)fs.f_favail);
	else
		add(c, "disk", OK, "", "%s has %s free", what, has);
}

static void
check_disk(struct check *c)
{
	check_one_disk(c, "state_dir", c->conf->state_dir);
	check_one_disk(c, "mail_dir", c->conf->mail_dir);
}

/* -- what the server knows */

static void
check_world(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;

	if (!c->up)
		return;
	cli_rq(&rq, "status.check");
	if (cli_ask(c->cli, &rq, &c->rows, &err) == -1)
		add(c, "dns", WARNING, "try again in a moment", "%s", err.text);
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
			add(c, "queue", ERROR, "mend that; mail is taken again by itself",
			    "no mail is taken: %s", intake);
		else if (atoll(held) > 0)
			add(c, "queue", WARNING, "look at them with `tegami queue list`",
			    "%s are held back", held);
		else
			add(c, "queue", OK, "", "%s messages wait", row_text(&q.at[0], "messages"));
	}
	rows_free(&q);
}

static bool
has_key(const struct rows *keys, const char *domain)
{
	for (size_t i = 0; i < keys->n; i++)
		if (strcasecmp(row_text(&keys->at[i], "domain"), domain) == 0)
			return true;
	return false;
}

static void
check_dkim(struct check *c)
{
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	struct rows domains, keys;
	char advice[400];

	rows_init(&domains);
	rows_init(&keys);
	cli_rq(&rq, "domain.list");
	if (cli_ask(c->cli, &rq, &domains, &err) == 0 && cli_dkim_keys(c->cli, &keys, &err) == 0) {
		for (size_t i = 0; i < domains.n; i++) {
			const char *domain = row_text(&domains.at[i], "domain");

			snprintf(advice, sizeof(advice), "tegami dkim create %.250s", domain);
			if (has_key(&keys, domain))
				add(c, "dkim", OK, "", "mail of %s is signed", domain);
			else
				add(c, "dkim", WARNING, advice, "mail of %s is not signed", domain);
		}
		if (domains.n == 0)
			add(c, "domains", WARNING, "tegami domain add example.org",
			    "there is none yet: no mail can arrive");
	}
	rows_free(&domains);
	rows_free(&keys);
}

static void
check_antivirus(struct check *c)
{
	const char *dir = c->conf->antivirus.database;
	char command[ROW_TEXT];
	struct stat st;

	if (!c->conf->antivirus.enabled || dir == NULL)
		return;
	if (stat(dir, &st) == -1) {
		snprintf(command, sizeof(command), "%s",
		    "install clamav-freshclam, name another folder in antivirus.database, or turn "
		    "antivirus off");
		add(c, "antivirus", ERROR, command, "%s: %s", dir, strerror(errno));
	} else if (time(NULL) - st.st_mtime > 7 * 86400)
		add(c, "antivirus", WARNING, "see whether freshclam runs",
		    "the signatures in %s are older than a week", dir);
	else
		add(c, "antivirus", OK, "", "signatures are in %s", dir);
}

static void (*const checks[])(struct check *) = { check_server, check_state_dir, check_databases,
	check_directory, check_ports, check_certificates, check_dkim, check_antivirus, check_queue,
	check_clock, check_disk, check_world };

/* -- printing */

static void
print_rows(struct cli *cli, const struct rows *rows)
{
	struct table_style style = cli_style(cli);
	size_t problems = 0, warnings = 0;

	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->at[i];
		const char *state = row_text(r, "state"), *advice = row_text(r, "advice");
		size_t w = table_show(&cli->out, COLUMN_STATE, state, &style);

		problems += strcmp(state, "error") == 0;
		warnings += strcmp(state, "warning") == 0;
		buf_printf(&cli->out, "%*s", (int)(w < 9 ? 9 - w : 1), "");
		w = text_show(&cli->out, slice_of(row_text(r, "name")));
		buf_printf(&cli->out, "%*s", (int)(w < 14 ? 14 - w : 1), "");
		text_show(&cli->out, slice_of(row_text(r, "text")));
		buf_char(&cli->out, '\n');
		if (*advice != '\0') {
			buf_printf(&cli->out, "%23s-> ", "");
			text_show(&cli->out, slice_of(advice));
			buf_char(&cli->out, '\n');
		}
	}
	if (problems + warnings == 0)
		cli_say(cli, "\nAll is well.");
	else if (problems == 0)
		cli_say(cli, "\nNo errors, %zu warning%s.", warnings, warnings == 1 ? "" : "s");
	else
		cli_say(cli, "\n%zu error%s, %zu warning%s.", problems, problems == 1 ? "" : "s",
		    warnings, warnings == 1 ? "" : "s");
}

static bool
any_error(const struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(row_text(&rows->at[i], "state"), "error") == 0)
			return true;
	return false;
}

static int
finish(struct check *c)
{
	int status = any_error(&c->rows) ? CLI_FAILED : CLI_DONE;
	struct json j;

	if (c->cli->json) {
		json_init(&j, &c->cli->out);
		table_json(&j, &c->rows, columns);
	} else
		print_rows(c->cli, &c->rows);
	rows_free(&c->rows);
	return status;
}

static int
check(struct cli *cli, const struct cli_args *args)
{
	struct check c = { .cli = cli };
	struct err err = { .kind = ERR_NONE };

	(void)args;
	rows_init(&c.rows);
	if (access(cli->config_file, F_OK) == 0 && cli->conf == NULL)
		cli->conf = conf_read(cli->config_file, &err);
	c.conf = cli->conf;
	if (c.conf == NULL) {
		add(&c, "config", ERROR,
		    err.kind == ERR_NONE
			? "make one with `tegami init HOSTNAME`, or name it with -c FILE"
			: "correct these lines; `tegami config explain OPTION` helps",
		    "%s", err.kind == ERR_NONE ? "there is no configuration" : err.text);
		return finish(&c);
	}
	add(&c, "config", OK, "", "%s reads well", cli->config_file);
	c.up = cli_server_up(cli);
	for (size_t i = 0; i < COUNT(checks); i++)
		checks[i](&c);
	return finish(&c);
}

const struct cli_command cli_check_commands[] = {
	{ "check", NULL, check, NULL, 0, 0, NULL,
	    "is everything as it should be? A row each, and what to do" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL },
};
