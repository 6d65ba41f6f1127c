/* queue_publish - staged names that are committed: mda renames them, then their rows go
 *
 * One frame for all that a commit staged. An entry staged by an earlier life of the queue holds no
 * content yet; it is read first. A publication that fails for now is tried again, one that can
 * never succeed is held with its name, so that the stage file stays. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "delivery/queue_local.h"
#include "delivery/queue_report.h"

/* -- to mda */

void
local_publish(struct entry *e)
{
	local_lists();
	e->state = ENTRY_STAGED;
	if (content_rcpt(e->item, e->n) == NULL || !e->flying)
		TAILQ_INSERT_TAIL(&local.to_load, e, link);
	else
		TAILQ_INSERT_TAIL(&local.to_publish, e, link);
}

static void
take_back(struct entry *e)
{
	TAILQ_REMOVE(&local.publishing, e, link);
	local_publish(e);
}

/* false: mda is going; its end will be seen soon, and until then nothing more is tried. */
static bool
publish_send(struct entry **sent, size_t n)
{
	if (n == 0 || link_send(local.mda, -1) == 0)
		return true;
	while (n > 0)
		take_back(sent[--n]);
	return false;
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
	struct entry *sent[LOCAL_IN_FLIGHT_MAX], *e, *next;
	struct buf *b = NULL;
	size_t n = 0;

	for (e = TAILQ_FIRST(&local.to_publish); e != NULL; e = next) {
		const struct rcpt *r = content_rcpt(e->item, e->n);

		next = TAILQ_NEXT(e, link);
		const char *folder = local_folder(&e->item->content->c.e, r);

		if (b != NULL &&
		    (b->len + publish_cost(e, r, folder) > FRAME_MAX || n == COUNT(sent))) {
			/* what was taken back stands at the end of this very list */
			if (!publish_send(sent, n) || link_backlog(local.mda) > LOCAL_BACKLOG_MAX)
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
		struct err none = { .kind = ERR_PERMANENT,
			.text = "its record in the queue is damaged" };

		TAILQ_REMOVE(&local.loading, e, link);
		local_not_read(e, err != NULL ? err : &none);
	} else {
		TAILQ_REMOVE(&local.loading, e, link);
		TAILQ_INSERT_TAIL(&local.to_publish, e, link);
	}
	content_release(it);
}

static void
publish_load(void)
{
	struct entry *e;

	while (local.in_flight < LOCAL_IN_FLIGHT_MAX && (e = TAILQ_FIRST(&local.to_load)) != NULL) {
		TAILQ_REMOVE(&local.to_load, e, link);
		TAILQ_INSERT_TAIL(&local.loading, e, link);
		if (!e->flying)
			local_flight_begin(e);
		content_want(e->item, publish_loaded, e);
	}
}

void
publish_pump(void)
{
	publish_load();
	publish_all();
}

void
publish_take_back(void)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&local.publishing)) != NULL)
		take_back(e);
}

/* -- from mda */

static void
published(struct entry *e, uint64_t status, const char *why, struct report **done)
{
	const struct rcpt *r = content_rcpt(e->item, e->n);
	const char *folder = r != NULL ? local_folder(&e->item->content->c.e, r) : "";
	char text[300];

	TAILQ_REMOVE(&local.publishing, e, link);
	if (status == STEP_OK) {
		snprintf(text, sizeof(text), "delivered to %.200s",
		    folder[0] != '\0' ? folder : "INBOX");
		if (e->item->crashes != 0)
			local_set_crashes(e->item, 0);
		if (r != NULL && (r->notify & NOTIFY_SUCCESS) != 0)
			report_succeeded(done, e, &(struct outcome){ "", 0, "", text }, false);
		else
			flow_done(e, EVENT_DELIVERED, text);
	} else if (status == STEP_PERMANENT) {
		flow_hold(e, why);
	} else {
		log_warning("a staged message cannot be published yet: %s", why);
		local_later(e);
		return;
	}
	local_flight_end(e);
}

void
local_on_published(struct frame *f)
{
	struct report *done = NULL; /* on the message of the present row */
	struct item *last = NULL;

	if (f->link != local.mda)
		return;
	while (wire_more(&f->in)) {
		uint64_t qid = wire_u64(&f->in), n = wire_u64(&f->in), status = wire_u64(&f->in);
		struct slice text = wire_bytes(&f->in);
		struct entry *e = local_entry(qid, n, ENTRY_PUBLISHING);
		char why[600];

		if (e == NULL)
			continue;
		slice_copy(text, why, sizeof(why));
		if (last != e->item)
			report_go(&done);
		last = e->item;
		published(e, status, why, &done);
	}
	report_go(&done);
	flow_pump();
}

/* -- names in use
 *
 * All that a row holds or is about to hold, told to a new mda before it may sweep. There may be more
 * than the link holds, so they go as it drains. No name is added meanwhile: nothing is staged before
 * mda has swept. A name told twice, or one that went meanwhile, does no harm. */

#define TELL_AGAIN_US 10000

static struct {
	struct event *timer;
	struct buf frame;
	size_t at;   /* in the index: the next to look at */
	size_t told; /* all before it are in frames that were sent */
	bool failed; /* a frame could not be sent: on from `told`, later */
} names;

static void
names_send(size_t told)
{
	if (!names.failed && link_send_buf(local.mda, &names.frame, -1) == 0)
		names.told = told;
	else
		names.failed = true;
	frame_begin_in(&names.frame, MSG_MDA_KEEP, 0);
}

static void
keep_names(void *arg, struct item *it)
{
	(void)arg;
	for (uint32_t i = 0; i < it->n; i++) {
		const char *file = it->entries[i].file;

		if (file == NULL || it->entries[i].state == ENTRY_DONE)
			continue;
		if (names.frame.len + WIRE_COST(strlen(file)) > FRAME_MAX)
			names_send(names.at - 1); /* this one in part */
		wire_put_text(&names.frame, file);
	}
}

/* Until all are told, or the link has enough. true: that was all. */
static bool
tell_some(void)
{
	bool more = true;

	names.failed = false;
	names.at = names.told;
	while (more && !names.failed && link_backlog(local.mda) < LOCAL_BACKLOG_MAX)
		more = index_each_some(queue.index, &names.at, keep_names, NULL);
	names_send(names.at);
	return !more && !names.failed;
}

static void
on_tell(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval again = { 0, TELL_AGAIN_US };

	(void)fd;
	(void)what;
	(void)arg;
	if (local.mda == NULL)
		return;
	if (tell_some()) {
		frame_begin(MSG_MDA_UNSTAGE, 0);
		if (link_send(local.mda, -1) == 0)
			return;
	}
	/* the link is full, or its end will be seen soon */
	event_add(names.timer, &again);
}

void
publish_tell_names(void)
{
	if (names.timer == NULL)
		names.timer = event_new(role_base(), -1, 0, on_tell, NULL);
	if (names.timer == NULL) {
		log_error("no memory to tell mda which files are staged; nothing is delivered to "
			  "mailboxes until it is back");
		return;
	}
	/* what is left to tell a dead one */
	event_del(names.timer);
	if (queue.unreadable > 0) {
		/* a name may be in a row that cannot be read: no file is a stray */
		local.clean = true;
		return;
	}
	names.told = 0;
	frame_begin_in(&names.frame, MSG_MDA_KEEP, 0);
	on_tell(-1, 0, NULL);
}
