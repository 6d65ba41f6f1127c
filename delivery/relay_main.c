/* relay - the program that brings mail to other servers
 *
 * Holds nothing but the messages it is sending. Jobs come from `queue` (relay_jobs.c, relay_job.c),
 * names from `resolver` (relay_hosts.c); a session with a peer is relay_session.c and relay_mail.c,
 * reuse of sessions relay_pool.c.
 *
 * A peer can only hurt its own session. When `queue` goes away, unsent messages are dropped: its
 * successor sends them again. */
#include <string.h>
#include <sys/resource.h>

#include "base/role.h"
#include "conf/conf.h"
#include "delivery/https.h"
#include "delivery/relay_count.h"
#include "delivery/relay_explain.h"
#include "delivery/relay_jobs.h"
#include "delivery/relay_login.h"
#include "delivery/relay_pool.h"
#include "delivery/relay_report.h"
#include "delivery/relay_session.h"
#include "delivery/relay_silent.h"
#include "delivery/relay_tls.h"

#define FILES 8192

static void
read_settings(void)
{
	const struct conf *conf = role_conf();

	session_settings.base = role_base();
	slice_copy(slice_of(conf->hostname), session_settings.helo, sizeof(session_settings.helo));
	session_settings.connect_timeout = conf->relay.connect_timeout;
	session_settings.command_timeout = conf->relay.command_timeout;
	session_settings.data_timeout = conf->relay.data_timeout;
}

/* Connections side by side for each job, messages handed over as files, and some to spare. */
static void
raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == -1 || files.rlim_cur >= FILES)
		return;
	files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int
relay_open(struct err *err)
{
	raise_files();
	read_settings();
	if (relay_tls_context(PROOF_NONE) == NULL)
		return err_set(err, ERR_TEMPORARY, "cannot make a TLS context");
	logins_read();
	return https_setup(err);
}

static int
relay_reload(struct err *err)
{
	(void)err;
	read_settings();
	relay_tls_forget();
	silent_forget_all();
	logins_read();
	pool_close_all();
	return 0;
}

static void
relay_link_down(struct link *l)
{
	if (link_peer(l) == ROLE_QUEUE)
		jobs_drop(link_serial(l));
}

static void
all_done(void)
{
	count_flush();
	role_exit(0);
}

static void
relay_stop(void)
{
	pool_close_all();
	jobs_stop(all_done);
}

static const struct msg_handler handlers[] = { { MSG_RELAY_SEND, job_from_frame },
	{ MSG_ADMIN, explain_on_request },
	{ MSG_REPORT_POST, report_post },
	{ MSG_NONE, NULL } };

static const struct role_ops ops = {
	.role = ROLE_RELAY,
	.handlers = handlers,
	.open = relay_open,
	.link_down = relay_link_down,
	.reload = relay_reload,
	.stop = relay_stop,
};

int
main(void)
{
	return role_main(&ops);
}
