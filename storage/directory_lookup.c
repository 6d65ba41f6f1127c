/* directory_lookup - where a recipient's mail goes
 *
 * An address is followed through aliases, depth first, until only mailboxes of ours and addresses
 * elsewhere are left. Each alias is followed once; a mailbox that an alias of the same name leads
 * back to is meant itself ("alice: alice, bob"). Three ceilings (targets, addresses looked at,
 * depth) end every walk; passing one is RCPT_TEMPORARY with the reason, as is any failure of the
 * store, so that mail waits at its sender until the administrator has mended it.
 *
 * Some targets of an alias may not exist: mail goes to the others, and `why` names the missing one.
 * Only when none is left the answer is RCPT_UNKNOWN. */
#include "storage/directory.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "storage/directory_store.h"

struct visit {           /* an alias that was followed */
	const char *key; /* "local@domain" */
	struct visit *next;
	bool open; /* still being followed: coming back here is a circle */
};

struct walk {
	struct directory *d;
	struct pool *pool;
	struct directory_answer *out;
	struct visit *visits;
	unsigned looked_at;
	bool circle;
	const char *missing; /* the last address that does not exist */
	void (*step)(void *arg, const struct directory_step *step); /* or NULL */
	void *arg;
};

static int
stop(struct walk *w, enum rcpt_status status, const char *why)
{
	w->out->status = status;
	w->out->why = why == NULL ? "out of memory" : why;
	w->out->n = 0;
	return -1;
}

static int
stop_err(struct walk *w, const struct err *err)
{
	return stop(
	    w, RCPT_TEMPORARY, pool_printf(w->pool, "the directory cannot be read: %s", err->text));
}

static int
find(struct walk *w, const char *local, struct directory_found *f)
{
	struct err err;
	int got = directory_find(w->d, local, w->pool, f, &err);

	return got == -1 ? stop_err(w, &err) : got;
}

/* -- what was found */

static struct directory_target *
target(const struct walk *w, const char *address)
{
	for (size_t i = 0; i < w->out->n; i++)
		if (strcasecmp(w->out->targets[i].address, address) == 0)
			return &w->out->targets[i];
	return NULL;
}

static int
add_target(
    struct walk *w, enum rcpt_kind kind, const char *address, const char *home, int64_t quota)
{
	struct directory_target *t;

	if (target(w, address) != NULL)
		return 0;
	if (w->out->n == DIRECTORY_TARGETS_MAX)
		return stop(w, RCPT_TEMPORARY,
		    pool_printf(w->pool, "the address leads to more than %d others",
			DIRECTORY_TARGETS_MAX));
	t = &w->out->targets[w->out->n++];
	t->kind = kind;
	t->address = address;
	t->home = home;
	t->quota = quota;
	t->by_default = false;
	return 0;
}

static int
add_user(struct walk *w, const struct directory_found *f, const char *domain)
{
	const char *address = pool_printf(w->pool, "%s@%s", f->user, domain);
	const char *home = pool_printf(w->pool, "%s/%s", domain, f->user);
	struct directory_target *t;

	if (address == NULL || home == NULL)
		return stop(w, RCPT_TEMPORARY, NULL);
	if (!f->row.enabled) {
		w->missing = pool_printf(w->pool, "the mailbox %s is disabled", address);
		return 0;
	}
	t = target(w, address);
	if (t != NULL) {
		t->by_default = t->by_default && f->by_default;
		return 0;
	}
	if (add_target(w, RCPT_LOCAL, address, home, f->row.quota) == -1)
		return -1;
	target(w, address)->by_default = f->by_default;
	return 0;
}

/* Copied out first: following a target runs the same statement again. */
static int
alias_targets(struct walk *w, int64_t domain, const char *local,
    const char *targets[DIRECTORY_TARGETS_MAX], size_t *n)
{
	sqlite3_stmt *s = w->d->query[Q_ALIAS];
	struct err err;
	int got;

	*n = 0;
	db_bind_i64(s, 1, domain);
	db_bind_text(s, 2, local);
	while ((got = db_step(w->d->db, s, &err)) == 1 && *n < DIRECTORY_TARGETS_MAX) {
		targets[*n] = pool_text(w->pool, slice_of(db_text(s, 0)));
		if (targets[*n] == NULL)
			break;
		(*n)++;
	}
	sqlite3_reset(s);
	if (got == -1)
		return stop_err(w, &err);
	if (got == 1)
		return stop(w, RCPT_TEMPORARY, "the address leads to too many others");
	return 0;
}

static struct visit *
visited(struct walk *w, const char *key)
{
	struct visit *v;

	for (v = w->visits; v != NULL; v = v->next)
		if (strcmp(v->key, key) == 0)
			return v;
	return NULL;
}

