/* supervisor - starts the roles and hears what they say
 *
 * The processes themselves are in child.c, the links between them in relink.c, what each is given
 * in setup.c; reload.c, replace.c and stop.c are the ways on from a server that runs.
 *
 * smtpd is told to go only when all other roles but `scan` are ready: signatures may take a minute
 * to load, and until then mail gets a 451, not silence. */
#include "admin/supervisor.h"

#include <stdio.h>
#include <unistd.h>

#include "base/admin.h"
#include "base/log.h"

struct supervisor supervisor = { .control_socket = -1, .clients = -1, .tickets = -1 };

/* ---- going on when others are ready ---- */

static bool
all_ready_but(enum role a, enum role b)
{
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		const struct child *c = &supervisor.children[i];

		if (c->role != a && c->role != b && c->state != CHILD_READY &&
		    c->state != CHILD_LEAVING && c->state != CHILD_UNUSED)
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

void
supervisor_go(void)
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

static void
on_ready(struct frame *f)
{
	struct child *c = child_of_link(f->link);

	if (c->renewing > 0) {
		c->renewing--;
		if (c->role == ROLE_SIGNER)
			dkim_keys_taken();
		else
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
	supervisor_go();
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
		if (c->role == ROLE_SIGNER)
			dkim_keys_taken();
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
	admin_reply_row(to, (struct admin_word[]){ { "name", "tegamid" }, { "number", "0" },
	    { "pid", pid }, { "state", "ready" }, { "restarts", "0" },
	    { "user", geteuid() == 0 ? "root" : "" } }, 6);
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		const struct child *c = &supervisor.children[i];

		if (c->state == CHILD_UNUSED)
			continue;
		snprintf(pid, sizeof pid, "%d", (int)c->pid);
		snprintf(restarts, sizeof restarts, "%u", c->restarts);
		snprintf(number, sizeof number, "%u", c->number);
		admin_reply_row(to, (struct admin_word[]){ { "name", processes[c->role].name },
		    { "number", number }, { "pid", pid }, { "state", states[c->state] },
		    { "restarts", restarts },
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
	if (slice_eq(verb, SLICE("server.dkim"))) {
		dkim_keys_change(f, to);
		return;
	}
	if (!slice_eq(verb, SLICE("server.reload"))) {
		err_set(&err, ERR_USAGE, "tegamid knows no verb of that name");
	} else if (reload_under_way()) {
		err_set(&err, ERR_TEMPORARY, "a reload is under way; try again in a moment");
	} else if (reload_begin(&err) == 0) {
		reload_tell(to);
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

const struct msg_handler supervisor_handlers[] = {
	{ MSG_ROLE_READY, on_ready },
	{ MSG_ROLE_FAILED, on_failed },
	{ MSG_LINK_LOST, on_link_lost },
	{ MSG_ADMIN, on_admin },
	{ MSG_NONE, NULL },
};

/* ---- start ---- */

int
supervisor_start(struct err *err)
{
	if (child_table(err) == -1 || watch_start(err) == -1)
		return -1;
	for (unsigned i = 0; i < supervisor.n_children; i++)
		child_start(&supervisor.children[i]);
	supervisor_go();
	return 0;
}
