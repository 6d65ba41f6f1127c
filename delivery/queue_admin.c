/* queue_admin - the administrator's verbs about mail: queue.list, show, stats, retry, hold, release, bounce, delete
 *
 * Which recipients a request means is read from queue.db in pages by the writer thread, so a walk
 * over 100,000 messages holds nothing up and no read transaction stays open; between pages the walk
 * waits until the asker has taken the rows, and until the reports it has caused are written. A page
 * holds what was true when it was read; the state shown and acted on is the one in memory.
 *
 *   filters   id*; all; from, to, error (patterns with * and ?, case ignored); domain (of the
 *             recipient); older (seconds)
 *   retry     waiting ones are tried now
 *   hold      waiting ones are not tried any more
 *   release   held ones go on
 *   bounce    failed now: the sender gets a report, one a message
 *   delete    gone without a word
 *
 * Rows of a change are the recipients changed (or, with dry_run, those that would be), with the word
 * `result`. One that is being delivered at this moment is left alone; when ids were given and nothing
 * was changed, the end says why. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/admin.h"
#include "base/qid.h"
#include "base/refusal.h"
#include "delivery/queue_dest.h"
#include "delivery/queue_report.h"

#define PAGE_ROWS 200
#define BACKLOG_MAX (512 * 1024)
#define WALKS_MAX 16
#define PATTERN_MAX 200
#define PAUSE_US 20000
#define REASON_SHOWN 600
#define REPORTS_MAX 200 /* under way, before a walk goes on */

enum action { ACT_LIST, ACT_SHOW, ACT_RETRY, ACT_HOLD, ACT_RELEASE, ACT_BOUNCE, ACT_DELETE };

struct row { /* a recipient that matches, copied for the loop */
	uint64_t qid, size;
	unsigned n;
	struct queue_progress p;
	const char *from, *to, *original, *folder, *msgid, *ip, *reason;
};

struct walk { /* one request under way */
	struct op op;
	enum action action;
	bool dry_run;
	struct reply_to to;
	struct event *timer;
	struct pool *words; /* the request's texts */
	struct admin_request rq;
	size_t next_id;
	struct queue_cursor at;
	bool last_page;
	int64_t newest; /* only messages made before */
	struct pool *page;
	struct row rows[PAGE_ROWS];
	unsigned n_rows;
	uint64_t matched, changed;
	unsigned unreadable; /* stretches of the table */
	const char *why_not; /* the last one that was not changed */
};

static unsigned n_walks;

/* -- matching, in the writer's thread */

