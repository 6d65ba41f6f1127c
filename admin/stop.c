/* stop - the server ends, in phases: first who takes mail in, last who writes the log
 *
 * All of one phase are told to finish; who has not after the phase's patience is killed. */
#include <signal.h>

#include "admin/supervisor.h"
#include "base/log.h"

static const struct {
	unsigned roles;
	unsigned patience_ms;
} phases[] = {
	{ R(SMTPD), 10500 },
	{ R(QUEUE) | R(FILTER) | R(SIGNER) | R(SCAN), 5000 },
	{ R(MDA) | R(RELAY) | R(DIRECTORY) | R(AUTH) | R(RESOLVER), 3000 },
	{ R(CONTROL), 3000 },
};

static unsigned phase;
static struct event *timer;

static bool
phase_running(void)
{
	for (unsigned i = 0; i < supervisor.n_children; i++)
		if (supervisor.children[i].pid > 0 &&
		    (phases[phase].roles & 1u << supervisor.children[i].role) != 0)
			return true;
	return false;
}

static void
phase_begin(void)
{
	const unsigned ms = phases[phase].patience_ms;
	const struct timeval patience = { ms / 1000, ms % 1000 * 1000 };

	for (unsigned i = 0; i < supervisor.n_children; i++) {
		struct child *c = &supervisor.children[i];

		if (c->link == NULL || (phases[phase].roles & 1u << c->role) == 0)
			continue;
		frame_begin(MSG_SETUP_STOP, 0);
		link_send(c->link, -1);
	}
	event_add(timer, &patience);
}

void
stop_next(void)
{
	while (!phase_running()) {
		if (++phase == COUNT(phases)) {
			log_info("stopped");
			event_base_loopexit(supervisor.base, NULL);
			return;
		}
		phase_begin();
	}
}

static void
on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		struct child *c = &supervisor.children[i];

		if (c->pid > 0 && (phases[phase].roles & 1u << c->role) != 0)
			kill(c->pid, SIGKILL);
	}
}

void
stop_begin(void)
{
	if (supervisor.stopping)
		return;
	supervisor.stopping = true;
	log_info("stopping");
	service_notify("STOPPING=1");
	timer = event_new(supervisor.base, -1, 0, on_stop_timer, NULL);
	phase_begin();
	stop_next();
}
