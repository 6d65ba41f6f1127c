/* queue_local - local recipients and mda: stage, commit the staged names, publish
 *
 * Order is everything here (the picture is in queue.c): a name is published only after the commit that holds it, and a row goes
 * only after its file was published. When mda comes (again) it first hears every staged name that is committed or being
 * committed, and removes all other stage files; only then is anything staged or published. A message staged a second time gets
 * another name, so that a file left over from the first time can never be taken for it.
 *
 * A message that was with mda when it died is blamed; after the second time it is sent alone among the suspects and blamed alone,
 * so that only the guilty one is blamed three times more, and held. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/qid.h"
#include "delivery/queue_report.h"

#define IN_FLIGHT_MAX 512		/* recipients */
#define BYTES_MAX (16 * 1024 * 1024)	/* of bodies in frames */
#define BACKLOG_MAX (2 * 1024 * 1024)
#define FDS_MAX 64			/* descriptors that ride to mda unread */
#define CRASHES_ALONE 2
#define CRASHES_MAX 5		/* two in company, three alone */
#define RETRY (2 * CLOCK_SECOND)

static struct {
	struct link *mda;
	bool clean;			/* it has removed strays */
	struct item_list ready, suspects;
	struct entry_list staging, to_publish, publishing;
	bool lists;
	unsigned in_flight;		/* entries picked .. publishing */
	size_t bytes;			/* of messages with entries in staging */
	unsigned fds;
	struct item *alone;		/* a suspect in flight */
} local;

static void
lists_init(void)
{
	if (local.lists)
		return;
	TAILQ_INIT(&local.ready);
	TAILQ_INIT(&local.suspects);
	TAILQ_INIT(&local.staging);
	TAILQ_INIT(&local.to_publish);
	TAILQ_INIT(&local.publishing);
	local.lists = true;
}

unsigned
local_in_flight(void)
{
	return local.in_flight;
}

/* -- the queue of messages to stage */

static struct item_list *
list_of(const struct item *it)
{
	return it->crashes >= CRASHES_ALONE ? &local.suspects : &local.ready;
}

void
local_ready(struct item *it)
{
	lists_init();
	if (it->linked)
		return;
	it->linked = true;
	TAILQ_INSERT_TAIL(list_of(it), it, link);
}

/* Before `crashes` changes, and at the end. */
void
local_forget(struct item *it)
{
	if (!it->linked)
		return;
	it->linked = false;
	TAILQ_REMOVE(list_of(it), it, link);
}

void
local_set_crashes(struct item *it, unsigned crashes)
{
	bool linked = it->linked;

	local_forget(it);
	it->crashes = (uint8_t)crashes;
	if (linked)
		local_ready(it);
}

/* -- counting what is with mda */

static void
staging_begin(struct entry *e)
{
	struct item *it = e->item;

	e->state = ENTRY_STAGING;
	TAILQ_INSERT_TAIL(&local.staging, e, link);
	if (it->staging++ == 0) {
		if ((it->flags & ENVELOPE_SPOOLED) != 0)
			local.fds++;
		else
			local.bytes += it->size;
	}
}

static void
staging_end(struct entry *e)
{
	struct item *it = e->item;

	TAILQ_REMOVE(&local.staging, e, link);
	if (--it->staging == 0) {
		if ((it->flags & ENVELOPE_SPOOLED) != 0)
			local.fds--;
		else
			local.bytes -= it->size;
	}
}

static void
flight_begin(struct entry *e)
{
	e->flying = true;
	e->item->users++;
	local.in_flight++;
}

/* The last thing done with an entry here. */
static void
flight_end(struct entry *e)
{
	e->flying = false;
	local.in_flight--;
	if (local.alone == e->item)
		local.alone = NULL;
	content_release(e->item);
}

/* -- stage */

static void
put_clean(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n + 1 < size; text++)
		if ((unsigned char)*text >= 0x20 && *text != 0x7f)
			out[n++] = *text;
	out[n] = '\0';
}