static bool
matches(const char *pattern, const char *text)
{
	return pattern == NULL || fnmatch(pattern, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}

static bool
in_domain(const char *domain, const char *address)
{
	const char *at = strrchr(address, '@');

	return domain == NULL || (at != NULL && strcasecmp(at + 1, domain) == 0);
}

static const char *
copy(struct walk *w, const char *text)
{
	const char *c = pool_text(w->page, slice_of(text));

	return c != NULL ? c : "";
}

static bool
take_row(void *arg, const struct queue_row *r)
{
	struct walk *w = arg;
	struct row *row;

	if (!matches(admin_get(&w->rq, "from"), r->from) ||
	    !matches(admin_get(&w->rq, "error"), r->p.reason) ||
	    !in_domain(admin_get(&w->rq, "domain"), r->address) || qid_time(r->qid) > w->newest)
		return true;
	if (!matches(admin_get(&w->rq, "to"), r->address) &&
	    !matches(admin_get(&w->rq, "to"), r->original))
		return true;
	row = &w->rows[w->n_rows++];
	*row = (struct row){ .qid = r->qid, .size = r->size, .n = r->n, .p = r->p };
	row->from = copy(w, r->from);
	row->to = copy(w, r->address);
	row->original = copy(w, r->original);
	row->folder = copy(w, r->folder);
	row->msgid = copy(w, r->msgid);
	row->ip = copy(w, r->ip);
	row->reason = copy(w, r->p.reason);
	return w->n_rows < PAGE_ROWS;
}

/* One message at a time when ids are given. */
static int
read_ids(struct walk *w, struct queue_store *s, struct err *err)
{
	const char *id = admin_get_at(&w->rq, "id", w->next_id);
	uint64_t qid;

	if (id == NULL) {
		w->last_page = true;
		return 0;
	}
	w->next_id++;
	if (!qid_parse(slice_of(id), &qid))
		return err_set(err, ERR_USAGE, "\"%.40s\" is not a queue id", id);
	return queue_store_show(s, qid, take_row, w, err) == -1 ? -1 : 0;
}

static int
page_run(struct op *op, struct queue_store *s, struct err *err)
{
	struct walk *w = (struct walk *)op;
	unsigned unreadable = 0;
	int seen;

	w->n_rows = 0;
	w->page = pool_new(PAGE_ROWS * 8192);
	if (w->page == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	if (admin_get(&w->rq, "id") != NULL)
		return read_ids(w, s, err);
	/* a page is a page of the table, whether its rows match or not: short transactions */
	seen = queue_store_walk(s, &w->at, true, PAGE_ROWS, take_row, w, &unreadable, err);
	w->last_page = seen >= 0 && seen < PAGE_ROWS && w->n_rows < PAGE_ROWS;
	w->unreadable += unreadable;
	return seen == -1 ? -1 : 0;
}

/* -- rows out */

static struct entry *
entry_of(const struct row *r)
{
	struct item *it = index_find(queue.index, r->qid);

	for (uint32_t i = 0; it != NULL && i < it->n; i++)
		if (it->entries[i].n == r->n)
			return &it->entries[i];
	return NULL;
}

static void
row_out(struct walk *w, const struct row *r, const struct entry *e, const char *result)
{
	char id[QID_TEXT], size[24], created[24], attempts[12], next[24], dest_why[700] = "";
	const char *dest = e->dest != NULL ? dest_state(e->dest, dest_why) : "";
	int64_t due = e->heap_at != 0 ? e->due : e->dest != NULL && e->dest->paused ? e->dest->paused_until : 0;
	const char *reason = r->reason[0] != '\0' ? r->reason : dest_why;
	const struct refusal_words *is = refusal_words(refusal_of_line(reason));

	qid_text(r->qid, id);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)r->size);
	snprintf(created, sizeof(created), "%lld", (long long)qid_time(r->qid));
	snprintf(attempts, sizeof(attempts), "%u", e->attempts);
	snprintf(next, sizeof(next), "%lld", (long long)due);
	if (e->why != WHY_IN_ROW)
		reason = entry_why_text((enum entry_why)e->why);
	struct admin_word words[] = { { "id", id }, { "from", r->from }, { "size", size },
		{ "created", created }, { "state", entry_state_name((enum entry_state)e->state) },
		{ "to", r->to }, { "attempts", attempts }, { "next", next }, { "reason", reason },
		{ "msgid", r->msgid }, { "ip", r->ip }, { "original", r->original },
		{ "folder", r->folder }, { "destination", dest }, { "destination_why", dest_why },
		{ "class", is->name }, { "means", is->means }, { "advice", is->admin }, { "result", result } };

	admin_reply_row(w->to, words, result[0] != '\0' ? COUNT(words) : COUNT(words) - 1);
}

/* -- doing it */

/* What was done, or NULL with w->why_not. */
static const char *
act(struct walk *w, struct entry *e, const char *reason, struct report **failed)
{
	char text[REASON_SHOWN + 80];
	struct outcome returned = { "", 0, "5.0.0", text };

	if ((w->action == ACT_RELEASE) != (e->state == ENTRY_HELD) && w->action <= ACT_RELEASE) {
		w->why_not = e->state == ENTRY_HELD ? "it is held; release it first" : "it is not held";
		return NULL;
	}
	if (w->action == ACT_RETRY && e->dest != NULL && e->dest->suspended != NULL) {
		w->why_not = "mail to its domain is suspended; resume it first";
		return NULL;
	}
	if (w->dry_run)
		return "would be changed";
	if (w->action == ACT_RETRY && e->dest != NULL)
		dest_wake(e->dest);
	if (w->action == ACT_RETRY && e->state != ENTRY_WAITING)
		return "being tried";
	if (!flow_pull(e)) {
		w->why_not = "being delivered at this moment; try again";
		return NULL;
	}
	switch (w->action) {
	case ACT_RETRY:
	case ACT_RELEASE:
		flow_go_on(e, w->action == ACT_RETRY);
		return w->action == ACT_RETRY ? "tried now" : "released";
	case ACT_HOLD:
		flow_hold(e, "held by the administrator");
		return "held";
	case ACT_BOUNCE:
		snprintf(text, sizeof(text), "returned by the administrator%s%.*s",
		    reason[0] != '\0' ? "; the last attempt: " : "", REASON_SHOWN, reason);
		flow_fail(e, &returned, failed);
		return "bounced";
	default:
		flow_done(e, EVENT_DELETED, "deleted by the administrator");
		return "deleted";
	}
}