static int visit(struct walk *w, const struct address *a, unsigned depth);

static int
follow(struct walk *w, const struct directory_found *f, const struct address *a, unsigned depth)
{
	const char *targets[DIRECTORY_TARGETS_MAX];
	struct address next;
	size_t n, i;

	if (alias_targets(w, f->domain, f->alias, targets, &n) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		if (address_read(slice_of(targets[i]), &next, NULL) == -1)
			continue;
		if (next.local[0] == '\0') /* "@other": the same name there */
			memcpy(next.local, a->local, sizeof(next.local));
		if (visit(w, &next, depth + 1) == -1)
			return -1;
	}
	return 0;
}

static int
follow_once(struct walk *w, const struct directory_found *f, const struct address *a, unsigned depth)
{
	/* a catch-all is followed once for each name, since its targets may keep the name */
	const char *key =
	    pool_printf(w->pool, "%s@%s", f->alias[0] != '\0' ? f->alias : a->local, a->domain);
	struct visit *v = key == NULL ? NULL : visited(w, key);
	size_t before = w->out->n;
	int rc;

	if (v != NULL) {
		if (v->open && f->user != NULL)
			return add_user(w, f, a->domain);
		w->circle = w->circle || v->open;
		return 0;
	}
	v = pool_alloc(w->pool, sizeof(*v));
	if (key == NULL || v == NULL)
		return stop(w, RCPT_TEMPORARY, NULL);
	v->key = key;
	v->next = w->visits;
	v->open = true;
	w->visits = v;
	rc = follow(w, f, a, depth);
	v->open = false;
	/* the alias only led round to itself again: then its mailbox is the end */
	if (rc == 0 && w->circle && w->out->n == before && f->user != NULL)
		rc = add_user(w, f, a->domain);
	return rc;
}

static int
visit_elsewhere(struct walk *w, const struct address *a)
{
	char text[ADDRESS_SIZE];
	const char *address;

	address_text(a, text);
	address = pool_text(w->pool, slice_of(text));
	if (address == NULL)
		return stop(w, RCPT_TEMPORARY, NULL);
	return add_target(w, RCPT_REMOTE, address, "", 0);
}

static void
tell(struct walk *w, const struct address *a, unsigned depth, const char *is, const char *by)
{
	char text[ADDRESS_SIZE];

	if (w->step == NULL)
		return;
	address_text(a, text);
	w->step(w->arg, &(struct directory_step){ depth, text, is, strcmp(by, a->local) != 0 ? by : "" });
}

static void
tell_found(struct walk *w, const struct address *a, unsigned depth, const struct directory_found *f)
{
	if (f->alias != NULL && f->alias[0] == '\0')
		tell(w, a, depth, "catch-all", a->local);
	else if (f->alias != NULL)
		tell(w, a, depth, "alias", f->alias);
	else if (f->user != NULL)
		tell(w, a, depth, "mailbox", f->user);
	else
		tell(w, a, depth, "unknown", a->local);
}

static int
visit(struct walk *w, const struct address *a, unsigned depth)
{
	struct directory_found f = { 0 };
	struct err err;
	int got;

	if (depth > DIRECTORY_DEPTH_MAX || ++w->looked_at > DIRECTORY_VISITS_MAX)
		return stop(w, RCPT_TEMPORARY,
		    "the aliases behind the address are nested too deep or are too many");
	got = directory_domain_id(w->d, a->domain, &f.domain, &err);
	if (got == -1)
		return stop_err(w, &err);
	if (got == 0)
		tell(w, a, depth, "elsewhere", a->local);
	if (got == 0)
		return depth == 0 ? 0 : visit_elsewhere(w, a);
	got = find(w, a->local, &f);
	if (got == -1)
		return -1;
	tell_found(w, a, depth, &f);
	if (f.alias != NULL)
		return follow_once(w, &f, a, depth);
	if (f.user != NULL)
		return add_user(w, &f, a->domain);
	w->missing = pool_printf(w->pool, "there is no mailbox %s@%s", a->local, a->domain);
	return 0;
}

/* -- the address the client named */

/* The domain that stands for the whole server: the host name itself or the nearest domain above it,
 * else the first one. */
static int
main_domain(struct directory *d, char *out, struct err *err)
{
	sqlite3_stmt *s = d->query[Q_DOMAIN_FIRST];
	const char *name = d->hostname;
	int64_t id;
	int got = 0;

	while (name != NULL && name[0] != '\0') {
		got = directory_domain_id(d, name, &id, err);
		if (got != 0) {
			slice_copy(slice_of(name), out, DOMAIN_MAX + 1);
			return got;
		}
		name = strchr(name, '.');
		name = name == NULL ? NULL : name + 1;
	}
	got = db_step(d->db, s, err);
	if (got == 1)
		slice_copy(slice_of(db_text(s, 0)), out, DOMAIN_MAX + 1);
	sqlite3_reset(s);
	return got;
}