/* The name in the Maildir up to ",S=". From the record alone, but for a second time. */
static void
stem_of(const struct entry *e, char *out, size_t size)
{
	int64_t at = qid_time(e->item->qid);
	char id[QID_TEXT], host[256], again[24] = "";

	qid_text(e->item->qid, id);
	put_clean(host, sizeof(host), role_conf()->hostname);
	for (char *p = host; *p != '\0'; p++)
		if (*p == '/' || *p == ':' || *p == ',')
			*p = '_';
	if (e->restage)
		snprintf(again, sizeof(again), "T%" PRIx64, (uint64_t)clock_now() / 1000);
	snprintf(out, size, "%" PRId64 ".M%06" PRId64 "Q%sR%" PRIu32 "%s.%s", at / CLOCK_SECOND,
	    at % CLOCK_SECOND, id, e->n, again, host);
}

static const char *
folder_of(const struct envelope *e, const struct rcpt *r)
{
	if ((e->flags & ENVELOPE_JUNK) != 0 && r->folder[0] == '\0')
		return role_conf()->delivery.junk_folder;
	return r->folder;
}

struct stage_rcpt {
	char stem[400], head[2 * ADDRESS_MAX + 64];
	const char *home, *folder;
};

static size_t
stage_rcpt_make(struct stage_rcpt *s, const struct entry *e, const struct rcpt *r)
{
	const struct envelope *env = &e->item->content->c.e;
	char from[ADDRESS_MAX + 1], to[ADDRESS_MAX + 1];

	stem_of(e, s->stem, sizeof(s->stem));
	put_clean(from, sizeof(from), env->from);
	put_clean(to, sizeof(to), r->address);
	snprintf(s->head, sizeof(s->head), "Return-Path: <%s>\r\nDelivered-To: %s\r\n", from, to);
	s->home = r->home;
	s->folder = folder_of(env, r);
	return WIRE_COST(8) + WIRE_COST(strlen(s->home)) + WIRE_COST(strlen(s->folder)) +
	    WIRE_COST(strlen(s->stem)) + WIRE_COST(strlen(s->head));
}

static struct buf *
stage_begin(const struct envelope *e)
{
	struct buf *b = frame_begin(MSG_MDA_STAGE, 0);
	struct buf cuts;

	buf_init(&cuts, ENVELOPE_CUTS_MAX * 16);
	cuts_put(&cuts, e->cuts, e->n_cuts);
	wire_put_u64(b, e->qid);
	wire_put_i64(b, qid_time(e->qid));
	wire_put_bytes(b, e->prefix);
	wire_put_bytes(b, buf_all(&cuts));
	wire_put_bytes(b, e->body);
	buf_free(&cuts);
	return b;
}

/* Not even sent, or without memory: a little later again. */
static void
later(struct entry *e)
{
	e->restage = true;
	e->state = e->file != NULL ? ENTRY_STAGED : ENTRY_WAITING;
	due_set(queue.index, e, clock_now() + RETRY);
	flight_end(e);
}

/* The frame is out, or not: then its entries go back. */
static void
stage_send(struct item *it, struct entry **sent, size_t n)
{
	if (n == 0 || link_send(local.mda, it->content->fd) == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		staging_end(sent[i]);
		later(sent[i]);
	}
}

static void
hold_it(struct entry *e, const char *why)
{
	flow_hold(e, why);
	flight_end(e);
}

static void
stage_picked(struct item *it)
{
	struct entry *sent[IN_FLIGHT_MAX];
	struct stage_rcpt s;
	struct buf *b = NULL;
	size_t n = 0, cost;

	for (uint32_t i = 0; i < it->n; i++) {
		struct entry *e = &it->entries[i];
		const struct rcpt *r;

		if (e->state != ENTRY_PICKED || e->dest != NULL)
			continue;
		r = content_rcpt(it, e->n);
		if (r == NULL) {
			hold_it(e, "its record in the queue is damaged");
			continue;
		}
		cost = stage_rcpt_make(&s, e, r);
		if (b != NULL && (b->len + cost > FRAME_MAX || n == COUNT(sent))) {
			stage_send(it, sent, n);
			b = NULL;
			n = 0;
		}
		if (b == NULL)
			b = stage_begin(&it->content->c.e);
		wire_put_u64(b, e->n);
		wire_put_text(b, s.home);
		wire_put_text(b, s.folder);
		wire_put_text(b, s.stem);
		wire_put_text(b, s.head);
		sent[n++] = e;
		staging_begin(e);
	}
	stage_send(it, sent, n);
}

