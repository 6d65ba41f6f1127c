/* queue - the heart: accepted mail, journalled, delivered, reported
 *
 * After PUT_OK a message is in queue.db (its body there or in a spool file), and its row goes only
 * when somebody else has it.
 *
 * One recipient's way, what is on disk meanwhile, and what a restart makes of it:
 *
 *	in memory            row, and its file            after a crash
 *	NEW                  none                         nobody got a 250: nothing to do
 *	WAITING, READY       waiting                      tried again at its time
 *	PICKED, STAGING      waiting, perhaps a stage     MDA_UNSTAGE removes it; staged afresh
 *	                     file
 *	COMMITTING           waiting or staged, the       by the row: as the line above, or below
 *	                     stage file is durable
 *	STAGED, PUBLISHING   staged, with the name; file  MDA_PUBLISH: there = rename,
 *	                     in .stage or in new/         gone = delivered
 *	SETTLING (done)      staged or none; in new/, or  as the line above, or nothing to do
 *	                     moved by its reader
 *	SENDING              waiting                      sent again: perhaps one extra copy
 *	FAILED               waiting                      tried again, then reported
 *	FAILED (relayed)     owed, with what was said     the report is made, nothing sent again
 *	OWED                 owed                         the same
 *	SETTLING (deferred)  waiting                      tried again
 *	HELD                 held (or staged and held)    held
 *	HELD                 as before; why it is held    tried again, and held again
 *	(row damaged)        is only in memory
 *
 * A row that cannot be read is in none of these: its message waits for `tegami queue rescue`. As long as there is one, no
 * spool file and no stage file counts as left over, because that row may name it.
 *
 * When mda dies alone the same table holds, read for its links: STAGING goes back to READY,
 * PUBLISHING to STAGED. What is COMMITTING or STAGED is named to the new mda before it may remove
 * stray stage files.
 *
 * The loop never waits: queue.db is the writer thread's (queue_writer), spool files the workers'
 * (queue_spool). */
#include "delivery/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/qid.h"
#include "base/sandbox.h"
#include "delivery/queue_dest.h"
#include "delivery/queue_clock.h"
#include "delivery/queue_report.h"
#include "delivery/route_match.h"
#include "storage/spool.h"

#define SPOOL_THREADS 4
#define SPOOL_JOBS 40000
#define TICK_US 100000
#define INODES_LEAST 256 /* for what was accepted: a spool file, a stage file, a folder */
#define STOP_PATIENCE (7 * CLOCK_SECOND)

struct queue queue = { .spool_dir = -1 };

static struct queue_store *store;
static bool emptied; /* the journal, at start */
static struct event *tick;
static unsigned ticks;
static int64_t stop_by;

struct schedule
queue_schedule(const struct dest *d)
{
	const struct conf *c = role_conf();
	struct schedule s = { c->relay.retry, c->relay.n_retry, c->relay.lifetime, c->relay.warn_after };
	const struct conf_route *r = d != NULL ? route_match(c, d->domain, NULL) : NULL;

	if (r != NULL && r->n_retry > 0) {
		s.steps = r->retry;
		s.n_steps = r->n_retry;
	}
	if (r != NULL && r->lifetime > 0)
		s.lifetime = r->lifetime;
	if (r != NULL && r->warn_after > 0)
		s.warn_after = r->warn_after;
	return s;
}

uint32_t
queue_dice(void)
{
	static uint64_t x;

	x = (x ^ (uint64_t)clock_now()) * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(x >> 33);
}

/* -- the queue at start */

struct gather { /* rows of one message, until the next one begins */
	struct row_kept {
		struct queue_row row;
		char *address, *file;
	} * rows;
	size_t n, size;
	uint64_t orphans, lost;
	bool failed;
};

static void
gathered_free(struct gather *g)
{
	for (size_t i = 0; i < g->n; i++) {
		free(g->rows[i].address);
		free(g->rows[i].file);
	}
	g->n = 0;
}

