/* dkim_keys - the supervisor's part in the life of DKIM keys: it alone writes what becomes of them while the server
 * runs, and hands them to `signer`
 *
 * "server.dkim" has the words domain, any of activate, seen, retire, stop and go-on (a selector each), and perhaps force. It is
 * answered when the signer has taken the keys as they are then. The file is small and changes some times a year, so it
 * is written here and now. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/supervisor.h"
#include "base/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "filters/dkim_state.h"

#define ASKERS_MAX 32

/* Who waits for the signer. */
static struct reply_to askers[ASKERS_MAX];
static size_t n_askers;

static const struct {
	const char *word;
	enum dkim_step step;
} steps[] = {
	{ "activate", DKIM_ACTIVATE },
	{ "seen", DKIM_SEE },
	{ "retire", DKIM_RETIRE },
	{ "stop", DKIM_STOP },
	{ "go-on", DKIM_GO_ON },
};

struct order {
	const char *domain;
	struct dkim_change change[DKIM_CHANGES_MAX];
	size_t n;
	struct dkim_terms terms;
};

static int
order_read(struct frame *f, struct pool *pool, struct order *o, struct err *err)
{
	while (wire_more(&f->in) && !f->in.failed) {
		const char *key = wire_text(&f->in, pool), *value = wire_text(&f->in, pool);

		if (strcmp(key, "domain") == 0)
			o->domain = value;
		o->terms.force = o->terms.force || strcmp(key, "force") == 0;
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			if (strcmp(key, steps[i].word) != 0)
				continue;
			if (o->n == DKIM_CHANGES_MAX)
				return err_set(err, ERR_USAGE, "too many keys at once");
			o->change[o->n++] = (struct dkim_change){ value, steps[i].step };
		}
	}
	if (f->in.failed || o->domain == NULL || o->domain[0] == '\0' || strchr(o->domain, '/') != NULL || o->n == 0)
		return err_set(err, ERR_USAGE, "a domain and its keys are wanted");
	return 0;
}

static int
order_do(struct frame *f, struct err *err)
{
	struct pool *pool = pool_new(2 * FRAME_MAX);
	struct order o = { .terms = { .now = clock_now() / CLOCK_SECOND,
			       .keep = supervisor.conf->dkim.retire_after / 1000 } };
	int keys = openat(supervisor.state_dir, DKIM_KEYS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = -1;

	if (pool == NULL || keys < 0)
		err_sys(err, DKIM_KEYS_DIR);
	else if (order_read(f, pool, &o, err) == 0)
		rc = dkim_change(keys, o.domain, o.change, o.n, &o.terms, err);
	if (keys >= 0)
		close(keys);
	pool_free(&pool);
	return rc;
}

/* false: it does not run, and gets them at its start. */
static bool
hand_out(void)
{
	for (unsigned i = 0; i < supervisor.n_children; i++) {
		struct child *c = &supervisor.children[i];

		if (c->role != ROLE_SIGNER || c->state != CHILD_READY)
			continue;
		setup_send_files(c);
		setup_go(c, true);
		c->renewing++;
		return true;
	}
	return false;
}

void
dkim_keys_change(struct frame *f, struct reply_to to)
{
	struct err err = { 0 };

	if (n_askers == ASKERS_MAX || reload_under_way())
		err_set(&err, ERR_TEMPORARY, "the server takes other changes just now; try again in a moment");
	else if (order_do(f, &err) == 0 && hand_out()) {
		askers[n_askers++] = to;
		return;
	}
	admin_reply_end(to, err.kind != ERR_NONE ? &err : NULL);
}

void
dkim_keys_taken(void)
{
	for (size_t i = 0; i < n_askers; i++)
		admin_reply_end(askers[i], NULL);
	n_askers = 0;
}
