/* queue_writer_thread - the writer's half in its thread: runs batches, checkpoints, unlinks
 *
 * Results are handed to the loop before it turns to unlinking and checkpoints. It never logs: what the loop
 * has to tell is left in struct writer. While the store is ill it tries to heal it every second. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "delivery/queue_writer_state.h"
#include "storage/spool.h"

#define WAL_TIDY (4 * 1024 * 1024)  /* checkpoint when nothing waits */
#define WAKE_TRIES 1000
#define WAL_ALARM (256 * 1024 * 1024)

static void
run_reads(struct writer *w, struct op_list *ops)
{
	for (struct op *op = ops->first; op != NULL; op = op->next) {
		if (op->kind != OP_READ)
			continue;
		op->err.kind = ERR_NONE;
		if (op->run(op, w->store, &op->err) == 0)
			op->err.kind = ERR_NONE; /* of something on the way that it went round */
		else if (op->err.kind == ERR_NONE)
			op->err.kind = ERR_TEMPORARY;
	}
}

static int
run_writes(struct writer *w, struct op_list *ops, struct err *err)
{
	bool any = false;

	for (struct op *op = ops->first; op != NULL; op = op->next) {
		if (op->kind == OP_READ)
			continue;
		if (!any && queue_store_begin(w->store, err) == -1)
			return -1;
		any = true;
		if (op->run(op, w->store, err) == -1)
			return -1;
	}
	return any ? queue_store_commit(w->store, err) : 0;
}

static void
go_unhealthy(struct writer *w, const struct err *err)
{
	pthread_mutex_lock(&w->mutex);
	w->healthy = false;
	w->unhealthy = *err;
	pthread_mutex_unlock(&w->mutex);
}

static void
run_batch(struct writer *w, struct batch *b)
{
	b->failed = run_writes(w, &b->ops, &b->err) == -1;
	if (b->failed) {
		bool page = queue_store_page_damaged(w->store);

		queue_store_rollback(w->store);
		if (!page)
			go_unhealthy(w, &b->err);
	}
	run_reads(w, &b->ops);
}

/* The loop waits for nothing else, so whatever the error is, it is tried again; EAGAIN says that a wake-up is waiting already. */
static void
wake_loop(struct writer *w)
{
	uint64_t one = 1;

	for (int i = 0; i < WAKE_TRIES && write(w->wake_fd, &one, sizeof(one)) == -1 && errno != EAGAIN; i++)
		;
}

/* The files of finished messages go after their rows. The ids were noted before the results were
 * handed over. */
struct unlinks {
	uint64_t qids[BATCH_OPS];
	size_t n;
};

static void
note_unlinks(struct unlinks *u, const struct batch *b)
{
	u->n = 0;
	if (b->failed)
		return;
	for (const struct op *op = b->ops.first; op != NULL; op = op->next)
		if (op->unlink)
			u->qids[u->n++] = op->qid;
}

static void
tidy(struct writer *w, bool idle)
{
	int64_t wal = queue_store_wal_bytes(w->store);
	struct err err = { 0 };

	if (wal < (idle ? WAL_TIDY : QUEUE_JOURNAL_LONG))
		return;
	if (queue_store_checkpoint(w->store, false, &err) == -1)
		go_unhealthy(w, &err);
	pthread_mutex_lock(&w->mutex);
	w->wal_alarm = queue_store_wal_bytes(w->store) > WAL_ALARM;
	pthread_mutex_unlock(&w->mutex);
}

static void
heal(struct writer *w)
{
	struct err err = { 0 };
	int rc = queue_store_checkpoint(w->store, true, &err);

	if (rc == 0)
		queue_store_lengthen(w->store, QUEUE_JOURNAL_LONG);
	pthread_mutex_lock(&w->mutex);
	w->healthy = rc == 0;
	if (rc == -1)
		w->unhealthy = err;
	pthread_mutex_unlock(&w->mutex);
	wake_loop(w);
}

/* With the mutex held: wait for a batch, but at most a second while the store is ill. */
static void
wait_for_work(struct writer *w)
{
	struct timespec until;

	if (w->healthy) {
		pthread_cond_wait(&w->cond, &w->mutex);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	pthread_cond_timedwait(&w->cond, &w->mutex, &until);
}

static void
work(struct writer *w, struct batch *b, struct unlinks *u)
{
	bool idle;

	run_batch(w, b);
	note_unlinks(u, b);
	pthread_mutex_lock(&w->mutex);
	w->finished = *b;
	pthread_mutex_unlock(&w->mutex);
	wake_loop(w);
	for (size_t i = 0; i < u->n; i++)
		spool_remove(w->spool_dir, u->qids[i]);
	pthread_mutex_lock(&w->mutex);
	idle = !w->batch.full;
	pthread_mutex_unlock(&w->mutex);
	tidy(w, idle);
}

static void *
writer_thread(void *arg)
{
	struct writer *w = arg;
	struct unlinks *u = malloc(sizeof(*u));
	struct batch b;
	bool ill;

	pthread_mutex_lock(&w->mutex);
	ill = !w->healthy;
	while (u != NULL) {
		if (ill) {
			pthread_mutex_unlock(&w->mutex);
			heal(w);
			pthread_mutex_lock(&w->mutex);
		}
		if (!w->batch.full && !w->stop)
			wait_for_work(w);
		ill = !w->healthy && !w->batch.full && !w->stop;
		if (w->batch.full) {
			b = w->batch;
			w->batch.full = false;
			pthread_mutex_unlock(&w->mutex);
			work(w, &b, u);
			pthread_mutex_lock(&w->mutex);
		} else if (w->stop) {
			break;
		}
	}
	pthread_mutex_unlock(&w->mutex);
	free(u);
	return NULL;
}

int
writer_thread_start(struct writer *w, struct err *err)
{
	pthread_condattr_t attr;
	sigset_t all, old;
	int rc;

	pthread_mutex_init(&w->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->cond, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&w->thread, NULL, writer_thread, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		errno = rc;
		return err_sys(err, "cannot start the queue's writer thread");
	}
	return 0;
}
