/* cli_check_host - the checks that ask the machine: files and their modes, ports, certificates,
 * signatures, clock, disk
 *
 * They need no server that runs; where one does, its ports are tried instead of taken. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "admin/cert.h"
#include "admin/cli_check.h"
#include "admin/text.h"

#define CERT_SOON (21 * 86400)
#define CONNECT_MS 2000
#define COMMAND_SIZE 700

/* -- files */

void
check_state_dir(struct check *c)
{
	struct stat st;

	if (stat(c->conf->state_dir, &st) == -1)
		finding(&c->found, "permissions", FINDING_ERROR,
		    "make it with `tegami init`, or correct `state_dir`", "%s: %s",
		    c->conf->state_dir, strerror(errno));
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		finding(&c->found, "permissions", FINDING_ERROR, "chmod 0711 it",
		    "others may write to %s (mode %04o)", c->conf->state_dir, st.st_mode & 07777);
	else if (st.st_uid != 0 && geteuid() == 0)
		finding(&c->found, "permissions", FINDING_WARNING,
		    "chown it to root, if tegamid is to be started by root", "%s belongs to uid %u",
		    c->conf->state_dir, (unsigned)st.st_uid);
	else
		finding(&c->found, "permissions", FINDING_OK, "",
		    "%s is writable by its owner only", c->conf->state_dir);
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

void
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
			finding(&c->found, "databases", FINDING_ERROR,
			    errno == ENOENT ? "start tegamid once, or run `tegami init`"
					    : "restore it from a backup; move the damaged one "
					      "away, never delete it",
			    "%s: %s", databases[i].name,
			    errno ? strerror(errno) : "is no database");
			continue;
		}
		good++;
		if (st.st_mode & databases[i].forbidden)
			finding(&c->found, "permissions", FINDING_ERROR,
			    "start tegamid again: it sets the modes right",
			    "%s is open to others (mode %04o)", databases[i].name,
			    st.st_mode & 07777);
	}
	if (good == COUNT(databases))
		finding(&c->found, "databases", FINDING_OK, "", "all %zu are there", good);
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
		finding(&c->found, "ports", FINDING_ERROR,
		    "write the address as 192.0.2.1:25, [2001:db8::1]:25 or :25", "%s: %s", text,
		    gai_strerror(rc));
		return;
	}
	if (shown[0] == '\0')
		snprintf(host, sizeof(host), "port");
	rc = c->up ? try_connect(ai) : try_bind(ai);
	if (rc == 0)
		finding(&c->found, "ports", FINDING_OK, "",
		    c->up ? "%s accepts connections on %s" : "%s can have %s", listener, text);
	else if (rc == EADDRINUSE)
		finding(&c->found, "ports", FINDING_ERROR,
		    "another program has this port; `ss -ltnp` shows which", "%s cannot have %s",
		    listener, text);
	else if (rc == EACCES)
		finding(&c->found, "ports", FINDING_WARNING,
		    "start tegamid as root, or choose a port above 1023",
		    "%s: only root may have %s", listener, text);
	else
		finding(&c->found, "ports", FINDING_ERROR,
		    c->up ? "read the log of tegamid" : "correct the address of the listener",
		    "%s, %s: %s", listener, text, strerror(rc));
	freeaddrinfo(ai);
}

