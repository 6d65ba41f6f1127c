/* mda - writes mail into Maildirs
 *
 * usage: started by tegamid, with mail_dir as working directory and nothing else it could open.
 *
 * queue hands over messages to stage (MDA_STAGE) and staged files to publish (MDA_PUBLISH); each
 * is answered only when what the answer says survives a power cut (the states and barriers are
 * drawn at the top of mda_batch.c). This file is the event loop's side: it copies frames into
 * items, and gives everything that has arrived to a lane as one batch as soon as the lane's last
 * one is done. So the batches grow with the load, by themselves.
 *
 *	lane	takes					so that
 *	short	bodies in frames, all publishing	many share one barrier
 *	long	bodies in spool files			a large mail does not delay small ones
 *	usage	MDA_USAGE: how full is a mailbox	counting files delays nobody
 *
 * MDA_UNSTAGE waits until both lanes are idle, and they wait for it. Over the ceilings a request
 * is answered STEP_TEMPORARY at once. When queue's link ends, what waits is dropped (nobody
 * wants the answer) and what runs is finished. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "base/worker.h"
#include "delivery/mda_batch.h"
#include "delivery/mda_sweep.h"
#include "delivery/mda_usage.h"

#define THREADS 3
#define BATCH_FILES 512
#define BATCH_BYTES (16u * 1024 * 1024)
#define BATCH_SPOOLED 8  /* messages */
#define WAIT_FILES 16384 /* recipients that may wait */
#define WAIT_BYTES (64u * 1024 * 1024)
#define WAIT_SPOOLED 128 /* each holds a descriptor */
#define WHYS_SHORT                                                                                 \
	200 /* answers with more recipients than this have short reasons, to fit a frame */

struct lane {
	struct job job; /* first */
	struct batch batch;
	struct item *head, **tail; /* what waits */
	unsigned items, files;
	size_t bytes;
	bool running;
};

enum { LANE_SHORT, LANE_LONG, LANES };

static struct {
	int root;
	struct stage stage;
	struct workers *workers;
	struct event *kick;
	struct lane lanes[LANES];
	struct {
		struct job job; /* first */
		struct keep keep, taken;
		struct reply_to to;
		uint64_t removed;
		struct err err;
		int rc;
		bool wanted, running;
	} sweep;
	bool stopping;
} mda;

static void
kick(void)
{
	event_active(mda.kick, EV_TIMEOUT, 0);
}

/* -- answers */

static void
answer_staged(const struct item *item)
{
	struct buf *out = reply_begin(item->to, MSG_MDA_STAGED);

	if (out == NULL)
		return;
	wire_put_u64(out, item->qid);
	for (unsigned i = 0; i < item->n; i++) {
		struct result *r = &item->results[i];

		if (item->n > WHYS_SHORT && r->status != STEP_OK)
			r->text[40] = 0;
		wire_put_u64(out, r->rcpt);
		wire_put_u64(out, r->status);
		wire_put_text(out, r->text);
		wire_put_u64(out, r->status == STEP_OK ? r->size : 0);
	}
	if (reply_send(item->to, -1) == -1)
		log_warning("an answer to queue (staged) could not be sent");
}

static void
answer_published(const struct item *item)
{
	struct buf *out = reply_begin(item->to, MSG_MDA_PUBLISHED);

	if (out == NULL)
		return;
	for (unsigned i = 0; i < item->n; i++) {
		struct result *r = &item->results[i];

		if (item->n > WHYS_SHORT)
			r->text[40] = 0;
		wire_put_u64(out, r->qid);
		wire_put_u64(out, r->rcpt);
		wire_put_u64(out, r->status);
		wire_put_text(out, r->text);
	}
	if (reply_send(item->to, -1) == -1)
		log_warning("an answer to queue (published) could not be sent");
}

static void
answer(const struct item *item)
{
	(item->type == MSG_MDA_STAGE ? answer_staged : answer_published)(item);
}

/* -- lanes */

static void
lane_clear(struct lane *l)
{
	l->head = NULL;
	l->tail = &l->head;
	l->items = l->files = 0;
	l->bytes = 0;
}

