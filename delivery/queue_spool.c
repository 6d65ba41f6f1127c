/* queue_spool - large bodies on their way into the spool, by threads
 *
 *   SPOOL_DATA ...  chunks wait in memory, one job at a time writes all that wait; what is written
 * becomes new credit SPOOL_END       when all is written: SPOOL_IS with a descriptor to read from;
 * then fsync of file and folder QUEUE_PUT       claims it; its commit waits until the fsync is done
 *
 * Ceilings: 256 KiB of credit a file, 64 MiB in memory and 20000 files in all. A file nobody claims
 * goes with its link; one that fails is refused at SPOOL_END with the reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/qid.h"
#include "delivery/queue.h"
#include "storage/spool.h"

#define CREDIT (256 * 1024)
#define MEMORY_MAX (64 * 1024 * 1024)
#define UPLOADS_MAX 20000
#define BUCKETS 4096

struct chunk {
	struct chunk *next;
	size_t len;
	char bytes[];
};

enum upload_state { UP_WRITING, UP_SYNCING, UP_DURABLE, UP_FAILED };

struct upload {
	struct job job; /* the one job that may be with a thread */
	struct upload *hash_next;
	uint64_t qid, link_serial;
	struct chunk *first, **last; /* wait to be written */
	struct chunk *writing;
	size_t in_memory;
	uint64_t written; /* up to here the file is there */
	uint64_t size;    /* by SPOOL_END */
	bool busy, ended, claimed, doomed, remove;
	enum upload_state state;
	struct reply_to end_to;
	int fd;
	int dir;
	struct err job_err; /* of the job; the thread's while it runs */
	struct err err;     /* why it failed */
};

static struct upload *uploads[BUCKETS];
static unsigned n_uploads;
static size_t memory;

static void upload_go_on(struct upload *u);

/* -- finding */

