/* reload - the configuration is read again and handed out
 *
 * What cannot be read or cannot be had changes nothing. Else every role that runs is given the new
 * one and says whether it takes it; a role that refuses keeps what it had, and the first refusal is
 * what the asker is told. When listeners, the host name or smtpd's program changed, new processes
 * of smtpd take over (replace.c) and their start counts as their answer. */
#include <stdio.h>
#include <string.h>

#include "admin/supervisor.h"
#include "base/admin.h"
#include "base/log.h"

static struct reply_to asker;		/* whom to tell how it went; 0: nobody */
static unsigned waits;			/* answers that are awaited */
static bool again;			/* another was asked for meanwhile */
static char refused_why[400];		/* the first refusal; "": none */

bool
reload_under_way(void)
{
	return waits > 0;
}

void
reload_again(void)
{
	again = true;
}

void
reload_tell(struct reply_to to)
{
	asker = to;
}

/* ---- how it ends ---- */

/* The file may have changed again while the roles read it. */
static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct err err = { 0 };

	(void)fd;
	(void)what;
	(void)arg;
	again = false;
	if (!supervisor.stopping && waits == 0)
		reload_begin(&err);
}

void
reload_answer(const char *name, const char *refused)
{
	static const struct timeval at_once = { 0, 0 };
	struct err err = { 0 };

	if (refused != NULL && refused_why[0] == '\0')
		snprintf(refused_why, sizeof refused_why, "%s keeps what it had: %.300s", name,
		    refused);
	if (waits == 0 || --waits > 0)
		return;
	service_notify("READY=1");
	if (refused_why[0] != '\0') {
		log_error("reload: %s", refused_why);
		err_set(&err, ERR_PERMANENT, "%s", refused_why);
	} else {
		log_info("reloaded %s", supervisor.conf_file);
	}
	if (asker.link_serial != 0)
		admin_reply_end(asker, err.kind != ERR_NONE ? &err : NULL);
	asker.link_serial = 0;
	if (again)
		event_base_once(supervisor.base, -1, EV_TIMEOUT, on_again, NULL, &at_once);
}

/* ---- how it begins ---- */

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
		return err_set(err, ERR_USAGE,
		    "%s changed; that takes effect only after a stop and a start of tegamid", what);
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
		waits++;
	}
}

int
reload_begin(struct err *err)
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
	refused_why[0] = '\0';
	watch_forget();
	hand_out(replaced == 1);
	if (replaced == 1)
		waits += replace_start();
	conf_free(&old);
	return 0;
}
