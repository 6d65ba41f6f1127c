/* replace - new processes of smtpd take over from the old ones, and no connection notices
 *
 * A reload does this when the listeners, the host name or smtpd's program changed. The new ones
 * start beside the old ones, each in the seat of one, with a number of its own (queue ids, counts
 * of clients and links go by it). When all are ready the old ones are told to drain: they accept no
 * more, let their sessions end, and go. When one of the new ones fails, all of them go and the old
 * ones stay. The listening sockets are open all the time.
 *
 *   old: READY -> LEAVING -> gone        new: STARTING (fresh) -> READY (fresh) -> READY */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/supervisor.h"
#include "base/log.h"
#include "base/role.h"

#define NUMBERS 63		/* of smtpd: the last of 64 makes the queue's own ids */
#define BEYOND_S 60		/* after limits.session_timeout nothing is left to wait for */

static int old_program = -1;	/* while it is not settled: what the old ones run */
static bool owed;		/* a replacement failed: the next reload tries again */

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool
same_listeners(const struct conf *a, const struct conf *b)
{
	if (a->n_listen != b->n_listen)
		return false;
	for (size_t i = 0; i < a->n_listen; i++) {
		const struct conf_listen *x = &a->listen[i], *y = &b->listen[i];

		if (x->kind != y->kind || x->proxy_protocol != y->proxy_protocol ||
		    !same_text(x->name, y->name) || x->address.n != y->address.n)
			return false;
		for (size_t k = 0; k < x->address.n; k++)
			if (!same_text(x->address.at[k], y->address.at[k]))
				return false;
	}
	return true;
}

bool
replace_under_way(void)
{
	for (unsigned i = 0; i < supervisor.n_children; i++)
		if (supervisor.children[i].fresh)
			return true;
	return false;
}

/* -- making the new ones */

static bool
number_taken(unsigned number)
{
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		const struct child *c = &supervisor.children[i];

		if (c->role == ROLE_SMTPD && c->state != CHILD_UNUSED && c->number == number)
			return true;
	}
	return false;
}

static int
make_one(unsigned seat, struct err *err)
{
	unsigned number = 0;
	struct child *c;

	while (number < NUMBERS && number_taken(number))
		number++;
	if (number == NUMBERS || (c = child_add(ROLE_SMTPD, err)) == NULL)
		return err_set(err, ERR_TEMPORARY,
		    "the processes that earlier reloads replaced still have sessions; "
		    "try again in some minutes");
	c->state = CHILD_DOWN;
	c->number = number;
	c->seat = seat;
	c->fresh = true;
	return 0;
}

static int
make_all(struct err *err)
{
	unsigned n = supervisor.n_children;

	for (unsigned i = 0; i < n; i++) {
		const struct child *c = &supervisor.children[i];

		if (c->role == ROLE_SMTPD && !c->fresh && c->state != CHILD_UNUSED &&
		    c->state != CHILD_LEAVING && make_one(c->seat, err) == -1)
			return -1;
	}
	return 0;
}

static void
unmake_all(void)
{
	for (unsigned i = 0; i < supervisor.n_children; i++)
		if (supervisor.children[i].fresh) {
			supervisor.children[i].fresh = false;
			supervisor.children[i].state = CHILD_UNUSED;
		}
}

int
replace_prepare(const struct conf *old, const struct conf *new, struct err *err)
{
	int program = spawn_new_program(ROLE_SMTPD);

	if (program < 0 && !owed && same_text(old->hostname, new->hostname) &&
	    same_listeners(old, new))
		return 0;
	if (make_all(err) == -1 || listen_change(new, supervisor.smtpds, err) == -1) {
		unmake_all();
		if (program >= 0)
			close(program);
		return -1;
	}
	if (program >= 0) {
		log_info("smtpd has a new program");
		old_program = supervisor.programs[ROLE_SMTPD];
		supervisor.programs[ROLE_SMTPD] = program;
	}
	return 1;
}

unsigned
replace_start(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < supervisor.n_children; i++)
		if (supervisor.children[i].fresh) {
			supervisor.children[i].asked = true;
			child_start(&supervisor.children[i]);
			n++;
		}
	return n;
}

/* -- how it ends */

static void
leave(struct child *c, enum msg how, int64_t seconds)
{
	struct timeval most = { seconds, 0 };

	c->fresh = false;
	event_del(c->timer);
	if (c->pid == 0) {
		c->state = CHILD_UNUSED;
		return;
	}
	c->state = CHILD_LEAVING;
	event_add(c->timer, &most);
	if (c->link != NULL) {
		frame_begin(how, 0);
		link_send(c->link, -1);
	}
}

void
replace_ready(void)
{
	for (unsigned i = 0; i < supervisor.n_children; i++)
		if (supervisor.children[i].fresh && supervisor.children[i].state != CHILD_READY)
			return;
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		struct child *c = &supervisor.children[i];

		if (c->role != ROLE_SMTPD || c->state == CHILD_UNUSED || c->state == CHILD_LEAVING)
			continue;
		if (c->fresh)
			c->fresh = false;
		else if (c->state == CHILD_READY)
			leave(c, MSG_SETUP_DRAIN,
			    supervisor.conf->limits.session_timeout / 1000 + BEYOND_S);
		else
			leave(c, MSG_SETUP_STOP, BEYOND_S);
	}
	listen_settle(true);
	if (old_program >= 0)
		close(old_program);
	old_program = -1;
	owed = false;
	log_info("new processes of smtpd take connections; the old ones finish their sessions");
}

void
replace_failed(void)
{
	for (unsigned i = 0; i < supervisor.n_children; i++)
		if (supervisor.children[i].fresh)
			leave(&supervisor.children[i], MSG_SETUP_STOP, BEYOND_S);
	listen_settle(false);
	if (old_program >= 0) {
		close(supervisor.programs[ROLE_SMTPD]);
		supervisor.programs[ROLE_SMTPD] = old_program;
	}
	old_program = -1;
	owed = true;
}

const char *
replace_why(int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == ROLE_OTHER_VERSION)
		return "its new program belongs to another version of tegamid; "
		    "stop and start tegamid to use it";
	return "it did not start; the log of tegamid says why";
}