/* With what its steps vary by, and some to spare. */
static int64_t
longest_wait(struct dest *d)
{
	struct schedule s = queue_schedule(d);
	int64_t most = 60 * 60 * 1000;

	for (size_t i = 0; i < s.n_steps; i++)
		if (s.steps[i] > most)
			most = s.steps[i];
	return 2 * most * 1000;
}

static void
load_entry(struct entry *e, struct row_kept *k)
{
	e->n = k->row.n;
	e->attempts = (uint16_t)(k->row.p.attempts < UINT16_MAX ? k->row.p.attempts : UINT16_MAX);
	e->warned = k->row.p.warned;
	e->due = k->row.p.next;
	e->restage = true;
	if (k->file != NULL && k->file[0] != '\0') {
		e->file = k->file;
		k->file = NULL;
		e->due = 0;
	}
	if (k->row.kind == RCPT_REMOTE &&
	    index_set_dest(queue.index, e, slice_of(k->address)) == -1)
		k->row.p.state = QUEUE_HELD;
	e->due = queue_clock_due(e->due, clock_now(), longest_wait(e->dest));
	if (k->row.p.state == QUEUE_HELD) {
		e->state = ENTRY_HELD;
		queue.held++;
	} else if (k->row.p.state == QUEUE_OWED) {
		e->state = ENTRY_OWED;
	}
}

/* The rows gathered so far are a message. */
static void
gathered_add(struct gather *g)
{
	struct item *it;

	if (g->n == 0)
		return;
	it = index_add(queue.index, g->rows[0].row.qid, (uint16_t)g->rows[0].row.flags,
	    g->rows[0].row.size, (uint32_t)g->n);
	if (it == NULL) {
		g->failed = true;
		return;
	}
	for (size_t i = 0; i < g->n; i++)
		load_entry(&it->entries[i], &g->rows[i]);
	gathered_free(g);
}

static bool
gather_row(void *arg, const struct queue_row *row)
{
	struct gather *g = arg;
	struct row_kept *k;

	if (g->n > 0 && g->rows[0].row.qid != row->qid)
		gathered_add(g);
	if (g->n == g->size) {
		size_t size = g->size > 0 ? g->size * 2 : 16;

		k = realloc(g->rows, size * sizeof(*k));
		if (k == NULL) {
			g->failed = true;
			return false;
		}
		g->rows = k;
		g->size = size;
	}
	k = &g->rows[g->n++];
	k->row = *row;
	k->address = row->kind == RCPT_REMOTE ? strdup(row->address) : NULL;
	k->file = row->file[0] != '\0' ? strdup(row->file) : NULL;
	if ((row->kind == RCPT_REMOTE && k->address == NULL) ||
	    (row->file[0] != '\0' && k->file == NULL))
		g->failed = true;
	return !g->failed;
}

static int
load_index(struct err *err)
{
	struct queue_cursor at = { 0 };
	struct gather g = { 0 };
	int seen = queue_store_walk(
	    store, &at, false, UINT32_MAX / 2, gather_row, &g, &queue.unreadable, err);

	if (seen >= 0 && !g.failed)
		gathered_add(&g);
	gathered_free(&g);
	free(g.rows);
	if (g.failed)
		return err_set(err, ERR_TEMPORARY, "out of memory for the queue's index");
	if (queue.unreadable > 0)
		log_error("queue.db is damaged: %u stretches of it cannot be read, their mail waits. No file of "
			  "the spool or of staged mail is tidied away. Stop the server and run `tegami queue rescue`",
		    queue.unreadable);
	return seen == -1 ? -1 : 0;
}

/* -- the spool at start */

static bool
spool_wanted(void *arg, uint64_t qid)
{
	struct item *it = index_find(queue.index, qid);

	(void)arg;
	return it != NULL && (it->flags & ENVELOPE_SPOOLED) != 0;
}

