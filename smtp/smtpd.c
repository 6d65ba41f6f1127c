/* smtpd - the process that speaks SMTP with strangers and users
 *
 * It holds the TLS keys and nothing else: no file, no database, no password. One runs per core; all
 * accept on the same sockets. See session.c for the life of a connection, command.c for the
 * commands, deliver.c for what becomes of a message. */
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"
#include "base/role.h"
#include "base/tickets.h"
#include "base/tls.h"
#include "conf/conf.h"
#include "smtp/clients.h"
#include "smtp/eventmem.h"
#include "smtp/known.h"
#include "smtp/listener.h"
#include "smtp/proxied.h"
#include "smtp/session.h"
#include "smtp/spool.h"
#include "smtp/status.h"

#define GRACE_S 10 /* for sessions to finish after SETUP_STOP */
#define DRAIN_S 30 /* after SETUP_DRAIN, before those between messages are sent away */

static struct tls_server *tls;

SSL_CTX *
smtpd_tls(void)
{
	return tls_server_ctx(tls);
}

/* "mail.example.org/2" -> the name; sizes as in SETUP_FILE. */
static const char *
name_of(const char *label, char name[static 300])
{
	slice_copy(slice_of(label), name, 300);
	name[strcspn(name, "/")] = '\0';
	return name;
}

/* All certificates that were handed over. NULL + err when one is bad. */
static struct tls_server *
load_certificates(struct err *err)
{
	struct tls_server *fresh = tls_server_new(err);
	const char *label;
	char name[300];
	int fd;

	for (unsigned i = 0;
	     fresh != NULL && (fd = role_file_at(SETUP_FILE_TLS_CERT, i, &label)) >= 0; i++) {
		if (tls_server_add(fresh, name_of(label, name), fd, role_file(SETUP_FILE_TLS_KEY, label), err) == -1)
			tls_server_free(&fresh);
	}
	return fresh;
}

/* As many descriptors as we may have: a connection is one. */
static void
raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void
count_by(void)
{
	const struct conf *conf = role_conf();

	clients_networks(
	    (unsigned)conf->limits.client_network4, (unsigned)conf->limits.client_network6);
}

static int
smtpd_open(struct err *err)
{
	raise_limits();
	tzset();
	tls_setup();
	if (clients_open(role_file(SETUP_FILE_CLIENTS, ""), role_number(), err) == -1)
		return -1;
	if (role_file(SETUP_FILE_TICKETS, "") >= 0 &&
	    tickets_open(role_file(SETUP_FILE_TICKETS, ""), err) == -1)
		return -1;
	count_by();
	tls = load_certificates(err);
	return tls != NULL ? 0 : -1;
}

static int
smtpd_start(struct err *err)
{
	(void)err;
	if (smtpd_tls() == NULL)
		log_warning("there is no certificate: TLS and logging in are not offered");
	listeners_start();
	return 0;
}

static int
smtpd_reload(struct err *err)
{
	struct tls_server *fresh = load_certificates(err);

	if (fresh == NULL)
		return -1;
	known_forget_all();
	count_by();
	tls_server_free(&tls);
	tls = fresh;
	return 0;
}

/* -- certificates that were renewed */

static void note(struct buf *notes, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
note(struct buf *notes, enum log_level level, const char *fmt, ...)
{
	char line[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	wire_put_u64(notes, level);
	wire_put_text(notes, line);
}

/* The i-th certificate of a name. */
static int
renew_one(struct tls_server *fresh, const char *name, unsigned i, struct buf *notes)
{
	const char *shown = name[0] != '\0' ? name : role_conf()->hostname;
	char day[16] = "?", label[300];
	struct err err = { 0 };
	int rc;

	snprintf(label, sizeof(label), i == 0 ? "%s" : "%s/%u", name, i + 1);
	rc = tls_server_renew(fresh, tls, name, role_file(SETUP_FILE_TLS_CERT, label),
	    role_file(SETUP_FILE_TLS_KEY, label), &err);
	if (!tls_server_until(fresh, name, i, day))
		return -1;
	if (rc == -1)
		note(notes, LOG_LEVEL_ERROR,
		    "the certificate for %s changed on the disk but is not used: %s; the one until "
		    "%s stays",
		    shown, err.text, day);
	else if (rc == 1)
		note(notes, LOG_LEVEL_INFO, "the certificate for %s was renewed; it ends on %s",
		    shown, day);
	return 0;
}

static int
renew_name(struct tls_server *fresh, const char *name, struct buf *notes)
{
	char day[16];
	int rc = 0;

	for (unsigned i = 0; rc == 0 && tls_server_until(tls, name, i, day); i++)
		rc = renew_one(fresh, name, i, notes);
	return rc;
}

static int
smtpd_renew(struct buf *notes, struct err *err)
{
	struct tls_server *fresh = tls_server_new(err);
	const char *name;

	for (size_t i = 0; fresh != NULL && (name = tls_server_name(tls, i)) != NULL; i++) {
		if (renew_name(fresh, name, notes) == 0)
			continue;
		err_set(err, ERR_TEMPORARY, "the renewed certificates cannot be used: no memory");
		tls_server_free(&fresh);
	}
	if (fresh == NULL)
		return -1;
	tls_server_free(&tls);
	tls = fresh;
	return 0;
}

/* -- the end */

/* Every second: is anyone left? */
static void
on_drained(evutil_socket_t fd, short what, void *arg)
{
	static unsigned seconds;

	(void)fd;
	(void)what;
	(void)arg;
	if (seconds++ == DRAIN_S)
		session_drain_all();
	if (session_count() == 0 && proxied_count() == 0)
		role_exit(0);
}

static void
smtpd_drain(void)
{
	static const struct timeval second = { 1, 0 };
	struct event *e = event_new(role_base(), -1, EV_PERSIST, on_drained, NULL);

	listeners_stop();
	if (e == NULL || event_add(e, &second) == -1)
		role_exit(0);
}

static void
on_grace_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	role_exit(0);
}

static void
smtpd_stop(void)
{
	static const struct timeval grace = { GRACE_S, 0 };

	listeners_stop();
	proxied_stop_all();
	if (event_base_once(role_base(), -1, EV_TIMEOUT, on_grace_over, NULL, &grace) == -1)
		role_exit(0);
	session_stop_all();
	if (session_count() == 0)
		role_exit(0);
}

static void
on_dir_changed(struct frame *f)
{
	(void)f;
	known_forget_all();
}

/* Whoever answered may be gone, and what comes after may answer otherwise. */
static void
on_link(struct link *l)
{
	if (link_peer(l) == ROLE_DIRECTORY)
		known_forget_all();
}

static const struct msg_handler handlers[] = {
	{ MSG_SPOOL_CREDIT, spool_on_credit },
	{ MSG_DIR_CHANGED, on_dir_changed },
	{ MSG_ADMIN, status_serve },
	{ MSG_NONE, NULL },
};

static const struct role_ops smtpd = {
	.role = ROLE_SMTPD,
	.handlers = handlers,
	.open = smtpd_open,
	.start = smtpd_start,
	.link_up = on_link,
	.link_down = on_link,
	.reload = smtpd_reload,
	.renew = smtpd_renew,
	.drain = smtpd_drain,
	.stop = smtpd_stop,
	.listener = listener_add,
};

int
main(void)
{
	eventmem_setup();
	return role_main(&smtpd);
}
