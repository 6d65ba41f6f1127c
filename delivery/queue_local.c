/* queue_local - local recipients and mda: stage, commit the staged names (queue_publish.c goes on)
 *
 * Order is everything here (the picture is in queue.c): a name is published only after the commit
 * that holds it, and a row goes only after its file was published. When mda comes (again) it first
 * hears every staged name that is committed or being committed, and removes all other stage files;
 * only then is anything staged or published. A message staged a second time gets another name, so
 * that a file left over from the first time can never be taken for it.
 *
 * A message that was with mda when it died is blamed; after the second time it is sent alone among
 * the suspects and blamed alone, so that only the guilty one is blamed three times more, and held.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/qid.h"
#include "delivery/queue_local.h"
#include "delivery/queue_report.h"

#define BYTES_MAX (16 * 1024 * 1024) /* of bodies in frames */
#define FDS_MAX 64                   /* descriptors that ride to mda unread */
#define RETRY (2 * CLOCK_SECOND)

struct local local;

void
local_lists(void)
{
	if (local.lists)
		return;
	TAILQ_INIT(&local.ready);
	TAILQ_INIT(&local.suspects);
	TAILQ_INIT(&local.staging);
	TAILQ_INIT(&local.to_load);
	TAILQ_INIT(&local.loading);
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
	local_lists();
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

void
local_flight_begin(struct entry *e)
{
	e->flying = true;
	e->item->users++;
	local.in_flight++;
}

/* The last thing done with an entry here. */
void
local_flight_end(struct entry *e)
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

const char *
local_folder(const struct envelope *e, const struct rcpt *r)
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
	s->folder = local_folder(env, r);
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
	wire_put_bytes(b, prefix_shown(e->prefix));
	wire_put_bytes(b, buf_all(&cuts));
	wire_put_bytes(b, e->body);
	buf_free(&cuts);
	return b;
}

/* Not even sent, or without memory: a little later again. */
void
local_later(struct entry *e)
{
	e->restage = true;
	e->state = e->file != NULL ? ENTRY_STAGED : ENTRY_WAITING;
	due_set(queue.index, e, clock_now() + RETRY);
	local_flight_end(e);
}

/* The frame is out, or not: then its entries go back. */
static void
stage_send(struct item *it, struct entry **sent, size_t n)
{
	if (n == 0 || link_send(local.mda, it->content->fd) == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		staging_end(sent[i]);
		local_later(sent[i]);
	}
}

void
local_hold(struct entry *e, const char *why)
{
	flow_hold(e, why);
	local_flight_end(e);
}

static void
stage_picked(struct item *it)
{
	struct entry *sent[LOCAL_IN_FLIGHT_MAX];
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
			local_hold(e, "its record in the queue is damaged");
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

void
local_not_read(struct entry *e, const struct err *err)
{
	if (err->kind == ERR_TEMPORARY) {
		local_later(e);
		return;
	}
	log_error("a message of the queue cannot be read, it is held: %s", err->text);
	local_hold(e, err->text);
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
			local_not_read(e, err);
		} else {
			local_flight_end(e);
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
		if (local.in_flight == LOCAL_IN_FLIGHT_MAX) {
			local_ready(it);
			break;
		}
		e->state = ENTRY_PICKED;
		local_flight_begin(e);
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

void
local_pump(void)
{
	struct item *it;

	local_lists();
	if (local.mda == NULL || !local.clean)
		return;
	publish_pump();
	while (local.in_flight < LOCAL_IN_FLIGHT_MAX && local.bytes < BYTES_MAX &&
	       local.fds < FDS_MAX && link_backlog(local.mda) < LOCAL_BACKLOG_MAX &&
	       (it = next_item()) != NULL) {
		local_forget(it);
		pick_item(it);
	}
}

/* -- what mda says */

struct staged { /* a staged name on its way to disk */
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
		local_hold(e, err->text);
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
		local_later(e);
		return;
	}
	e->state = ENTRY_COMMITTING;
	s->op = (struct op){
		.kind = OP_WORK, .qid = e->item->qid, .run = staged_run, .done = staged_done
	};
	s->e = e;
	writer_submit(queue.writer, &s->op);
}

/* The entry that mda names, if it is in the state that this answer belongs to. */
struct entry *
local_entry(uint64_t qid, uint64_t n, enum entry_state state)
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
	local_flight_end(e);
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
		struct entry *e = local_entry(qid, n, ENTRY_STAGING);
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

void
local_link_up(struct link *l)
{
	local_lists();
	if (local.mda == l)
		return;
	if (local.mda != NULL)
		local_link_down(local.mda);
	local.mda = l;
	local.clean = false;
	publish_tell_names();
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
		local_flight_end(e);
		flow_ready(e);
		return;
	}
	log_error("mda died three times while it had one message alone: that one is held");
	local_hold(e, "the delivery process died three times while it had this message alone");
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
	TAILQ_FOREACH(e, &local.staging, link)
	{
		if (e->item != last)
			blame(e);
		last = e->item;
	}
	while ((e = TAILQ_FIRST(&local.staging)) != NULL)
		died_with(e);
	publish_take_back();
	local.alone = NULL;
}
