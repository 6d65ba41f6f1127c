/* child - the processes of the roles: their places in the table, their lives and deaths
 *
 *   state       what happens                        next
 *   DOWN        the pause ends: fork, run,          STARTING
 *               set-up frames
 *   STARTING    ROLE_READY                          READY
 *               ROLE_FAILED, or it dies             DOWN, longer pause (at the first start:
 *                                                   all ends)
 *   READY       it dies, or its link ends           DOWN, pause: 0.1 s, doubled up to 30 s while
 *               (then it is killed)                 it dies young
 *
 * What the roles say of themselves (READY, FAILED) is heard in supervisor.c; LEAVING and UNUSED are
 * replace.c's. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "admin/supervisor.h"
#include "base/clock.h"
#include "base/log.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_MOST_MS 30000
#define YOUNG (10 * CLOCK_SECOND)	/* dying earlier than this makes the pause grow */
#define PATIENCE_MS 500			/* for a process to end after its link did */

static void
timer_set(struct event *timer, unsigned ms)
{
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	event_add(timer, &tv);
}

struct child *
child_of_link(const struct link *l)
{
	return link_data(l);
}

const char *
child_name(const struct child *c)
{
	static char name[64];

	if (process_count(c->role, 2) == 1)
		return processes[c->role].name;
	snprintf(name, sizeof name, "%s %u", processes[c->role].name, c->number);
	return name;
}

/* ---- life ---- */

static void
on_link_end(struct link *l)
{
	struct child *c = child_of_link(l);

	c->link = NULL;
	/* it is dying, or has broken the contract: either way it ends */
	if (c->pid > 0)
		timer_set(c->timer, PATIENCE_MS);
}

static void
on_child_timer(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;

	(void)fd;
	(void)what;
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
	else if (!supervisor.stopping)
		child_start(c);
}

static void
pause_then_start(struct child *c)
{
	if (clock_mono() - c->started > YOUNG || c->pause_ms == 0)
		c->pause_ms = PAUSE_FIRST_MS;
	else if (c->pause_ms < PAUSE_MOST_MS)
		c->pause_ms = c->pause_ms * 2 < PAUSE_MOST_MS ? c->pause_ms * 2 : PAUSE_MOST_MS;
	timer_set(c->timer, c->pause_ms);
}

void
child_start(struct child *c)
{
	struct err err = { 0 };
	int fd = spawn_role(c->role, c->number, &c->pid, &err);

	c->started = clock_mono();
	c->told_go = false;
	c->state = CHILD_STARTING;
	if (fd >= 0)
		c->link = link_new(supervisor.base, fd, ROLE_TEGAMID, c->role, c->number,
		    supervisor_handlers, on_link_end);
	if (fd < 0 || c->link == NULL) {
		log_error("%s: %s", child_name(c), fd < 0 ? err.text : "no memory for its link");
		c->state = CHILD_DOWN;
		if (c->pid > 0)
			kill(c->pid, SIGKILL);
		else
			pause_then_start(c);
		return;
	}
	link_set_data(c->link, c);
	setup_send(c);
	relink_all(c);
	if (supervisor.announced)
		supervisor_go();
}

/* ---- death ---- */

static void
log_death(const struct child *c, int status)
{
	bool again = !supervisor.stopping && !c->fresh && c->state != CHILD_LEAVING;

	if (WIFSIGNALED(status))
		log_error("%s (pid %d) died of signal %d (%s)%s", child_name(c), (int)c->pid,
		    WTERMSIG(status), strsignal(WTERMSIG(status)),
		    again ? "; it is started again" : "");
	else if (!supervisor.stopping && (c->state != CHILD_LEAVING || WEXITSTATUS(status) != 0))
		log_error("%s (pid %d) ended with status %d%s", child_name(c), (int)c->pid,
		    WEXITSTATUS(status), again ? "; it is started again" : "");
}

static void
child_ended(struct child *c, int status)
{
	bool leaving = c->state == CHILD_LEAVING, fresh = c->fresh;

	/* its last words may say why */
	link_finish(c->link);
	log_death(c, status);
	c->renewing = 0;
	if (c->role == ROLE_SIGNER)
		dkim_keys_taken();
	if (c->fresh && !supervisor.stopping)
		replace_failed();
	if (c->asked)
		reload_answer(child_name(c), fresh ? replace_why(status) : "it died");
	c->asked = false;
	c->pid = 0;
	event_del(c->timer);
	c->state = leaving || fresh ? CHILD_UNUSED : CHILD_DOWN;
	if ((leaving || fresh) && !supervisor.stopping)
		return;
	if (supervisor.stopping) {
		stop_next();
		return;
	}
	if (!supervisor.announced) {
		log_error("the server cannot start: %s did not come up", child_name(c));
		event_base_loopexit(supervisor.base, NULL);
		return;
	}
	c->restarts++;
	pause_then_start(c);
}

static void
on_sigchld(evutil_socket_t sig, short what, void *arg)
{
	int status;
	pid_t pid;

	(void)sig;
	(void)what;
	(void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned i = 0; i < supervisor.n_children; i++)
			if (supervisor.children[i].pid == pid)
				child_ended(&supervisor.children[i], status);
}

/* ---- their places in the table ---- */

struct child *
child_add(enum role role, struct err *err)
{
	struct child *c = supervisor.children;
	struct event *timer;

	while (c < supervisor.children + supervisor.n_children && c->state != CHILD_UNUSED)
		c++;
	if (c == supervisor.children + CHILDREN_MAX) {
		err_set(err, ERR_USAGE, "more than %d processes", CHILDREN_MAX);
		return NULL;
	}
	timer = c->timer != NULL ? c->timer : event_new(supervisor.base, -1, 0, on_child_timer, c);
	if (timer == NULL) {
		err_set(err, ERR_TEMPORARY, "no memory for timers");
		return NULL;
	}
	*c = (struct child){ .role = role, .timer = timer, .state = CHILD_UNUSED };
	if (c == supervisor.children + supervisor.n_children)
		supervisor.n_children++;
	return c;
}

static int
children_make(struct err *err)
{
	for (unsigned role = ROLE_TEGAMID + 1; role < ROLE_COUNT; role++) {
		unsigned n = process_count((enum role)role, process_cores());

		if (role == ROLE_SCAN && supervisor.conf->antivirus.workers > 0)
			n = (unsigned)supervisor.conf->antivirus.workers;
		for (unsigned i = 0; i < n; i++) {
			struct child *c = child_add((enum role)role, err);

			if (c == NULL)
				return -1;
			c->number = c->seat = i;
			c->state = CHILD_DOWN;
		}
	}
	return 0;
}

int
child_table(struct err *err)
{
	struct event *chld = evsignal_new(supervisor.base, SIGCHLD, on_sigchld, NULL);

	if (chld == NULL || event_add(chld, NULL) == -1)
		return err_set(err, ERR_TEMPORARY, "no memory for signals");
	return children_make(err);
}