static struct upload **
bucket(uint64_t qid)
{
	return &uploads[(qid * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
}

static struct upload *
upload_find(uint64_t qid)
{
	struct upload *u = *bucket(qid);

	while (u != NULL && u->qid != qid)
		u = u->hash_next;
	return u;
}

static struct upload *
upload_of(const struct frame *f, uint64_t qid)
{
	struct upload *u = upload_find(qid);

	return u != NULL && u->link_serial == reply_later(f).link_serial && !u->doomed &&
		       !u->claimed
		   ? u
		   : NULL;
}

/* -- life */

static void
chunks_free(struct upload *u, struct chunk **list)
{
	struct chunk *c;

	while ((c = *list) != NULL) {
		*list = c->next;
		memory -= c->len;
		u->in_memory -= c->len;
		free(c);
	}
}

static void
upload_fail(struct upload *u, const struct err *err)
{
	if (u->state == UP_FAILED)
		return;
	u->err = *err;
	u->state = UP_FAILED;
	chunks_free(u, &u->first);
	u->last = &u->first;
}

static struct upload *
upload_new(const struct frame *f, uint64_t qid)
{
	struct upload *u = calloc(1, sizeof(*u));
	const char *why;
	enum put_status status = intake_open(&why);

	if (u == NULL)
		return NULL;
	u->qid = qid;
	u->link_serial = reply_later(f).link_serial;
	u->last = &u->first;
	u->fd = -1;
	u->dir = queue.spool_dir;
	u->hash_next = *bucket(qid);
	*bucket(qid) = u;
	n_uploads++;
	if (status != PUT_OK) {
		struct err err;

		err_set(&err, status == PUT_FULL ? ERR_FULL : ERR_TEMPORARY, "%s", why);
		upload_fail(u, &err);
	}
	return u;
}

static void
upload_free(struct upload *u)
{
	struct upload **at = bucket(u->qid);

	while (*at != u)
		at = &(*at)->hash_next;
	*at = u->hash_next;
	n_uploads--;
	chunks_free(u, &u->first);
	chunks_free(u, &u->writing);
	if (u->fd != -1)
		close(u->fd);
	free(u);
}

/* -- in the threads */

static void
write_run(struct job *job)
{
	struct upload *u = (struct upload *)job;
	uint64_t at = u->written;

	u->job_err.kind = ERR_NONE;
	for (struct chunk *c = u->writing; c != NULL; c = c->next) {
		if (spool_write(
			u->dir, u->qid, at, (struct slice){ c->bytes, c->len }, &u->job_err) == -1)
			return;
		at += c->len;
	}
}

static void
open_run(struct job *job)
{
	struct upload *u = (struct upload *)job;

	u->job_err.kind = ERR_NONE;
	u->fd = spool_read(u->dir, u->qid, u->size, &u->job_err);
}

static void
sync_run(struct job *job)
{
	struct upload *u = (struct upload *)job;

	u->job_err.kind = ERR_NONE;
	spool_sync(u->dir, u->qid, u->size, &u->job_err);
}

static void
remove_run(struct job *job)
{
	struct upload *u = (struct upload *)job;

	spool_remove(u->dir, u->qid);
}

static void
upload_submit(struct upload *u, void (*run)(struct job *), void (*done)(struct job *))
{
	struct err err;

	u->job.run = run;
	u->job.done = done;
	u->busy = true;
	if (workers_submit(queue.workers, &u->job) == 0)
		return;
	u->busy = false;
	err_set(&err, ERR_TEMPORARY, "too many large messages at once");
	upload_fail(u, &err);
}

/* -- back on the loop */

static void
send_credit(const struct upload *u, uint64_t bytes, const char *why)
{
	struct buf *b = frame_begin(MSG_SPOOL_CREDIT, 0);

	wire_put_u64(b, u->qid);
	wire_put_u64(b, bytes);
	wire_put_text(b, why);
	link_send(link_by_serial(u->link_serial), -1);
}

static enum put_status
put_status_of(const struct err *err)
{
	return err->kind == ERR_FULL ? PUT_FULL : PUT_TEMPORARY;
}

static void
answer_end(struct upload *u)
{
	struct buf *b = reply_begin(u->end_to, MSG_SPOOL_IS);

	wire_put_u64(b, u->qid);
	wire_put_u64(b, u->state == UP_FAILED ? put_status_of(&u->err) : PUT_OK);
	wire_put_text(b, u->state == UP_FAILED ? u->err.text : "");
	reply_send(u->end_to, u->state == UP_FAILED ? -1 : u->fd);
}

static void
remove_done(struct job *job)
{
	upload_free((struct upload *)job);
}

/* Away with it, with the file or without. */
static void
upload_drop(struct upload *u, bool remove)
{
	u->doomed = true;
	u->remove = u->remove || remove;
	if (u->busy)
		return; /* when the job is done */
	if (!u->remove) {
		upload_free(u);
		return;
	}
	u->job.run = remove_run;
	u->job.done = remove_done;
	u->busy = true;
	if (workers_submit(queue.workers, &u->job) == -1) {
		spool_remove(u->dir, u->qid);
		upload_free(u);
	}
}

/* false: it is gone. */
static bool
job_back(struct upload *u)
{
	u->busy = false;
	if (u->doomed) {
		upload_drop(u, false);
		return false;
	}
	if (u->job_err.kind != ERR_NONE)
		upload_fail(u, &u->job_err);
	return true;
}

static void
write_done(struct job *job)
{
	struct upload *u = (struct upload *)job;
	uint64_t bytes = 0;

	for (const struct chunk *c = u->writing; c != NULL; c = c->next)
		bytes += c->len;
	chunks_free(u, &u->writing);
	u->written += bytes;
	if (!job_back(u))
		return;
	if (u->state == UP_FAILED) {
		log_warning("a large message is refused: %s", u->err.text);
		send_credit(u, 0, u->err.text);
	} else if (!u->ended) {
		send_credit(u, bytes, "");
	}
	upload_go_on(u);
}

static void
open_done(struct job *job)
{
	struct upload *u = (struct upload *)job;

	if (!job_back(u))
		return;
	if (u->state != UP_FAILED) {
		answer_end(u);
		u->state = UP_SYNCING;
	}
	upload_go_on(u);
}

static void
sync_done(struct job *job)
{
	struct upload *u = (struct upload *)job;

	if (!job_back(u))
		return;
	if (u->state != UP_FAILED)
		u->state = UP_DURABLE;
	if (u->claimed)
		intake_spooled(u->qid, u->state == UP_FAILED ? &u->err : NULL);
}

/* The next job, if there is something to do and none is running. */
static void
upload_go_on(struct upload *u)
{
	if (u->busy)
		return;
	if (u->state == UP_WRITING && u->first != NULL) {
		u->writing = u->first;
		u->first = NULL;
		u->last = &u->first;
		upload_submit(u, write_run, write_done);
	} else if (u->state == UP_WRITING && u->ended) {
		upload_submit(u, open_run, open_done);
	} else if (u->state == UP_SYNCING) {
		upload_submit(u, sync_run, sync_done);
	}
	if (u->state == UP_FAILED && u->ended && !u->busy) {
		answer_end(u);
		upload_drop(u, true);
	}
}

/* -- what smtpd says */

static struct chunk *
chunk_new(struct slice bytes)
{
	struct chunk *c = malloc(sizeof(*c) + bytes.len);

	if (c == NULL)
		return NULL;
	c->next = NULL;
	c->len = bytes.len;
	memcpy(c->bytes, bytes.at, bytes.len);
	return c;
}

static void
take_chunk(struct upload *u, struct slice bytes)
{
	struct chunk *c = NULL;
	struct err err;

	if (u->in_memory + bytes.len > CREDIT)
		err_set(&err, ERR_TEMPORARY, "more was sent than there was credit for");
	else if (memory + bytes.len > MEMORY_MAX || (c = chunk_new(bytes)) == NULL)
		err_set(&err, ERR_TEMPORARY, "too many large messages at once");
	else if (!queue_has_space(bytes.len))
		err_set(&err, ERR_FULL, "free disk space is below limits.min_free");
	else {
		*u->last = c;
		u->last = &c->next;
		u->in_memory += c->len;
		memory += c->len;
		return;
	}
	free(c);
	upload_fail(u, &err);
	send_credit(u, 0, err.text);
}

void
spool_on_data(struct frame *f)
{
	uint64_t qid = wire_u64(&f->in);
	struct slice bytes = wire_bytes(&f->in);
	struct upload *u = upload_of(f, qid);

	if (u == NULL) {
		if (qid == 0 || upload_find(qid) != NULL || index_find(queue.index, qid) != NULL ||
		    n_uploads >= UPLOADS_MAX || (u = upload_new(f, qid)) == NULL) {
			struct upload none = { .qid = qid,
				.link_serial = reply_later(f).link_serial };

			send_credit(&none, 0, "too many large messages at once");
			return;
		}
		if (u->state == UP_FAILED)
			send_credit(u, 0, u->err.text);
	}
	if (u->state == UP_FAILED || u->ended || bytes.len == 0)
		return;
	take_chunk(u, bytes);
	upload_go_on(u);
}

void
spool_on_end(struct frame *f)
{
	uint64_t qid = wire_u64(&f->in);
	struct upload *u = upload_of(f, qid);

	if (u == NULL || u->ended) {
		struct buf *b = frame_begin(MSG_SPOOL_IS, f->id);

		wire_put_u64(b, qid);
		wire_put_u64(b, PUT_TEMPORARY);
		wire_put_text(b, "the queue does not hold this message's body");
		link_send(f->link, -1);
		return;
	}
	u->ended = true;
	u->size = wire_u64(&f->in);
	u->end_to = reply_later(f);
	upload_go_on(u);
}

void
spool_on_drop(struct frame *f)
{
	struct upload *u = upload_of(f, wire_u64(&f->in));

	if (u != NULL)
		upload_drop(u, true);
}

void
spool_link_down(struct link *l)
{
	for (size_t b = 0; b < BUCKETS; b++) {
		struct upload *u, *next;

		for (u = uploads[b]; u != NULL; u = next) {
			next = u->hash_next;
			/* links down are no longer found by their serial */
			if (!u->claimed && !u->doomed &&
			    (link_by_serial(u->link_serial) == NULL ||
				link_by_serial(u->link_serial) == l))
				upload_drop(u, true);
		}
	}
}

/* -- what intake asks */

enum spool_claim
spool_claim(struct link *l, uint64_t qid, uint64_t size, int *fd)
{
	struct upload *u = upload_find(qid);

	*fd = -1;
	if (u == NULL || u->doomed || u->claimed || u->size != size || !u->ended ||
	    link_by_serial(u->link_serial) != l ||
	    (u->state != UP_SYNCING && u->state != UP_DURABLE))
		return SPOOL_NONE;
	u->claimed = true;
	*fd = u->fd;
	u->fd = -1;
	return u->state == UP_DURABLE ? SPOOL_READY : SPOOL_PENDING;
}

void
spool_unclaim(uint64_t qid, bool remove)
{
	struct upload *u = upload_find(qid);

	if (u != NULL)
		upload_drop(u, remove);
}