/* A message whose body is gone is not tried; its row stays for the administrator. */
static void
check_body(void *arg, struct item *it)
{
	unsigned *lost = arg;
	struct err err;
	int fd;

	if ((it->flags & ENVELOPE_SPOOLED) == 0)
		return;
	fd = spool_read(queue.spool_dir, it->qid, it->size, &err);
	if (fd != -1) {
		close(fd);
		return;
	}
	(*lost)++;
	log_error("a queued message is held, its body is missing: %s", err.text);
	for (uint32_t i = 0; i < it->n; i++) {
		if (it->entries[i].state == ENTRY_HELD)
			continue;
		it->entries[i].state = ENTRY_HELD;
		it->entries[i].why = WHY_NO_BODY;
		queue.held++;
	}
}

static int
open_spool(struct err *err)
{
	unsigned lost = 0;
	int removed;

	queue.spool_dir = spool_open_dir(role_file(SETUP_FILE_SPOOL_DIR, ""), err);
	if (queue.spool_dir == -1)
		return -1;
	sandbox_grant_fd(queue.spool_dir, SANDBOX_READ | SANDBOX_WRITE);
	/* a file without a row may be mail whose row cannot be read */
	removed = queue.unreadable > 0 ? 0 : spool_sweep(queue.spool_dir, spool_wanted, NULL, err);
	if (removed == -1)
		return -1;
	if (removed > 0)
		log_info("%d spool files of mail that was never accepted are removed", removed);
	index_each(queue.index, check_body, &lost);
	return 0;
}

