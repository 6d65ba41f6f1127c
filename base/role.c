/* role - what every long-running process of the server does alike
 *
 * Here is its life: links and files that come before SETUP_GO are only kept; GO runs open, confine,
 * start in that order and answers ROLE_READY, or ROLE_FAILED with the reason and exit 1. A later
 * GO(1) ends a reload (role_told.c). When the supervisor's link ends, the process ends. */
#include "base/role_state.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/process.h"
#include "base/sandbox.h"

struct role_self role_self;

/* ---- what the code of a role may ask ---- */

struct event_base *
role_base(void)
{
	return role_self.base;
}

unsigned
role_number(void)
{
	return role_self.number;
}

bool
role_stopping(void)
{
	return role_self.stopping;
}

void
role_exit(int status)
{
	role_events_end();
	/* no atexit handlers: threads may still use what they would take down */
	fflush(stderr);
	_exit(status);
}

/* ---- what the supervisor says ---- */

void
role_say(enum msg type, const struct err *err)
{
	struct buf *out = frame_begin(type, 0);

	if (err != NULL)
		wire_put_text(out, err->text);
	link_send(role_self.supervisor, -1);
}

static void
on_setup_listener(struct frame *f)
{
	uint64_t kind = wire_u64(&f->in);
	char name[128], address[256];

	wire_text_to(&f->in, name, sizeof name);
	wire_text_to(&f->in, address, sizeof address);
	if (role_self.ops->listener != NULL)
		role_self.ops->listener(frame_take_fd(f), (enum listener_kind)kind, name, address);
}

static int
take_start(struct err *err)
{
	if (role_told_first(err) == -1)
		return -1;
	if (role_self.ops->open != NULL && role_self.ops->open(err) == -1)
		return -1;
	if (sandbox_enter(processes[role_self.ops->role].may, err) == -1)
		return -1;
	role_self.running = true;
	role_events_begin();
	role_links_begin();
	return role_self.ops->start != NULL ? role_self.ops->start(err) : 0;
}

static void
on_setup_go(struct frame *f)
{
	struct err err = { 0 };

	(void)f;
	if (role_self.running) {
		role_told_again();
		return;
	}
	if (take_start(&err) == -1) {
		role_say(MSG_ROLE_FAILED, &err);
		log_sink(NULL);
		log_error("cannot start: %s", err.text);
		role_exit(1);
	}
	role_say(MSG_ROLE_READY, NULL);
}

static void
on_setup_stop(struct frame *f)
{
	(void)f;
	if (role_self.stopping)
		return;
	role_self.stopping = true;
	if (role_self.ops->stop == NULL)
		role_exit(0);
	role_self.ops->stop();
}

static void
on_setup_drain(struct frame *f)
{
	(void)f;
	if (role_self.ops->drain != NULL && !role_self.stopping)
		role_self.ops->drain();
}

static void
on_supervisor_end(struct link *l)
{
	(void)l;
	role_exit(role_self.stopping ? 0 : 1);
}

/* ADMIN from the supervisor's side never comes here: control asks the owners itself. */
static const struct msg_handler setup_handlers[] = {
	{ MSG_SETUP_CONFIG, role_on_config },
	{ MSG_SETUP_LINK, role_on_link },
	{ MSG_SETUP_LISTENER, on_setup_listener },
	{ MSG_SETUP_FILE, role_on_file },
	{ MSG_SETUP_GO, on_setup_go },
	{ MSG_SETUP_STOP, on_setup_stop },
	{ MSG_SETUP_DRAIN, on_setup_drain },
	{ MSG_NONE, NULL },
};

/* ---- the process ---- */

static void
ignore_signals(void)
{
	static const int ignored[] = {
		SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2
	};

	/* a terminal's Ctrl-C reaches the whole group; only the supervisor decides when a role
	 * ends */
	for (size_t i = 0; i < COUNT(ignored); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
}

static struct event_base *
loop_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *b = NULL;

	if (config != NULL) {
		/* one epoll_ctl a wake-up at most, however often an event was added and removed */
		event_config_set_flag(config,
		    EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST | EVENT_BASE_FLAG_NOLOCK);
		b = event_base_new_with_config(config);
		event_config_free(config);
	}
	return b;
}

/* A program that was replaced on the disk may be newer than the tegamid that runs it. */
static bool
other_version(void)
{
	const char *table = getenv("TEGAMI_TABLE");

	return table != NULL && strtoul(table, NULL, 16) != msg_table_id();
}

int
role_main(const struct role_ops *role_ops)
{
	static char who[32];
	const char *told_number = getenv("TEGAMI_NUMBER");

	role_self.ops = role_ops;
	ignore_signals();
	role_self.number = told_number != NULL ? (unsigned)atoi(told_number) : 0;
	snprintf(who, sizeof who, "%s", role_name(role_ops->role));
	log_name(who);
	if (other_version())
		return ROLE_OTHER_VERSION;
	role_self.base = loop_new();
	if (role_self.base != NULL)
		role_self.supervisor = link_new(role_self.base, FD_SUPERVISOR, role_ops->role,
		    ROLE_TEGAMID, 0, setup_handlers, on_supervisor_end);
	if (role_self.supervisor == NULL || role_events_start() == -1) {
		fprintf(stderr, "%s is started by tegamid, not by hand: run tegamid -c FILE\n",
		    who);
		return 2;
	}
	event_base_dispatch(role_self.base);
	return 1;
}