/* Give an address without a domain, or at our own host name, the main domain, if it is one that
 * every server has. */
static int
settle_domain(struct walk *w, struct address *a)
{
	struct err err;
	int64_t id;
	int got = 0;

	if (a->domain[0] != '\0') {
		got = directory_domain_id(w->d, a->domain, &id, &err);
		if (got == 1)
			return 0;
		if (got == 0 && strcmp(a->domain, w->d->hostname) != 0)
			return stop(w, RCPT_NOT_OURS,
			    pool_printf(w->pool, "%s is not a domain of this server", a->domain));
	}
	if (got == 0 && !directory_find_is_role(a->local) && strcmp(a->local, "root") != 0)
		return stop(w, RCPT_UNKNOWN,
		    a->domain[0] != '\0' ? "there is no mailbox at the host name itself"
					 : "the address has no domain");
	if (got == 0)
		got = main_domain(w->d, a->domain, &err);
	if (got == -1)
		return stop_err(w, &err);
	return got == 1 ? 0 : stop(w, RCPT_UNKNOWN, "this server has no domain yet");
}

/* root at no domain of its own is whoever reads postmaster's mail. */
static void
root_is_postmaster(struct walk *w, struct address *a)
{
	struct directory_found f = { 0 };

	if (directory_domain_id(w->d, a->domain, &f.domain, NULL) == 1 &&
	    directory_find_exact(w->d, a->local, &f, NULL) == 0)
		strcpy(a->local, "postmaster");
}

static void
conclude(struct walk *w)
{
	struct directory_answer *out = w->out;

	if (out->n > 0)
		out->why = w->missing == NULL ? "" : w->missing;
	else if (w->circle)
		stop(w, RCPT_TEMPORARY, "the alias leads only back to itself");
	else
		stop(w, RCPT_UNKNOWN, w->missing == NULL ? "there is no such mailbox" : w->missing);
}

/* A return address of ours leads to the sender behind it. true: it was one. */
static bool
lookup_backward(struct walk *w, struct slice text)
{
	char first[DIRECTORY_FORWARD_SIZE];
	const char *why = "", *address;
	struct err err;
	int got = directory_backward(w->d, clock_now(), text, first, &why, &err);

	if (got == 0)
		return false;
	if (w->step != NULL) {
		address = pool_text(w->pool, text);
		w->step(w->arg, &(struct directory_step){ 0, address != NULL ? address : "", "return-address", "" });
	}
	if (got == -1)
		stop_err(w, &err);
	else if (why[0] != '\0')
		stop(w, RCPT_UNKNOWN, why);
	else if ((address = pool_text(w->pool, slice_of(first))) == NULL)
		stop(w, RCPT_TEMPORARY, NULL);
	else
		add_target(w, RCPT_REMOTE, address, "", 0);
	return true;
}

static void
lookup(struct walk *w, struct slice text)
{
	struct err err;
	struct address a;
	bool bare;

	if (lookup_backward(w, text))
		return;
	if (address_read(text, &a, &err) == -1) {
		stop(w, RCPT_UNKNOWN, pool_text(w->pool, slice_of(err.text)));
		return;
	}
	if (a.local[0] == '\0') {
		stop(w, RCPT_UNKNOWN, "the address has nothing before the @");
		return;
	}
	bare = strcmp(a.domain, w->d->hostname) == 0 || a.domain[0] == '\0';
	if (settle_domain(w, &a) == -1)
		return;
	if (bare && strcmp(a.local, "root") == 0)
		root_is_postmaster(w, &a);
	if (visit(w, &a, 0) == 0)
		conclude(w);
}

void
directory_lookup(
    struct directory *d, struct slice address, struct pool *pool, struct directory_answer *out)
{
	directory_explain(d, address, pool, out, NULL, NULL);
}

void
directory_explain(struct directory *d, struct slice address, struct pool *pool,
    struct directory_answer *out, void (*step)(void *arg, const struct directory_step *step), void *arg)
{
	struct walk w = { .d = d, .pool = pool, .out = out, .step = step, .arg = arg };
	bool alone = sqlite3_get_autocommit(d->db);

	out->status = RCPT_OK;
	out->why = "";
	out->n = 0;
	/* one read transaction for all statements: one view of the file, and fewer locks */
	if (alone)
		sqlite3_exec(d->db, "BEGIN", NULL, NULL, NULL);
	lookup(&w, address);
	if (alone)
		sqlite3_exec(d->db, "COMMIT", NULL, NULL, NULL);
}