static void
lane_drop(struct lane *l)
{
	struct item *next;

	for (struct item *i = l->head; i != NULL; i = next) {
		next = i->next;
		item_free(i);
	}
	lane_clear(l);
}

/* Move what makes one batch from the waiting list to the batch: at least one item. */
static void
lane_take(struct lane *l)
{
	unsigned files = 0, items = 0;
	struct item **end = &l->head;
	size_t bytes = 0;

	while (*end != NULL) {
		struct item *i = *end;

		if (items > 0 && (files + i->n > BATCH_FILES || bytes + i->len > BATCH_BYTES ||
				     (l->batch.spooled && items == BATCH_SPOOLED)))
			break;
		files += i->n;
		bytes += i->len;
		items++;
		end = &i->next;
	}
	l->batch.items = l->head;
	l->head = *end;
	*end = NULL;
	l->items -= items;
	l->files -= files;
	l->bytes -= bytes;
	if (l->head == NULL)
		l->tail = &l->head;
}

static void
lane_run(struct job *job)
{
	batch_run(&((struct lane *)job)->batch);
}

static void
lane_start(struct lane *l)
{
	if (l->running || l->head == NULL || mda.sweep.wanted || mda.sweep.running)
		return;
	lane_take(l);
	l->running = workers_submit(mda.workers, &l->job) == 0;
	if (!l->running) /* cannot be: there are as many threads as jobs */
		log_error("no thread for a batch");
}

static void
lane_done(struct job *job)
{
	struct lane *l = (struct lane *)job;
	struct item *i, *next;

	if (l->batch.trouble[0] != 0)
		log_error("%s", l->batch.trouble);
	for (i = l->batch.items; i != NULL; i = next) {
		next = i->next;
		answer(i);
		item_free(i);
	}
	l->batch.items = NULL;
	l->running = false;
	kick();
}

static bool
lane_full(const struct lane *l, const struct item *item)
{
	return l->items > 0 &&
	       (l->files + item->n > WAIT_FILES || l->bytes + item->len > WAIT_BYTES ||
		   (l->batch.spooled && l->items >= WAIT_SPOOLED));
}

static void
lane_put(struct lane *l, struct item *item)
{
	struct err err = { 0 };

	if (mda.stopping || lane_full(l, item)) {
		err_set(&err, ERR_TEMPORARY,
		    mda.stopping ? "mda is stopping" : "mda has too much to do");
		item_refuse(item, &err);
		answer(item);
		item_free(item);
		return;
	}
	*l->tail = item;
	l->tail = &item->next;
	l->items++;
	l->files += item->n;
	l->bytes += item->len;
	kick();
}

static void
on_step(struct frame *f)
{
	struct item *item = item_new(f);

	if (item == NULL) {
		frame_fail(f, "no memory for a message");
		return;
	}
	lane_put(&mda.lanes[item->fd != -1 ? LANE_LONG : LANE_SHORT], item);
}

/* -- sweeping */

static void
on_keep(struct frame *f)
{
	while (wire_more(&f->in))
		keep_add(&mda.sweep.keep, wire_bytes(&f->in));
}

static void
on_unstage(struct frame *f)
{
	on_keep(f);
	mda.sweep.to = reply_later(f);
	mda.sweep.wanted = true;
	kick();
}

static void
sweep_run(struct job *job)
{
	(void)job;
	mda.sweep.rc =
	    sweep(mda.root, &mda.stage, &mda.sweep.taken, &mda.sweep.removed, &mda.sweep.err);
}

static void
sweep_done(struct job *job)
{
	struct buf *out;

	(void)job;
	if (mda.sweep.rc == -1)
		log_warning("staged files: %s", mda.sweep.err.text);
	if (mda.sweep.removed > 0)
		log_info("%llu staged files of attempts that ended before their mail was delivered "
			 "are removed",
		    (unsigned long long)mda.sweep.removed);
	keep_free(&mda.sweep.taken);
	mda.sweep.running = false;
	out = reply_begin(mda.sweep.to, MSG_MDA_UNSTAGED);
	if (out != NULL) {
		wire_put_u64(out, mda.sweep.removed);
		reply_send(mda.sweep.to, -1);
	}
	kick();
}