void
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
	snprintf(
	    host, sizeof(host), "%s%.255s", name[0] == '*' ? "any" : "", name + (name[0] == '*'));
	if (cert_look(certificate, may_read_key ? key : NULL, host, &look, &err) == -1) {
		finding(&c->found, "certificates", FINDING_ERROR,
		    "correct `tls`, or put the files in their place", "%s", err.text);
		return;
	}
	t = (time_t)look.until;
	strftime(until, sizeof(until), "%Y-%m-%d", gmtime(&t));
	if (may_read_key && !look.key_fits)
		finding(&c->found, "certificates", FINDING_ERROR,
		    "give the key that belongs to the certificate", "%s does not fit %s", key,
		    certificate);
	else if (look.until < time(NULL))
		finding(&c->found, "certificates", FINDING_ERROR,
		    "renew it; tegamid takes the new files by itself", "the one for %s ended on %s",
		    name, until);
	else if (!look.started)
		finding(&c->found, "certificates", FINDING_ERROR, "look at the clock, or wait",
		    "the one for %s is not valid yet", name);
	else if (!look.names_host)
		finding(&c->found, "certificates", FINDING_ERROR, "get one for this name",
		    "%s is not for %s", certificate, name);
	else if (look.until < time(NULL) + CERT_SOON)
		finding(&c->found, "certificates", FINDING_WARNING,
		    "renew it; tegamid takes the new files by itself", "the one for %s ends on %s",
		    name, until);
	else if (look.self_signed)
		finding(&c->found, "certificates", FINDING_WARNING,
		    "fine between servers; for mail programs get one from a CA (Let's Encrypt)",
		    "the one for %s is self-signed (until %s)", name, until);
	else
		finding(&c->found, "certificates", FINDING_OK, "",
		    "the one for %s is valid until %s", name, until);
	if (stat(key, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		finding(&c->found, "permissions", FINDING_ERROR, "chmod 0600 it",
		    "%s is open to others (mode %04o)", key, st.st_mode & 07777);
}

static void
check_pairs(struct check *c, const char *name, const struct conf_pairs *p)
{
	for (size_t i = 0; i < p->certificate.n && i < p->key.n; i++)
		check_one_cert(c, name, p->certificate.at[i], p->key.at[i]);
}

static void
check_secret(struct check *c, const char *path)
{
	struct stat st;

	if (path[0] == '\0')
		return;
	if (stat(path, &st) == -1)
		finding(&c->found, "permissions", FINDING_ERROR,
		    "write the password into it, and correct `password_file`", "%s: %s", path,
		    strerror(errno));
	else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		finding(&c->found, "permissions", FINDING_ERROR, "chmod 0600 it",
		    "%s is open to others (mode %04o)", path, st.st_mode & 07777);
}

/* The passwords for other servers. */
static void
check_secrets(struct check *c)
{
	check_secret(c, c->conf->relay.password_file);
	for (size_t i = 0; i < c->conf->n_route; i++)
		check_secret(c, c->conf->route[i].password_file);
}

void
check_certificates(struct check *c)
{
	check_secrets(c);
	check_pairs(c, c->conf->hostname, &c->conf->tls);
	for (size_t i = 0; i < c->conf->n_sni; i++)
		check_pairs(c, c->conf->sni[i].name, &c->conf->sni[i].pairs);
}

/* -- the machine */

void
check_clock(struct check *c)
{
	struct timex t = { .modes = 0 };
	int state = adjtimex(&t);
	struct tm tm;
	time_t now = time(NULL);

	gmtime_r(&now, &tm);
	if (tm.tm_year + 1900 < 2025)
		finding(&c->found, "clock", FINDING_ERROR,
		    "set it, and run chrony or systemd-timesyncd",
		    "it says %d: signatures and certificates cannot be judged", tm.tm_year + 1900);
	else if (state == TIME_ERROR || (state != -1 && (t.status & STA_UNSYNC)))
		finding(&c->found, "clock", FINDING_WARNING,
		    "run chrony or systemd-timesyncd (a container uses its host's)",
		    "nobody here keeps it exact");
	else
		finding(&c->found, "clock", FINDING_OK, "", "it is kept in step");
}

static void
check_one_disk(struct check *c, const char *what, const char *path)
{
	uint64_t min = (uint64_t)c->conf->limits.min_free, space;
	char has[TEXT_SHOWN], needs[TEXT_SHOWN];
	struct statvfs fs;

	if (statvfs(path, &fs) == -1) {
		if (errno != ENOENT)
			finding(&c->found, "disk", FINDING_WARNING, "look at it as root", "%s: %s",
			    path, strerror(errno));
		return;
	}
	space = (uint64_t)fs.f_bavail * fs.f_frsize;
	text_show_size(space, has);
	text_show_size(min, needs);
	if (space < min)
		finding(&c->found, "disk", FINDING_ERROR,
		    "make room: no mail is taken until there is",
		    "%s has %s free, less than limits.min_free (%s)", what, has, needs);
	else if (space < 5 * min)
		finding(&c->found, "disk", FINDING_WARNING, "make room soon", "%s has only %s free",
		    what, has);
	else if (fs.f_files > 0 && fs.f_favail < fs.f_files / 50)
		finding(&c->found, "disk", FINDING_WARNING,
		    "each mail is a file: make a file system with more inodes",
		    "%s has only %llu inodes free", what, (unsigned long long)fs.f_favail);
	else
		finding(&c->found, "disk", FINDING_OK, "", "%s has %s free", what, has);
}

void
check_disk(struct check *c)
{
	check_one_disk(c, "state_dir", c->conf->state_dir);
	check_one_disk(c, "mail_dir", c->conf->mail_dir);
}

/* -- signatures */

void
check_antivirus(struct check *c)
{
	const char *dir = c->conf->antivirus.database;
	char command[COMMAND_SIZE];
	struct stat st;

	if (!c->conf->antivirus.enabled || dir == NULL)
		return;
	if (stat(dir, &st) == -1) {
		snprintf(command, sizeof(command), "%s",
		    "install clamav-freshclam, name another folder in antivirus.database, or turn "
		    "antivirus off");
		finding(
		    &c->found, "antivirus", FINDING_ERROR, command, "%s: %s", dir, strerror(errno));
	} else if (time(NULL) - st.st_mtime > 7 * 86400)
		finding(&c->found, "antivirus", FINDING_WARNING, "see whether freshclam runs",
		    "the signatures in %s are older than a week", dir);
	else
		finding(&c->found, "antivirus", FINDING_OK, "", "signatures are in %s", dir);
}