static void
not_read(struct entry *e, const struct err *err)
{
	if (err->kind == ERR_TEMPORARY) {
		later(e);
		return;
	}
	log_error("a message of the queue cannot be read, it is held: %s", err->text);
	hold_it(e, err->text);
}

/* The content is there, or cannot be had: for all that are picked by now. */
static void
picked(struct item *it, void *arg, const struct err *err)
{
	bool go = local.mda != NULL && local.clean;

	(void)arg;
	if (err == NULL && go)
		stage_picked(it);
	for (uint32_t i = 0; i < it->n; i++) {
		struct entry *e = &it->entries[i];

		if (e->state != ENTRY_PICKED || e->dest != NULL)
			continue;
		if (err != NULL) {
			not_read(e, err);
		} else {
			flight_end(e);
			flow_ready(e);
		}
	}
	content_release(it);
}

static void
pick_item(struct item *it)
{
	bool any = false;

	for (uint32_t i = 0; i < it->n; i++) {
		struct entry *e = &it->entries[i];

		if (e->state != ENTRY_READY || e->dest != NULL)
			continue;
		if (local.in_flight == IN_FLIGHT_MAX) {
			local_ready(it);
			break;
		}
		e->state = ENTRY_PICKED;
		flight_begin(e);
		any = true;
	}
	if (!any)
		return;
	if (it->crashes >= CRASHES_ALONE)
		local.alone = it;
	content_want(it, picked, NULL);
}

static struct item *
next_item(void)
{
	if (local.alone == NULL && !TAILQ_EMPTY(&local.suspects))
		return TAILQ_FIRST(&local.suspects);
	return TAILQ_FIRST(&local.ready);
}

/* -- publish */

void
local_publish(struct entry *e)
{
	lists_init();
	e->state = ENTRY_STAGED;
	TAILQ_INSERT_TAIL(&local.to_publish, e, link);
}

static void
publish_take_back(struct entry *e)
{
	TAILQ_REMOVE(&local.publishing, e, link);
	local_publish(e);
}

static void
publish_send(struct entry **sent, size_t n)
{
	if (n == 0 || link_send(local.mda, -1) == 0)
		return;
	while (n > 0)
		publish_take_back(sent[--n]);
}

static size_t
publish_cost(const struct entry *e, const struct rcpt *r, const char *folder)
{
	return 2 * WIRE_COST(8) + WIRE_COST(strlen(r->home)) + WIRE_COST(strlen(folder)) +
	    WIRE_COST(strlen(e->file));
}

/* One frame for all that a commit staged (more when they do not fit). */
static void
publish_all(void)
{
	struct entry *sent[IN_FLIGHT_MAX], *e, *next;
	struct buf *b = NULL;
	size_t n = 0;

	for (e = TAILQ_FIRST(&local.to_publish); e != NULL; e = next) {
		const struct rcpt *r = content_rcpt(e->item, e->n);

		next = TAILQ_NEXT(e, link);
		if (r == NULL)
			continue;	/* found at start: its content is being read */
		const char *folder = folder_of(&e->item->content->c.e, r);

		if (b != NULL && (b->len + publish_cost(e, r, folder) > FRAME_MAX || n == COUNT(sent))) {
			publish_send(sent, n);
			if (link_backlog(local.mda) > BACKLOG_MAX)
				return;
			b = NULL;
			n = 0;
		}
		if (b == NULL)
			b = frame_begin(MSG_MDA_PUBLISH, 0);
		wire_put_u64(b, e->item->qid);
		wire_put_u64(b, e->n);
		wire_put_text(b, r->home);
		wire_put_text(b, folder);
		wire_put_text(b, e->file);
		TAILQ_REMOVE(&local.to_publish, e, link);
		TAILQ_INSERT_TAIL(&local.publishing, e, link);
		e->state = ENTRY_PUBLISHING;
		sent[n++] = e;
	}
	publish_send(sent, n);
}

