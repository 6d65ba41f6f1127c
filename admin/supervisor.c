/* supervisor - starts the roles, links them, brings back what dies, reloads and stops them
 *
 *   state       what happens                                      next
 *   DOWN        the pause ends: fork, run, set-up frames          STARTING
 *   STARTING    ROLE_READY                                        READY
 *               ROLE_FAILED, or it dies                           DOWN, longer pause (at the first start: all ends)
 *   READY       it dies, or its link ends (then it is killed)     DOWN, pause: 0.1 s, doubled up to 30 s while it dies young
 *
 * smtpd is told to go only when all other roles but `scan` are ready: signatures may take a minute to load, and
 * until then mail gets a 451, not silence. */
#include "admin/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/admin.h"
#include "base/clock.h"
#include "base/log.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_MOST_MS 30000
#define YOUNG (10 * CLOCK_SECOND)	/* dying earlier than this makes the pause grow */
#define PATIENCE_MS 500			/* for a process to end after its link did */

struct supervisor supervisor = { .control_socket = -1, .clients = -1, .tickets = -1 };

static void stop_next(void);

static void
timer_set(struct event *timer, unsigned ms)
{
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	event_add(timer, &tv);
}

static struct child *
child_of_link(const struct link *l)
{
	return link_data(l);
}

static const char *
child_name(const struct child *c)
{
	static char name[64];

	if (process_count(c->role, 2) == 1)
		return processes[c->role].name;
	snprintf(name, sizeof name, "%s %u", processes[c->role].name, c->number);
	return name;
}

/* ---- going on when others are ready ---- */

static bool
all_ready_but(enum role a, enum role b)
{
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		const struct child *c = &supervisor.children[i];

		if (c->role != a && c->role != b && c->state != CHILD_READY && c->state != CHILD_LEAVING &&
		    c->state != CHILD_UNUSED)
			return false;
	}
	return true;
}

static void
announce(void)
{
	if (!supervisor.announced && all_ready_but(ROLE_SCAN, ROLE_SCAN)) {
		supervisor.announced = true;
		log_info("ready");
		service_notify("READY=1");
	}
}

static void
go_when_possible(void)
{
	bool others = all_ready_but(ROLE_SMTPD, ROLE_SCAN);

	for (unsigned i = 0; i < supervisor.n_children; i++) {
		struct child *c = &supervisor.children[i];

		if (c->link != NULL && !c->told_go &&
		    (c->role != ROLE_SMTPD || others || supervisor.announced))
			setup_go(c, false);
	}
}

/* ---- frames from the roles ---- */

/* The file may have changed again while the roles read it. */
static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct err err = { 0 };

	(void)fd;
	(void)what;
	(void)arg;
	supervisor.reload_again = false;
	if (!supervisor.stopping && supervisor.reload_waits == 0)
		supervisor_reload(&err);
}

static void
reload_answer(const char *name, const char *refused)
{
	static const struct timeval at_once = { 0, 0 };
	struct err err = { 0 };

	if (refused != NULL && supervisor.reload_refused[0] == '\0')
		snprintf(supervisor.reload_refused, sizeof supervisor.reload_refused, "%s keeps what it had: %.300s",
		    name, refused);
	if (supervisor.reload_waits == 0 || --supervisor.reload_waits > 0)
		return;
	service_notify("READY=1");
	if (supervisor.reload_refused[0] != '\0') {
		log_error("reload: %s", supervisor.reload_refused);
		err_set(&err, ERR_PERMANENT, "%s", supervisor.reload_refused);
	} else {
		log_info("reloaded %s", supervisor.conf_file);
	}
	if (supervisor.reload_asker.link_serial != 0)
		admin_reply_end(supervisor.reload_asker, err.kind != ERR_NONE ? &err : NULL);
	supervisor.reload_asker.link_serial = 0;
	if (supervisor.reload_again)
		event_base_once(supervisor.base, -1, EV_TIMEOUT, on_again, NULL, &at_once);
}

static void
on_ready(struct frame *f)
{
	struct child *c = child_of_link(f->link);

	if (c->renewing > 0) {
		c->renewing--;
		watch_notes(f);
		return;
	}
	if (c->state == CHILD_STARTING) {
		c->state = CHILD_READY;
		if (c->fresh)
			replace_ready();
	}
	if (c->asked) {
		c->asked = false;
		reload_answer(child_name(c), NULL);
		return;
	}
	go_when_possible();
	announce();
}

