/* queue_store_read - messages and recipients out of queue.db: one message whole, or the rows of all
 *
 * What is damaged stops nobody else: a message that cannot be read is an error of its own, and a walk goes
 * on behind a page that makes no sense. */
#include "storage/queue_store_state.h"

#include <string.h>

#define CONTENT_MAX (16 * 1024 * 1024) /* more than intake lets in */
#define SKIPS_MAX 64

/* -- reading one message */

static const char *
pool_column(struct pool *pool, sqlite3_stmt *st, int col)
{
	return pool_text(pool, slice_of(db_text(st, col)));
}

static int
load_message(struct queue_store *s, struct queue_content *c, struct err *err)
{
	sqlite3_stmt *st = s->st[LOAD_MESSAGE];
	struct envelope *e = &c->e;
	int got, bad;

	db_bind_i64(st, 1, (int64_t)e->qid);
	got = db_step(s->db, st, err);
	if (got == 0)
		return err_set(err, ERR_NOT_FOUND, "the message is not in the queue");
	if (got == -1)
		return -1;
	e->from = pool_column(c->pool, st, 0);
	e->msgid = pool_column(c->pool, st, 1);
	e->ip = pool_column(c->pool, st, 2);
	e->prefix = pool_slice(c->pool, db_blob(st, 3));
	bad = cuts_get(db_blob(st, 4), e->cuts, &e->n_cuts);
	e->body = pool_slice(c->pool, db_blob(st, 5));
	e->envid = pool_column(c->pool, st, 6);
	sqlite3_reset(st);
	if (bad == -1)
		return err_set(err, ERR_PERMANENT, "its list of cuts is damaged");
	if (e->from == NULL || e->msgid == NULL || e->ip == NULL || e->envid == NULL ||
	    e->prefix.at == NULL || e->body.at == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	return 0;
}

static int
load_rcpt(
    sqlite3_stmt *st, struct queue_content *c, struct rcpt **room, size_t *size, struct err *err)
{
	struct envelope *e = &c->e;
	struct rcpt *r;

	if (e->n_rcpts == *size) {
		size_t more = *size == 0 ? 1 : *size * 2;
		struct rcpt *rcpts = pool_alloc(c->pool, more * sizeof(*rcpts));
		unsigned *numbers = pool_alloc(c->pool, more * sizeof(*numbers));

		if (rcpts == NULL || numbers == NULL)
			return err_set(err, ERR_TEMPORARY, "out of memory");
		if (e->n_rcpts > 0) {
			memcpy(rcpts, *room, e->n_rcpts * sizeof(*rcpts));
			memcpy(numbers, c->numbers, e->n_rcpts * sizeof(*numbers));
		}
		*room = e->rcpts = rcpts;
		c->numbers = numbers;
		*size = more;
	}
	r = &e->rcpts[e->n_rcpts];
	c->numbers[e->n_rcpts] = (unsigned)db_i64(st, 0);
	r->kind = db_i64(st, 1) == RCPT_LOCAL ? RCPT_LOCAL : RCPT_REMOTE;
	r->address = pool_column(c->pool, st, 2);
	r->home = pool_column(c->pool, st, 3);
	r->folder = pool_column(c->pool, st, 4);
	r->original = pool_column(c->pool, st, 5);
	e->flags = (unsigned)db_i64(st, 6);
	e->size = (uint64_t)db_i64(st, 7);
	r->notify = (unsigned)db_i64(st, 8);
	r->orcpt = pool_column(c->pool, st, 9);
	if (r->address == NULL || r->home == NULL || r->folder == NULL || r->original == NULL ||
	    r->orcpt == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	e->n_rcpts++;
	return 0;
}

static int
load_rcpts(struct queue_store *s, struct queue_content *c, struct err *err)
{
	sqlite3_stmt *st = s->st[LOAD_RCPTS];
	struct rcpt *room = NULL;
	size_t size = 0;
	int got;

	db_bind_i64(st, 1, (int64_t)c->e.qid);
	while ((got = db_step(s->db, st, err)) == 1) {
		if (load_rcpt(st, c, &room, &size, err) == -1) {
			sqlite3_reset(st);
			return -1;
		}
	}
	if (got == -1)
		return -1;
	if (c->e.n_rcpts == 0)
		return err_set(err, ERR_NOT_FOUND, "the message has no recipients left");
	return 0;
}

int
queue_store_load(struct queue_store *s, uint64_t qid, struct queue_content *out, struct err *err)
{
	struct queue_content c = { .e = { .qid = qid } };
	int code;

	c.pool = pool_new(CONTENT_MAX);
	if (c.pool == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	if (load_message(s, &c, err) == -1 || load_rcpts(s, &c, err) == -1) {
		code = sqlite3_errcode(s->db) & 0xff;
		if (err != NULL && (code == SQLITE_CORRUPT || code == SQLITE_IOERR))
			err->kind = ERR_PERMANENT;
		pool_free(&c.pool);
		return -1;
	}
	if (!(c.e.flags & ENVELOPE_SPOOLED) && c.e.body.len != c.e.size) {
		pool_free(&c.pool);
		return err_set(
		    err, ERR_PERMANENT, "its body has not the size that its record says");
	}
	*out = c;
	return 0;
}

void
queue_content_free(struct queue_content *c)
{
	pool_free(&c->pool);
	memset(c, 0, sizeof(*c));
}

/* -- walking */

static void
read_row(sqlite3_stmt *st, struct queue_row *row)
{
	int64_t state = db_i64(st, 5);

	row->qid = (uint64_t)db_i64(st, 0);
	row->n = (unsigned)db_i64(st, 1);
	row->flags = (unsigned)db_i64(st, 2);
	row->size = (uint64_t)db_i64(st, 3);
	row->kind = db_i64(st, 4) == RCPT_LOCAL ? RCPT_LOCAL : RCPT_REMOTE;
	row->p.state =
	    state >= QUEUE_WAITING && state <= QUEUE_OWED ? (enum queue_state)state : QUEUE_HELD;
	row->p.attempts = (unsigned)db_i64(st, 6);
	row->p.warned = db_i64(st, 7) != 0;
	row->p.next = db_i64(st, 8);
	row->address = db_text(st, 9);
	row->original = db_text(st, 10);
	row->folder = db_text(st, 11);
	row->p.reason = db_text(st, 12);
	row->file = db_text(st, 13);
	row->from = db_text(st, 14);
	row->msgid = db_text(st, 15);
	row->ip = db_text(st, 16);
}

/* Ids are signed on disk: their order is the one of int64_t. */
static void
bind_cursor(sqlite3_stmt *st, const struct queue_cursor *at, int64_t left)
{
	db_bind_i64(st, 1, at->begun ? (int64_t)at->qid : INT64_MIN);
	db_bind_i64(st, 2, at->begun ? (int64_t)at->n : -1);
	db_bind_i64(st, 3, left);
}

/* A page of the table is damaged: go on further behind it, twice as far each time. An id is 14 bits
 * a microsecond. */
static bool
skip_damage(struct queue_cursor *at, unsigned skips)
{
	uint64_t step = UINT64_C(1) << (20 + skips / 2);

	if (!at->begun || skips >= SKIPS_MAX || at->qid > UINT64_MAX - step)
		return false;
	at->qid += step;
	at->n = 0;
	return true;
}

int
queue_store_walk(struct queue_store *s, struct queue_cursor *at, bool full, unsigned most,
    bool (*fn)(void *arg, const struct queue_row *row), void *arg, unsigned *unreadable,
    struct err *err)
{
	sqlite3_stmt *st = s->st[full ? WALK_FULL : WALK];
	unsigned skips = 0;
	unsigned seen = 0;
	bool go_on = true;
	int got;

	do {
		bind_cursor(st, at, most - seen);
		while (go_on && (got = db_step(s->db, st, err)) == 1) {
			struct queue_row row;

			read_row(st, &row);
			*at = (struct queue_cursor){ row.qid, row.n, true };
			seen++;
			go_on = fn(arg, &row);
		}
		sqlite3_reset(st);
		if (!go_on || got == 0)
			return (int)seen;
		(*unreadable)++;
	} while (skip_damage(at, skips++));
	return seen > 0 ? (int)seen : -1;
}

int
queue_store_show(struct queue_store *s, uint64_t qid,
    bool (*fn)(void *arg, const struct queue_row *row), void *arg, struct err *err)
{
	sqlite3_stmt *st = s->st[SHOW];
	unsigned seen = 0;
	int got;

	db_bind_i64(st, 1, (int64_t)qid);
	while ((got = db_step(s->db, st, err)) == 1) {
		struct queue_row row;

		read_row(st, &row);
		seen++;
		if (!fn(arg, &row))
			break;
	}
	sqlite3_reset(st);
	return got == -1 ? -1 : (int)seen;
}