static int
queue_open(struct err *err)
{
	sandbox_grant("queue.db", SANDBOX_READ | SANDBOX_WRITE);
	sandbox_grant("queue.db-wal", SANDBOX_READ | SANDBOX_WRITE);
	sandbox_grant("queue.db-shm", SANDBOX_READ | SANDBOX_WRITE);
	queue.index = index_new();
	if (queue.index == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	store = queue_store_open(err);
	if (store == NULL)
		return -1;
	/* after a failed fsync the page cache lies: what the journal holds must be in the database
	 * before anything is added */
	emptied = queue_store_checkpoint(store, true, err) == 0;
	if (emptied)
		queue_store_lengthen(store, QUEUE_JOURNAL_LONG);
	else
		log_error("no mail is taken until the journal can be emptied: %s", err->text);
	if (suspend_load(store, err) == -1 || load_index(err) == -1 || open_spool(err) == -1)
		return -1;
	return 0;
}

/* -- time */

/* What comes in is written to the journal or the spool, and again to a mailbox; and each of its
 * steps writes some pages of the journal. */
#define SPACE_FOR(bytes) (3 * (bytes) + 64 * 1024)

static uint64_t room, used; /* over min_free when we looked last; may have been used since */

/* A file system that counts its inodes and has none left has no room either. */
static uint64_t
free_space(const struct statvfs *fs)
{
	if (fs->f_files > 0 && fs->f_favail < INODES_LEAST)
		return 0;
	return (uint64_t)fs->f_bavail * fs->f_frsize;
}

static void
look_at_space(void)
{
	struct statvfs fs;
	uint64_t least = (uint64_t)role_conf()->limits.min_free, there = UINT64_MAX;
	bool low;

	if (fstatvfs(queue.spool_dir, &fs) == 0)
		there = free_space(&fs);
	if (statvfs("queue.db", &fs) == 0 && free_space(&fs) < there)
		there = free_space(&fs);
	low = there < least;
	room = low ? 0 : there - least;
	used = 0;
	if (low && !queue.no_space)
		log_error("free disk space is below limits.min_free, or there are no inodes left: no mail is "
			  "taken");
	if (!low && queue.no_space)
		log_info("there is disk space again: mail is taken");
	queue.no_space = low;
}

bool
queue_has_space(uint64_t bytes)
{
	used += SPACE_FOR(bytes);
	if (used > room && !queue.no_space) {
		look_at_space();
		used = SPACE_FOR(bytes);
	}
	return !queue.no_space && used <= room;
}

static void
stop_when_quiet(void)
{
	bool quiet = writer_pending(queue.writer) == 0 && workers_pending(queue.workers) == 0 &&
		     report_in_flight() == 0;

	if (clock_mono() < stop_by && (!quiet || local_in_flight() > 0 || remote_in_flight() > 0))
		return;
	if (!quiet && clock_mono() < stop_by + STOP_PATIENCE)
		return;
	writer_free(&queue.writer);
	role_exit(0);
}

/* All by the same: their order stays. */
static void
shift_due(void *arg, struct item *it)
{
	for (uint32_t i = 0; i < it->n; i++)
		if (it->entries[i].heap_at != 0)
			it->entries[i].due += *(int64_t *)arg;
}

static void
look_at_clock(void)
{
	int64_t by = queue_clock_jump(clock_now(), clock_mono());

	if (by == 0)
		return;
	index_each(queue.index, shift_due, &by);
	dests_clock_jumped(by);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (queue.stopping) {
		stop_when_quiet();
		return;
	}
	look_at_clock();
	if (ticks % 10 == 0)
		look_at_space();
	if (ticks % 50 == 0)
		report_retry();
	ticks++;
	flow_wake(clock_now());
	dests_tick(clock_now());
	flow_pump();
}

/* -- life */

static void
begin_item(void *arg, struct item *it)
{
	(void)arg;
	flow_begin(it);
}

static int
queue_start(struct err *err)
{
	static const struct timeval every = { 0, TICK_US };

	queue.writer = writer_new(role_base(), store, emptied, queue.spool_dir, flow_pump, err);
	if (queue.writer == NULL)
		return -1;
	store = NULL;
	queue.workers = workers_new(role_base(), SPOOL_THREADS, 256 * 1024, SPOOL_JOBS, err);
	if (queue.workers == NULL)
		return -1;
	tick = event_new(role_base(), -1, EV_PERSIST, on_tick, NULL);
	if (tick == NULL || event_add(tick, &every) == -1)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	look_at_space();
	index_each(queue.index, begin_item, NULL);
	if (index_items(queue.index) > 0)
		log_info("%llu messages are queued", (unsigned long long)index_items(queue.index));
	return 0;
}

static void
queue_stop(void)
{
	queue.stopping = true;
	stop_by = clock_mono() + STOP_PATIENCE;
	stop_when_quiet();
}

static void
queue_link_up(struct link *l)
{
	if (link_peer(l) == ROLE_MDA)
		local_link_up(l);
	else if (link_peer(l) == ROLE_RELAY)
		remote_link_up(l);
}

static void
queue_link_down(struct link *l)
{
	switch (link_peer(l)) {
	case ROLE_MDA:
		local_link_down(l);
		break;
	case ROLE_RELAY:
		remote_link_down(l);
		break;
	case ROLE_SMTPD:
		spool_link_down(l);
		intake_link_down(l);
		break;
	default:
		break;
	}
}

static const struct msg_handler handlers[] = {
	{ MSG_QUEUE_PUT, intake_on_put },
	{ MSG_QUEUE_RCPTS, intake_on_rcpts },
	{ MSG_SPOOL_DATA, spool_on_data },
	{ MSG_SPOOL_END, spool_on_end },
	{ MSG_SPOOL_DROP, spool_on_drop },
	{ MSG_MDA_STAGED, local_on_staged },
	{ MSG_MDA_PUBLISHED, local_on_published },
	{ MSG_MDA_UNSTAGED, local_on_unstaged },
	{ MSG_RELAY_SENT, remote_on_sent },
	{ MSG_ADMIN, admin_on_request },
	{ MSG_NONE, NULL },
};

int
main(void)
{
	static const struct role_ops ops = {
		.role = ROLE_QUEUE,
		.handlers = handlers,
		.open = queue_open,
		.start = queue_start,
		.link_up = queue_link_up,
		.link_down = queue_link_down,
		.stop = queue_stop,
	};

	return role_main(&ops);
}
