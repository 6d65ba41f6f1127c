/* queue_report_full - a report that gives the whole mail back (RET=FULL), when that is too much for a row of queue.db
 *
 *   examine the mail -> write what is said about it, the mail, the end -> make the file durable -> queue_report.c
 *
 * Threads of the queue do it, a piece in memory at a time. What fails costs the copy, never the report. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/qid.h"
#include "delivery/queue_report_state.h"
#include "storage/spool.h"

#define PIECE (64 * 1024)
#define TEXT_MAX (256 * 1024)
#define LINE_LONGEST 998 /* RFC 5322 2.1.1 */

struct full {
	struct job job; /* reads the mail's content, which the report holds */
	struct report *r;
	const struct content *mail;
	struct pool *pool; /* what report_write goes on with */
	struct rcpt *rcpts;
	size_t n;
	int dir, fd;
	uint64_t qid, size; /* of the report, as written so far */
	struct buf head, tail;
	size_t line; /* length of the present one */
	bool eight, odd;
	struct err err;
};

/* -- in the threads */

typedef int full_fn(struct full *f, struct slice piece);

/* A stretch of a spool file, in pieces. */
static int
each_read(struct full *f, uint64_t at, uint64_t end, full_fn *fn)
{
	char *piece = malloc(PIECE);
	int rc = piece != NULL ? 0 : err_set(&f->err, ERR_TEMPORARY, "out of memory");

	while (rc == 0 && at < end) {
		ssize_t n = pread(f->mail->fd, piece, end - at < PIECE ? (size_t)(end - at) : PIECE, (off_t)at);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			rc = err_sys(&f->err, "cannot read the mail's spool file");
		else
			rc = fn(f, (struct slice){ piece, (size_t)n });
		at += n > 0 ? (uint64_t)n : 0;
	}
	free(piece);
	return rc;
}

static int
each_kept(struct full *f, uint64_t at, uint64_t end, full_fn *fn)
{
	if (f->mail->fd != -1)
		return each_read(f, at, end, fn);
	return at < end ? fn(f, slice_skip(slice_first(f->mail->c.e.body, end), at)) : 0;
}

/* All of the mail as it was going out. */
static int
each_piece(struct full *f, full_fn *fn)
{
	const struct envelope *e = &f->mail->c.e;
	struct slice prefix = prefix_shown(e->prefix);
	uint64_t at = 0;
	int rc = prefix.len > 0 ? fn(f, prefix) : 0;

	for (size_t i = 0; rc == 0 && i < e->n_cuts; i++) {
		rc = each_kept(f, at, e->cuts[i].at < e->size ? e->cuts[i].at : e->size, fn);
		at = e->cuts[i].at + e->cuts[i].len;
	}
	return rc == 0 ? each_kept(f, at, e->size, fn) : -1;
}

static int
examine(struct full *f, struct slice piece)
{
	f->eight = f->eight || !slice_is_ascii(piece);
	f->odd = f->odd || memchr(piece.at, '\0', piece.len) != NULL;
	while (piece.len > 0 && !f->odd) {
		const char *lf = memchr(piece.at, '\n', piece.len);
		size_t len = lf != NULL ? (size_t)(lf - piece.at) + 1 : piece.len;

		f->line += len;
		f->odd = f->line > LINE_LONGEST + (lf != NULL ? 2 : 1);
		if (lf != NULL)
			f->line = 0;
		piece = slice_skip(piece, len);
	}
	return 0;
}

static int
append(struct full *f, struct slice piece)
{
	if (piece.len > 0 && spool_write(f->dir, f->qid, f->size, piece, &f->err) == -1)
		return -1;
	f->size += piece.len;
	return 0;
}

static void
examine_run(struct job *job)
{
	struct full *f = (struct full *)job;

	each_piece(f, examine);
}

static void
write_run(struct job *job)
{
	struct full *f = (struct full *)job;

	if (append(f, buf_all(&f->head)) == 0 && each_piece(f, append) == 0 &&
	    append(f, buf_all(&f->tail)) == 0 && spool_sync(f->dir, f->qid, f->size, &f->err) == 0)
		f->fd = spool_read(f->dir, f->qid, f->size, &f->err);
	if (f->fd == -1)
		spool_remove(f->dir, f->qid);
}

/* -- on the loop */

/* `why_cut`: it does not come back whole. */
static void
go_on(struct full *f, const char *why_cut)
{
	struct report *r = f->r;
	struct pool *pool = f->pool;
	struct rcpt *rcpts = f->rcpts;
	size_t n = f->n;

	if (f->err.kind != ERR_NONE)
		log_warning("a report goes without the mail it speaks of: %s", f->err.text);
	r->why_cut = why_cut;
	if (why_cut == NULL) {
		r->file = f->fd;
		r->file_size = f->size;
	}
	buf_free(&f->head);
	buf_free(&f->tail);
	free(f);
	report_write(r, pool, rcpts, n);
}

static void
write_done(struct job *job)
{
	struct full *f = (struct full *)job;

	go_on(f, f->fd == -1 ? REPORT_NO_COPY : NULL);
}

static void
examine_done(struct job *job)
{
	struct full *f = (struct full *)job;

	if (f->err.kind != ERR_NONE || f->odd) {
		go_on(f, f->odd ? REPORT_ODD_LINES : REPORT_NO_COPY);
		return;
	}
	f->r->id = f->qid = qid_new();
	report_around(f->r, f->eight, &f->head, &f->tail);
	f->job.run = write_run;
	f->job.done = write_done;
	if (f->head.failed || f->tail.failed || workers_submit(queue.workers, &f->job) == -1)
		go_on(f, REPORT_NO_COPY);
}

bool
report_full_begin(struct report *r, struct pool *pool, struct rcpt *rcpts, size_t n)
{
	const struct envelope *e = &r->item->content->c.e;
	struct full *f = queue_has_space(e->prefix.len + e->size) ? calloc(1, sizeof(*f)) : NULL;

	r->why_cut = REPORT_NO_COPY;
	if (f == NULL)
		return false;
	f->job.run = examine_run;
	f->job.done = examine_done;
	f->r = r;
	f->mail = r->item->content;
	f->pool = pool;
	f->rcpts = rcpts;
	f->n = n;
	f->dir = queue.spool_dir;
	f->fd = -1;
	buf_init(&f->head, TEXT_MAX);
	buf_init(&f->tail, TEXT_MAX);
	if (workers_submit(queue.workers, &f->job) == 0)
		return true;
	free(f);
	return false;
}
