/* setup - what a role is given over its link: its options, files, listeners, and links to its peers
 *
 * One row per kind of file says who gets it and where it comes from. Files are opened anew each
 * time, so a reload hands out what is on the disk now. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/supervisor.h"
#include "base/log.h"
#include "conf/told.h"
#include "filters/dkim_state.h"

#define KEYS_MAX 400		/* DKIM keys */

/* ---- options ---- */

struct telling {
	struct link *link;
	struct buf frame;
};

static void
tell_flush(struct telling *t)
{
	link_send_buf(t->link, &t->frame, -1);
	frame_begin_in(&t->frame, MSG_SETUP_CONFIG, 0);
}

static void
tell_pair(void *arg, const char *path, const char *value)
{
	struct telling *t = arg;

	if (t->frame.len + WIRE_COST(strlen(path)) + WIRE_COST(strlen(value)) > FRAME_MAX)
		tell_flush(t);
	wire_put_text(&t->frame, path);
	wire_put_text(&t->frame, value);
}

static void
send_options(struct child *c)
{
	struct telling t = { .link = c->link };

	frame_begin_in(&t.frame, MSG_SETUP_CONFIG, 0);
	conf_tell(supervisor.conf, c->role, tell_pair, &t);
	tell_flush(&t);
	buf_free(&t.frame);
}

/* ---- files ---- */

static void
send_fd(struct child *c, enum setup_file kind, const char *name, int fd)
{
	struct buf *out;

	if (fd < 0)
		return;
	out = frame_begin(MSG_SETUP_FILE, 0);
	wire_put_u64(out, kind);
	wire_put_text(out, name);
	if (link_send(c->link, fd) == -1)
		log_error("%s could not be given a file", processes[c->role].name);
}

static void
send_path(struct child *c, enum setup_file kind, const char *name, const char *path, int flags)
{
	int fd = path != NULL && path[0] != '\0' ? open(path, flags | O_CLOEXEC) : -1;

	if (fd < 0) {
		if (path != NULL && path[0] != '\0')
			log_warning("cannot open %s: %s", path, strerror(errno));
		return;
	}
	send_fd(c, kind, name, fd);
	close(fd);
}

static void
send_pairs(struct child *c, const char *name, const struct conf_pairs *p)
{
	for (size_t i = 0; i < p->certificate.n && i < p->key.n; i++) {
		char label[300];

		snprintf(label, sizeof label, i == 0 ? "%s" : "%s/%zu", name, i + 1);
		send_path(c, SETUP_FILE_TLS_CERT, label, p->certificate.at[i], O_RDONLY);
		send_path(c, SETUP_FILE_TLS_KEY, label, p->key.at[i], O_RDONLY);
	}
}

static void
send_certificates(struct child *c)
{
	const struct conf *conf = supervisor.conf;

	send_pairs(c, "", &conf->tls);
	for (size_t i = 0; i < conf->n_sni; i++)
		send_pairs(c, conf->sni[i].name, &conf->sni[i].pairs);
	send_fd(c, SETUP_FILE_CLIENTS, "", supervisor.clients);
	send_fd(c, SETUP_FILE_TICKETS, "", supervisor.tickets);
}

/* keys/DOMAIN.SELECTOR.pem -> "DOMAIN SELECTOR STATE SINCE SEEN STOPPED" (dkim_state.h); false for any other name. */
static bool
key_name(int keys, const char *file, char *name, size_t size)
{
	char domain[256], selector[256];
	struct dkim_standing s;

	if (!dkim_key_parts(file, domain, selector))
		return false;
	s = dkim_standing(keys, domain, selector);
	return snprintf(name, size, "%s %s %s %" PRId64 " %d %d", domain, selector, dkim_state_name(s.state), s.since,
		   s.seen, s.stopped) < (int)size;
}