static void
page_rows(struct walk *w)
{
	struct report *failed = NULL; /* of one message */

	for (unsigned i = 0; i < w->n_rows; i++) {
		struct row *r = &w->rows[i];
		struct entry *e = entry_of(r);
		struct entry before;
		const char *result = "";

		if (i > 0 && w->rows[i - 1].qid != r->qid)
			report_go(&failed);
		if (e == NULL || e->state == ENTRY_DONE)
			continue;
		w->matched++;
		before = *e;
		if (w->action != ACT_LIST && w->action != ACT_SHOW && (result = act(w, e, r->reason, &failed)) == NULL)
			continue;
		w->changed++;
		row_out(w, r, &before, result);
	}
	report_go(&failed);
	w->n_rows = 0;
	pool_free(&w->page);
}

/* -- the walk */

static void
walk_end(struct walk *w, const struct err *err)
{
	struct err none;

	if (err == NULL && w->matched == 0 && admin_get(&w->rq, "id") != NULL) {
		err_set(&none, ERR_NOT_FOUND, "no such message in the queue");
		err = &none;
	} else if (err == NULL && w->changed == 0 && admin_get(&w->rq, "id") != NULL) {
		err_set(&none, ERR_TEMPORARY, "nothing was changed: %s", w->why_not);
		err = &none;
	} else if (err == NULL && w->unreadable > 0 && w->action == ACT_LIST) {
		err_set(&none, ERR_PERMANENT,
		    "that is not all: queue.db is damaged in %u places; stop the server and run "
		    "`tegami queue rescue`",
		    w->unreadable);
		err = &none;
	}
	admin_reply_end(w->to, err);
	event_free(w->timer);
	pool_free(&w->page);
	pool_free(&w->words);
	free(w);
	n_walks--;
	flow_pump();
}

static void
walk_again(struct walk *w, long us)
{
	struct timeval tv = { 0, us };

	evtimer_add(w->timer, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct walk *w = arg;
	struct link *l = link_by_serial(w->to.link_serial);

	(void)fd;
	(void)what;
	if (l == NULL)
		walk_end(w, NULL);
	else if (link_backlog(l) > BACKLOG_MAX || report_in_flight() > REPORTS_MAX)
		walk_again(w, PAUSE_US);
	else
		writer_submit(queue.writer, &w->op);
}

/* Changes are answered when they are on disk: this runs after all of them. */
static int
settled_run(struct op *op, struct queue_store *s, struct err *err)
{
	(void)op;
	(void)s;
	(void)err;
	return 0;
}

static void
settled(struct op *op, const struct err *err)
{
	walk_end((struct walk *)op, err);
}

static void
walk_settle(struct walk *w)
{
	if (w->action == ACT_LIST || w->action == ACT_SHOW || w->changed == 0) {
		walk_end(w, NULL);
		return;
	}
	w->op.kind = OP_WORK;
	w->op.run = settled_run;
	w->op.done = settled;
	writer_submit(queue.writer, &w->op);
}

static void
page_done(struct op *op, const struct err *err)
{
	struct walk *w = (struct walk *)op;

	if (err == NULL)
		page_rows(w);
	if (err != NULL)
		walk_end(w, err);
	else if (w->last_page)
		walk_settle(w);
	else
		walk_again(w, 0);
}

static int
walk_start(struct frame *f, enum action action, struct pool *pool, const struct admin_request *rq,
    struct err *err)
{
	uint64_t older;
	struct walk *w;

	if (admin_get_u64(rq, "older", 0, &older, err) == -1)
		return -1;
	for (size_t i = 0; i < rq->n_words; i++)
		if (strlen(rq->words[i].value) > PATTERN_MAX)
			return err_set(err, ERR_USAGE, "%s is too long", rq->words[i].key);
	if (n_walks >= WALKS_MAX || (w = calloc(1, sizeof(*w))) == NULL)
		return err_set(err, ERR_TEMPORARY, "too many requests at once; try again");
	w->timer = evtimer_new(role_base(), on_timer, w);
	if (w->timer == NULL) {
		free(w);
		return err_set(err, ERR_TEMPORARY, "out of memory");
	}
	n_walks++;
	w->op = (struct op){ .kind = OP_READ, .run = page_run, .done = page_done };
	w->action = action;
	w->dry_run = admin_get(rq, "dry_run") != NULL;
	w->to = reply_later(f);
	w->words = pool;
	w->rq = *rq;
	w->newest = older > 0 ? clock_now() - (int64_t)older * CLOCK_SECOND : INT64_MAX; /* a clock was set back: all */
	writer_submit(queue.writer, &w->op);
	return 0;
}

/* -- verbs */

static void
stats(struct reply_to to)
{
	struct {
		const char *key;
		uint64_t value;
	} rows[] = { { "messages", index_items(queue.index) },
		{ "recipients", index_alive(queue.index) },
		{ "destinations", index_dests(queue.index) }, { "held", queue.held },
		{ "suspended", dests_suspended() }, { "paused", dests_paused() },
		{ "local_active", local_in_flight() }, { "relay_active", remote_in_flight() },
		{ "accepted", queue.accepted }, { "delivered", queue.delivered },
		{ "relayed", queue.relayed }, { "deferred", queue.deferred },
		{ "bounced", queue.bounced },
		{ "memory", index_memory(queue.index) + content_memory() } };
	struct admin_word words[COUNT(rows) + 1];
	char text[COUNT(rows)][24];
	const char *why;

	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(text[i], sizeof(text[i]), "%llu", (unsigned long long)rows[i].value);
		words[i] = (struct admin_word){ rows[i].key, text[i] };
	}
	words[COUNT(rows)] =
	    (struct admin_word){ "intake", intake_open(&why) == PUT_OK ? "open" : why };
	admin_reply_row(to, words, COUNT(words));
	admin_reply_end(to, NULL);
}