static void
on_failed(struct frame *f)
{
	struct child *c = child_of_link(f->link);
	char why[400];

	wire_text_to(&f->in, why, sizeof why);
	if (c->renewing > 0) {
		c->renewing--;
		log_error("%s", why);
		return;
	}
	if (c->asked) {
		c->asked = false;
		reload_answer(child_name(c), why);
	}
	if (c->state == CHILD_READY || c->state == CHILD_LEAVING)
		return;
	log_error("%s cannot start: %s", child_name(c), why);
	c->state = CHILD_FAILED;
}

static void
list_roles(struct reply_to to)
{
	static const char *const states[] = { "down", "starting", "ready", "failed", "leaving" };
	char pid[24], restarts[24], number[24];

	snprintf(pid, sizeof pid, "%d", (int)getpid());
	admin_reply_row(to, (struct admin_word[]){ { "name", "tegamid" }, { "number", "0" }, { "pid", pid },
	    { "state", "ready" }, { "restarts", "0" }, { "user", geteuid() == 0 ? "root" : "" } }, 6);
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		const struct child *c = &supervisor.children[i];

		if (c->state == CHILD_UNUSED)
			continue;
		snprintf(pid, sizeof pid, "%d", (int)c->pid);
		snprintf(restarts, sizeof restarts, "%u", c->restarts);
		snprintf(number, sizeof number, "%u", c->number);
		admin_reply_row(to, (struct admin_word[]){ { "name", processes[c->role].name }, { "number", number },
		    { "pid", pid }, { "state", states[c->state] }, { "restarts", restarts },
		    { "user", geteuid() == 0 ? processes[c->role].user : "" } }, 6);
	}
	admin_reply_end(to, NULL);
}

static void
on_admin(struct frame *f)
{
	struct reply_to to = reply_later(f);
	struct slice verb = wire_bytes(&f->in);
	struct err err = { 0 };

	if (slice_eq(verb, SLICE("role.list"))) {
		list_roles(to);
		return;
	}
	if (!slice_eq(verb, SLICE("server.reload"))) {
		err_set(&err, ERR_USAGE, "tegamid knows no verb of that name");
	} else if (supervisor.reload_waits > 0) {
		err_set(&err, ERR_TEMPORARY, "a reload is under way; try again in a moment");
	} else if (supervisor_reload(&err) == 0) {
		supervisor.reload_asker = to;
		return;
	}
	admin_reply_end(to, &err);
}

static void
on_link_lost(struct frame *f)
{
	uint64_t peer = wire_u64(&f->in), number = wire_u64(&f->in);

	relink_lost(child_of_link(f->link), peer, number, f->id);
}

static const struct msg_handler handlers[] = {
	{ MSG_ROLE_READY, on_ready },
	{ MSG_ROLE_FAILED, on_failed },
	{ MSG_LINK_LOST, on_link_lost },
	{ MSG_ADMIN, on_admin },
	{ MSG_NONE, NULL },
};

/* ---- life and death ---- */

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
		supervisor_child_start(c);
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
supervisor_child_start(struct child *c)
{
	struct err err = { 0 };
	int fd = spawn_role(c->role, c->number, &c->pid, &err);

	c->started = clock_mono();
	c->told_go = false;
	c->state = CHILD_STARTING;
	if (fd >= 0)
		c->link = link_new(supervisor.base, fd, ROLE_TEGAMID, c->role, c->number, handlers, on_link_end);
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
		go_when_possible();
}

static void
log_death(const struct child *c, int status)
{
	bool again = !supervisor.stopping && !c->fresh && c->state != CHILD_LEAVING;

	if (WIFSIGNALED(status))
		log_error("%s (pid %d) died of signal %d (%s)%s", child_name(c), (int)c->pid, WTERMSIG(status),
		    strsignal(WTERMSIG(status)), again ? "; it is started again" : "");
	else if (!supervisor.stopping && (c->state != CHILD_LEAVING || WEXITSTATUS(status) != 0))
		log_error("%s (pid %d) ended with status %d%s", child_name(c), (int)c->pid, WEXITSTATUS(status),
		    again ? "; it is started again" : "");
}

