/* auth_main - the `auth` role: the only one that sees passwords, and the only one that writes
 * credentials.db
 *
 * It tells smtpd whether a login is good and gives it a ticket for the session; `queue` and
 * `signer` ask here whether a ticket is good and whose. Password checks run in threads, two at
 * least; the loop itself never hashes. */
#include <unistd.h>

#include "base/clock.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "conf/conf.h"
#include "storage/auth.h"
#include "storage/auth_exchange.h"

#define CHECKS_MAX 256 /* that wait for a thread */
#define TICKETS_MAX 65536
#define TICKET_LIFE (24 * 3600 * CLOCK_SECOND)
#define TIDY_SECONDS 30

struct auth auth;

/* -- tickets */

static void
on_ticket_check(struct frame *f)
{
	const char *user = tickets_user(auth.tickets, wire_bytes(&f->in), clock_mono());
	struct buf *b = reply_begin(reply_later(f), MSG_TICKET_IS);

	wire_put_u64(b, user != NULL);
	wire_put_text(b, user);
	reply_send(reply_later(f), -1);
}

static void
on_end(struct frame *f)
{
	tickets_end(auth.tickets, wire_bytes(&f->in), reply_later(f).link_serial);
}

/* -- life */

static void
on_tidy(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	auth_used_write();
	auth_forget_old(clock_mono());
	tickets_sweep(auth.tickets, clock_mono());
}

static int
open_store(struct err *err)
{
	auth.credentials = credentials_open(DB_WRITE, err);
	if (auth.credentials == NULL || exchange_setup(err) == -1)
		return -1;
	auth.limit = auth_limit_new((unsigned)role_conf()->limits.auth_failures, err);
	auth.tickets = tickets_new(TICKETS_MAX, TICKET_LIFE, err);
	if (auth.limit == NULL || auth.tickets == NULL)
		return -1;
	sandbox_grant("credentials.db", SANDBOX_READ | SANDBOX_WRITE);
	sandbox_grant("credentials.db-wal", SANDBOX_READ | SANDBOX_WRITE);
	sandbox_grant("credentials.db-shm", SANDBOX_READ | SANDBOX_WRITE);
	return 0;
}

static int
start(struct err *err)
{
	static const struct timeval every = { TIDY_SECONDS, 0 };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct event *tidy = event_new(role_base(), -1, EV_PERSIST, on_tidy, NULL);

	auth.workers =
	    workers_new(role_base(), cores > 2 ? (unsigned)cores : 2, 0, CHECKS_MAX, err);
	if (auth.workers == NULL)
		return -1;
	if (tidy == NULL || event_add(tidy, &every) == -1)
		return err_set(err, ERR_TEMPORARY, "no memory for a timer");
	return 0;
}

static void
link_down(struct link *l)
{
	auth_forget_link(link_serial(l));
	tickets_end_owner(auth.tickets, link_serial(l));
}

static int
reload(struct err *err)
{
	(void)err;
	auth_limit_set(auth.limit, (unsigned)role_conf()->limits.auth_failures);
	return 0;
}

static void
stop(void)
{
	auth_used_write();
	credentials_close(&auth.credentials);
	role_exit(0);
}

static const struct msg_handler handlers[] = {
	{ MSG_AUTH_START, auth_on_start },
	{ MSG_AUTH_STEP, auth_on_step },
	{ MSG_AUTH_ABORT, auth_on_abort },
	{ MSG_AUTH_END, on_end },
	{ MSG_TICKET_CHECK, on_ticket_check },
	{ MSG_ADMIN, auth_on_admin },
	{ MSG_NONE, NULL },
};

static const struct role_ops ops = {
	.role = ROLE_AUTH,
	.handlers = handlers,
	.open = open_store,
	.start = start,
	.link_down = link_down,
	.reload = reload,
	.stop = stop,
};

int
main(void)
{
	return role_main(&ops);
}