static const struct {
	const char *verb;
	enum action action;
} verbs[] = { { "queue.list", ACT_LIST }, { "queue.show", ACT_SHOW }, { "queue.retry", ACT_RETRY },
	{ "queue.hold", ACT_HOLD }, { "queue.release", ACT_RELEASE },
	{ "queue.bounce", ACT_BOUNCE }, { "queue.delete", ACT_DELETE } };

/* Nobody means the whole queue by forgetting a word. */
static bool
says_which(const struct admin_request *rq)
{
	static const char *const keys[] = { "id", "all", "from", "to", "domain", "older", "error" };

	for (size_t i = 0; i < COUNT(keys); i++)
		if (admin_get(rq, keys[i]) != NULL)
			return true;
	return false;
}

/* What is not a walk over mail. 1: it is answered (or will be), 0: no such verb, -1 + err. */
static int
other_verb(struct frame *f, const struct admin_request *rq, struct err *err)
{
	if (strcmp(rq->verb, "queue.stats") == 0) {
		stats(reply_later(f));
		return 1;
	}
	if (strcmp(rq->verb, "queue.destinations") == 0) {
		suspend_list(f, rq);
		return 1;
	}
	if (strcmp(rq->verb, "queue.suspend") == 0 || strcmp(rq->verb, "queue.resume") == 0)
		return suspend_change(f, rq, strcmp(rq->verb, "queue.suspend") == 0, err) == 0 ? 1 : -1;
	return 0;
}

static int
mail_verb(struct frame *f, struct pool *pool, const struct admin_request *rq, struct err *err)
{
	for (size_t i = 0; i < COUNT(verbs); i++) {
		if (strcmp(verbs[i].verb, rq->verb) != 0)
			continue;
		if (verbs[i].action != ACT_LIST && !says_which(rq))
			return err_set(err, ERR_USAGE, "name ids, a filter, or all");
		return walk_start(f, verbs[i].action, pool, rq, err);
	}
	return err_set(err, ERR_USAGE, "no such request: %.60s", rq->verb);
}

void
admin_on_request(struct frame *f)
{
	struct pool *pool = pool_new(256 * 1024);
	struct admin_request rq;
	struct err err = { 0 };
	int done = -1;

	if (pool == NULL || admin_from_frame(f, pool, &rq) == -1)
		err_set(&err, ERR_USAGE, "the request cannot be read");
	else if ((done = other_verb(f, &rq, &err)) == 0 && mail_verb(f, pool, &rq, &err) == 0)
		return; /* the walk has the pool */
	if (done <= 0)
		admin_reply_end(reply_later(f), &err);
	pool_free(&pool);
}