/* Staged by an earlier life, or published in vain: its content is not in memory. */
static void
publish_loaded(struct item *it, void *arg, const struct err *err)
{
	struct entry *e = arg;

	if (err != NULL || content_rcpt(it, e->n) == NULL) {
		struct err none = { .kind = ERR_PERMANENT, .text = "its record in the queue is damaged" };

		TAILQ_REMOVE(&local.to_publish, e, link);
		not_read(e, err != NULL ? err : &none);
	}
	content_release(it);
}

static void
publish_load(void)
{
	struct entry *e, *next;

	for (e = TAILQ_FIRST(&local.to_publish); e != NULL; e = next) {
		next = TAILQ_NEXT(e, link);
		if (e->flying)
			continue;
		if (local.in_flight >= IN_FLIGHT_MAX)
			return;
		flight_begin(e);
		content_want(e->item, publish_loaded, e);
	}
}

void
local_pump(void)
{
	struct item *it;

	lists_init();
	if (local.mda == NULL || !local.clean)
		return;
	publish_load();
	publish_all();
	while (local.in_flight < IN_FLIGHT_MAX && local.bytes < BYTES_MAX && local.fds < FDS_MAX &&
	    link_backlog(local.mda) < BACKLOG_MAX && (it = next_item()) != NULL) {
		local_forget(it);
		pick_item(it);
	}
}

/* -- what mda says */

struct staged {			/* a staged name on its way to disk */
	struct op op;
	struct entry *e;
};

static int
staged_run(struct op *op, struct queue_store *s, struct err *err)
{
	struct entry *e = ((struct staged *)op)->e;

	return queue_store_staged(s, op->qid, e->n, e->file, err);
}

static void
staged_done(struct op *op, const struct err *err)
{
	struct staged *s = (struct staged *)op;
	struct entry *e = s->e;

	free(s);
	if (err != NULL) {
		/* its row is damaged: never publish what no row names */
		free(e->file);
		e->file = NULL;
		hold_it(e, err->text);
		return;
	}
	local_publish(e);
}

static void
commit_staged(struct entry *e, struct slice file)
{
	struct staged *s = calloc(1, sizeof(*s));

	e->file = slice_dup(file);
	if (s == NULL || e->file == NULL) {
		free(s);
		free(e->file);
		e->file = NULL;
		later(e);
		return;
	}
	e->state = ENTRY_COMMITTING;
	s->op = (struct op){ .kind = OP_WORK, .qid = e->item->qid, .run = staged_run, .done = staged_done };
	s->e = e;
	writer_submit(queue.writer, &s->op);
}

/* The entry that mda names, if it is in the state that this answer belongs to. */
static struct entry *
entry_in(uint64_t qid, uint64_t n, enum entry_state state)
{
	struct item *it = index_find(queue.index, qid);

	if (it == NULL)
		return NULL;
	/* after a start the done ones are missing: numbers are ascending, but with gaps */
	for (uint32_t i = n < it->n ? (uint32_t)n : it->n - 1;; i--) {
		if (it->entries[i].n == n)
			return it->entries[i].state == state ? &it->entries[i] : NULL;
		if (i == 0)
			return NULL;
	}
}

static void
not_staged(struct entry *e, uint64_t status, const char *why, struct report **failed)
{
	struct outcome o = { .host = "", .enhanced = "", .text = why };

	if (status == STEP_PERMANENT)
		flow_fail(e, &o, failed);
	else
		flow_defer(e, &o, failed);
	flight_end(e);
}

void
local_on_staged(struct frame *f)
{
	uint64_t qid = wire_u64(&f->in);
	struct report *failed = NULL;

	if (f->link != local.mda)
		return;
	while (wire_more(&f->in)) {
		uint64_t n = wire_u64(&f->in), status = wire_u64(&f->in);
		struct slice text = wire_bytes(&f->in);
		struct entry *e = entry_in(qid, n, ENTRY_STAGING);
		char why[600];

		wire_u64(&f->in);
		if (e == NULL)
			continue;
		staging_end(e);
		slice_copy(text, why, sizeof(why));
		if (status == STEP_OK && text.len > 0)
			commit_staged(e, text);
		else
			not_staged(e, status, why, &failed);
	}
	report_go(&failed);
	flow_pump();
}