static void
send_keys(struct child *c)
{
	int dir = openat(supervisor.state_dir, "keys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *keys = dir >= 0 ? fdopendir(dir) : NULL;
	struct dirent *e;
	unsigned n = 0;

	while (keys != NULL && (e = readdir(keys)) != NULL) {
		char name[512];
		int fd;

		if (!key_name(dirfd(keys), e->d_name, name, sizeof name))
			continue;
		if (n++ == KEYS_MAX) {
			log_error("more than %d DKIM keys in keys/; the rest are not used",
			    KEYS_MAX);
			break;
		}
		fd = openat(dirfd(keys), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		send_fd(c, SETUP_FILE_DKIM_KEY, name, fd);
		if (fd >= 0)
			close(fd);
	}
	if (keys != NULL)
		closedir(keys);
}

static void
send_spool(struct child *c)
{
	int fd = openat(supervisor.state_dir, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	send_fd(c, SETUP_FILE_SPOOL_DIR, "", fd);
	if (fd >= 0)
		close(fd);
}

static void
send_scan_files(struct child *c)
{
	if (supervisor.conf->antivirus.enabled)
		send_path(c, SETUP_FILE_SIGNATURES, "", supervisor.conf->antivirus.database,
		    O_RDONLY | O_DIRECTORY);
	send_fd(c, SETUP_FILE_SCAN_TMP, "", supervisor.scan_dir);
}

static void
send_anchor(struct child *c)
{
	send_path(c, SETUP_FILE_TRUST_ANCHOR, "", supervisor.conf->resolver.trust_anchor, O_RDONLY);
}

#define NO_SECRET (-2)

/* A file that nobody but its owner may read. NO_SECRET: none is wanted; -1 + err. */
static int
secret_open(const char *what, const char *path, struct err *err)
{
	struct stat st;
	int fd;

	if (path == NULL || path[0] == '\0')
		return NO_SECRET;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) == -1)
		err_sys(err, "%s %s cannot be read", what, path);
	else if (!S_ISREG(st.st_mode))
		err_set(err, ERR_USAGE, "%s %s is not a file", what, path);
	else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		err_set(err, ERR_USAGE, "%s %s is open to others (mode %04o); chmod 0600 it", what,
		    path, st.st_mode & 07777);
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void
close_secret(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void
send_secret(struct child *c, const char *name, const char *path)
{
	struct err err = { .kind = ERR_NONE };
	int fd = secret_open("password_file", path, &err);

	if (fd == -1)
		log_error("%s", err.text);
	send_fd(c, SETUP_FILE_PASSWORD, name, fd);
	close_secret(fd);
}

static void
send_relay_files(struct child *c)
{
	const struct conf *conf = supervisor.conf;

	send_path(c, SETUP_FILE_CA_BUNDLE, "", conf->relay.ca_bundle, O_RDONLY);
	send_secret(c, "", conf->relay.password_file);
	for (size_t i = 0; i < conf->n_route; i++)
		send_secret(c, conf->route[i].name, conf->route[i].password_file);
}

static void
send_control_socket(struct child *c)
{
	send_fd(c, SETUP_FILE_CONTROL_SOCKET, "", supervisor.control_socket);
}

static void
send_mail_dir(struct child *c)
{
	send_fd(c, SETUP_FILE_MAIL_DIR, "", supervisor.mail_dir);
}

static void (*const files_of[ROLE_COUNT])(struct child *) = {
	[ROLE_SMTPD] = send_certificates, [ROLE_SIGNER] = send_keys, [ROLE_QUEUE] = send_spool,
	[ROLE_SCAN] = send_scan_files, [ROLE_RESOLVER] = send_anchor, [ROLE_RELAY] = send_relay_files,
	[ROLE_CONTROL] = send_control_socket, [ROLE_MDA] = send_mail_dir,
};

/* What these got at their start is in use, and the same after a reload: sent again it would close
 * the one they have. */
static bool
stays(enum role role)
{
	return role == ROLE_CONTROL || role == ROLE_QUEUE || role == ROLE_MDA;
}

void
setup_send(struct child *c)
{
	send_options(c);
	setup_send_files(c);
}

void
setup_send_files(struct child *c)
{
	if (files_of[c->role] != NULL && !(c->told_go && stays(c->role)))
		files_of[c->role](c);
}

void
setup_go(struct child *c, bool reload)
{
	struct buf *out;

	if (c->role == ROLE_SMTPD && !reload)
		listen_send(c->link, c->seat, c->fresh);
	out = frame_begin(MSG_SETUP_GO, 0);
	wire_put_u64(out, reload);
	link_send(c->link, -1);
	c->told_go = true;
}

/* ---- links ---- */

static int
send_link(struct child *to, const struct child *peer, uint32_t id, int fd)
{
	struct buf *out = frame_begin(MSG_SETUP_LINK, id);

	wire_put_u64(out, peer->role);
	wire_put_u64(out, peer->number);
	return link_send(to->link, fd);
}

int64_t
setup_link(struct child *a, struct child *b)
{
	static uint32_t last_id;
	int pair[2], sent;

	if ((processes[a->role].peers & 1u << b->role) == 0 || a->link == NULL || b->link == NULL ||
	    a == b)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1) {
		log_error("cannot link %s and %s: %s", processes[a->role].name,
		    processes[b->role].name, strerror(errno));
		return -1;
	}
	if (++last_id == 0)
		last_id = 1;
	sent = send_link(a, b, last_id, pair[0]);
	if (sent == 0)
		sent = send_link(b, a, last_id, pair[1]);
	close(pair[0]);
	close(pair[1]);
	return sent == 0 ? (int64_t)last_id : -1;
}

/* ---- the look before the leap ---- */

static int
readable(const char *what, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "%s %s cannot be read", what, path);
	close(fd);
	return 0;
}

static int
pairs_readable(const char *certificate, const char *key, const struct conf_pairs *p,
    struct err *err)
{
	for (size_t i = 0; i < p->certificate.n && i < p->key.n; i++)
		if (readable(certificate, p->certificate.at[i], err) == -1 ||
		    readable(key, p->key.at[i], err) == -1)
			return -1;
	return 0;
}

static int
passwords_readable(const struct conf *conf, struct err *err)
{
	int fd = secret_open("relay.password_file", conf->relay.password_file, err);

	for (size_t i = 0; i < conf->n_route && fd != -1; i++) {
		close_secret(fd);
		fd = secret_open("route password_file", conf->route[i].password_file, err);
	}
	close_secret(fd);
	return fd == -1 ? -1 : 0;
}

int
setup_check_files(const struct conf *conf, struct err *err)
{
	if (pairs_readable("tls.certificate", "tls.key", &conf->tls, err) == -1)
		return -1;
	for (size_t i = 0; i < conf->n_sni; i++)
		if (pairs_readable("sni certificate", "sni key", &conf->sni[i].pairs, err) == -1)
			return -1;
	if (passwords_readable(conf, err) == -1)
		return -1;
	if (conf->antivirus.enabled &&
	    readable("antivirus.database", conf->antivirus.database, err) == -1)
		return -1;
	return 0;
}