static void
child_ended(struct child *c, int status)
{
	bool leaving = c->state == CHILD_LEAVING, fresh = c->fresh;

	/* its last words may say why */
	link_finish(c->link);
	log_death(c, status);
	c->renewing = 0;
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

/* ---- start ---- */

struct child *
supervisor_child(enum role role, struct err *err)
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
			struct child *c = supervisor_child((enum role)role, err);

			if (c == NULL)
				return -1;
			c->number = c->seat = i;
			c->state = CHILD_DOWN;
		}
	}
	return 0;
}

int
supervisor_start(struct err *err)
{
	struct event *chld = evsignal_new(supervisor.base, SIGCHLD, on_sigchld, NULL);

	if (chld == NULL || event_add(chld, NULL) == -1)
		return err_set(err, ERR_TEMPORARY, "no memory for signals");
	if (children_make(err) == -1 || watch_start(err) == -1)
		return -1;
	for (unsigned i = 0; i < supervisor.n_children; i++)
		supervisor_child_start(&supervisor.children[i]);
	go_when_possible();
	return 0;
}

/* ---- reload ---- */

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static int
may_become(const struct conf *old, const struct conf *new, struct err *err)
{
	const char *what = !same_text(old->state_dir, new->state_dir) ? "state_dir" :
	    !same_text(old->mail_dir, new->mail_dir) ? "mail_dir" : NULL;

	if (what != NULL)
		return err_set(err, ERR_USAGE, "%s changed; that takes effect only after a stop and a start of tegamid", what);
	return setup_check_files(new, err);
}

static void
hand_out(bool replaced)
{
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		struct child *c = &supervisor.children[i];

		if (c->state != CHILD_READY || (replaced && c->role == ROLE_SMTPD))
			continue;
		setup_send(c);
		setup_go(c, true);
		c->asked = true;
		supervisor.reload_waits++;
	}
}

int
supervisor_reload(struct err *err)
{
	struct conf *new = conf_read(supervisor.conf_file, err), *old = supervisor.conf;
	int replaced = -1;

	if (replace_under_way())
		err_set(err, ERR_TEMPORARY, "a reload is under way; try again in a moment");
	else if (new != NULL && may_become(old, new, err) == 0)
		replaced = replace_prepare(old, new, err);
	if (replaced == -1) {
		log_error("reload: %s; the old configuration stays in force", err->text);
		conf_free(&new);
		return -1;
	}
	service_notify("RELOADING=1");
	supervisor.conf = new;
	supervisor.reload_refused[0] = '\0';
	watch_forget();
	hand_out(replaced == 1);
	if (replaced == 1)
		supervisor.reload_waits += replace_start();
	conf_free(&old);
	return 0;
}

/* ---- stop ---- */

static const struct {
	unsigned roles;
	unsigned patience_ms;
} phases[] = {
	{ R(SMTPD), 10500 },
	{ R(QUEUE) | R(FILTER) | R(SIGNER) | R(SCAN), 5000 },
	{ R(MDA) | R(RELAY) | R(DIRECTORY) | R(AUTH) | R(RESOLVER), 3000 },
	{ R(CONTROL), 3000 },
};

static bool
phase_running(void)
{
	for (unsigned i = 0; i < supervisor.n_children; i++)
		if (supervisor.children[i].pid > 0 &&
		    (phases[supervisor.stop_phase].roles & 1u << supervisor.children[i].role) != 0)
			return true;
	return false;
}

static void
phase_begin(void)
{
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		struct child *c = &supervisor.children[i];

		if (c->link == NULL || (phases[supervisor.stop_phase].roles & 1u << c->role) == 0)
			continue;
		frame_begin(MSG_SETUP_STOP, 0);
		link_send(c->link, -1);
	}
	timer_set(supervisor.stop_timer, phases[supervisor.stop_phase].patience_ms);
}

/* On to the next phase when nothing of this one runs any more. */
static void
stop_next(void)
{
	while (!phase_running()) {
		if (++supervisor.stop_phase == COUNT(phases)) {
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

		if (c->pid > 0 && (phases[supervisor.stop_phase].roles & 1u << c->role) != 0)
			kill(c->pid, SIGKILL);
	}
}

void
supervisor_stop(void)
{
	if (supervisor.stopping)
		return;
	supervisor.stopping = true;
	log_info("stopping");
	service_notify("STOPPING=1");
	supervisor.stop_timer = event_new(supervisor.base, -1, 0, on_stop_timer, NULL);
	phase_begin();
	stop_next();
}