static void
published(struct entry *e, uint64_t status, const char *why)
{
	const struct rcpt *r = content_rcpt(e->item, e->n);
	const char *folder = r != NULL ? folder_of(&e->item->content->c.e, r) : "";
	char text[300];

	TAILQ_REMOVE(&local.publishing, e, link);
	if (status == STEP_OK) {
		snprintf(text, sizeof(text), "delivered to %.200s", folder[0] != '\0' ? folder : "INBOX");
		if (e->item->crashes != 0)
			local_set_crashes(e->item, 0);
		flow_done(e, EVENT_DELIVERED, text);
	} else if (status == STEP_PERMANENT) {
		flow_hold(e, why);
	} else {
		log_warning("a staged message cannot be published yet: %s", why);
		later(e);
		return;
	}
	flight_end(e);
}

void
local_on_published(struct frame *f)
{
	if (f->link != local.mda)
		return;
	while (wire_more(&f->in)) {
		uint64_t qid = wire_u64(&f->in), n = wire_u64(&f->in), status = wire_u64(&f->in);
		struct slice text = wire_bytes(&f->in);
		struct entry *e = entry_in(qid, n, ENTRY_PUBLISHING);
		char why[600];

		if (e == NULL)
			continue;
		slice_copy(text, why, sizeof(why));
		published(e, status, why);
	}
	flow_pump();
}

void
local_on_unstaged(struct frame *f)
{
	uint64_t removed = wire_u64(&f->in);

	if (f->link != local.mda)
		return;
	if (removed > 0)
		log_info("mda removed %llu stage files of messages that are delivered afresh",
		    (unsigned long long)removed);
	local.clean = true;
	flow_pump();
}

/* -- mda comes and goes */

static struct buf *names;

static void
keep_names(void *arg, struct item *it)
{
	(void)arg;
	for (uint32_t i = 0; i < it->n; i++) {
		const char *file = it->entries[i].file;

		if (file == NULL || it->entries[i].state == ENTRY_DONE)
			continue;
		if (names->len + WIRE_COST(strlen(file)) > FRAME_MAX) {
			link_send(local.mda, -1);
			names = frame_begin(MSG_MDA_KEEP, 0);
		}
		wire_put_text(names, file);
	}
}

/* The staged names in use are all those that a row holds or is about to hold. */
static void
tell_names(void)
{
	names = frame_begin(MSG_MDA_KEEP, 0);
	index_each(queue.index, keep_names, NULL);
	if (link_send(local.mda, -1) == -1)
		log_error("cannot tell mda which files are staged; nothing is delivered to mailboxes until it is back");
	frame_begin(MSG_MDA_UNSTAGE, 0);
	if (link_send(local.mda, -1) == -1)
		log_error("cannot send to mda");
}

void
local_link_up(struct link *l)
{
	lists_init();
	if (local.mda == l)
		return;
	if (local.mda != NULL)
		local_link_down(local.mda);
	local.mda = l;
	local.clean = false;
	tell_names();
}

/* Who is to blame: the suspect that was sent alone, else everyone. */
static void
blame(struct entry *e)
{
	struct item *it = e->item;

	if (local.alone != NULL && local.alone != it)
		return;
	if (it->crashes < CRASHES_MAX)
		local_set_crashes(it, it->crashes + 1u);
}

static void
died_with(struct entry *e)
{
	staging_end(e);
	e->restage = true;
	if (e->item->crashes < CRASHES_MAX) {
		flight_end(e);
		flow_ready(e);
		return;
	}
	log_error("mda died three times while it had one message alone: that one is held");
	hold_it(e, "the delivery process died three times while it had this message alone");
}

void
local_link_down(struct link *l)
{
	struct entry *e;
	struct item *last = NULL;

	if (l != local.mda)
		return;
	local.mda = NULL;
	local.clean = false;
	TAILQ_FOREACH(e, &local.staging, link) {
		if (e->item != last)
			blame(e);
		last = e->item;
	}
	while ((e = TAILQ_FIRST(&local.staging)) != NULL)
		died_with(e);
	while ((e = TAILQ_FIRST(&local.publishing)) != NULL)
		publish_take_back(e);
	local.alone = NULL;
}