static void
sweep_start(void)
{
	if (!mda.sweep.wanted || mda.sweep.running || mda.lanes[LANE_SHORT].running ||
	    mda.lanes[LANE_LONG].running)
		return;
	mda.sweep.wanted = false;
	mda.sweep.taken = mda.sweep.keep;
	mda.sweep.keep = (struct keep){ 0 };
	mda.sweep.running = workers_submit(mda.workers, &mda.sweep.job) == 0;
}

/* -- the role */

/* Whatever came in this turn of the loop is there now: start what can start. */
static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	sweep_start();
	for (int i = 0; i < LANES; i++)
		lane_start(&mda.lanes[i]);
	usage_start(mda.workers);
	if (mda.stopping && !mda.lanes[LANE_SHORT].running && !mda.lanes[LANE_LONG].running)
		role_exit(0);
}

/* How many folders a lane may hold open. */
static unsigned
folders_most(void)
{
	struct rlimit r;
	rlim_t n;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return 64;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	n = r.rlim_cur > 512 ? (r.rlim_cur - 384) / 4 : 32;
	return n > 1024 ? 1024 : (unsigned)n;
}

static int
lane_open(struct lane *l, bool spooled, unsigned most, struct err *err)
{
	lane_clear(l);
	l->job = (struct job){ .run = lane_run, .done = lane_done };
	l->batch.spooled = spooled;
	l->batch.places = places_new(mda.root, &mda.stage, most);
	l->batch.work = malloc(BATCH_WORK);
	if (l->batch.places == NULL || l->batch.work == NULL)
		return err_set(err, ERR_TEMPORARY, "no memory");
	return 0;
}

static int
mda_open(struct err *err)
{
	unsigned most = folders_most();

	umask(0077);
	sandbox_grant(".", SANDBOX_READ | SANDBOX_WRITE);
	mda.root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mda.root == -1)
		return err_sys(err, "cannot open the mail directory");
	if (stage_open(&mda.stage, mda.root, STAGE_DIR, true, err) == -1)
		return err_context(err, "mail directory");
	if (lane_open(&mda.lanes[LANE_SHORT], false, most, err) == -1 ||
	    lane_open(&mda.lanes[LANE_LONG], true, most < 64 ? most : 64, err) == -1)
		return -1;
	usage_open(mda.root, kick);
	mda.sweep.job = (struct job){ .run = sweep_run, .done = sweep_done };
	return 0;
}

static int
mda_start(struct err *err)
{
	mda.kick = event_new(role_base(), -1, EV_PERSIST, on_kick, NULL);
	if (mda.kick == NULL)
		return err_set(err, ERR_TEMPORARY, "no memory");
	mda.workers = workers_new(role_base(), THREADS, 256 * 1024, 16, err);
	if (mda.workers == NULL)
		return -1;
	kick();
	return 0;
}

static void
on_usage(struct frame *f)
{
	usage_ask(f);
	kick();
}

static void
mda_link_down(struct link *l)
{
	if (link_peer(l) != ROLE_QUEUE)
		return;
	for (int i = 0; i < LANES; i++)
		lane_drop(&mda.lanes[i]);
	mda.sweep.wanted = false;
	keep_free(&mda.sweep.keep);
}

static void
mda_stop(void)
{
	mda.stopping = true;
	for (int i = 0; i < LANES; i++)
		lane_drop(&mda.lanes[i]);
	kick();
}

static const struct msg_handler handlers[] = {
	{ MSG_MDA_STAGE, on_step },
	{ MSG_MDA_PUBLISH, on_step },
	{ MSG_MDA_KEEP, on_keep },
	{ MSG_MDA_UNSTAGE, on_unstage },
	{ MSG_MDA_USAGE, on_usage },
	{ MSG_NONE, NULL },
};

int
main(void)
{
	static const struct role_ops ops = {
		.role = ROLE_MDA,
		.handlers = handlers,
		.open = mda_open,
		.start = mda_start,
		.link_down = mda_link_down,
		.stop = mda_stop,
	};

	return role_main(&ops);
}
