/* queue_writer - the one thread that touches queue.db
 *
 * One batch is with the thread at a time. A batch holds what had been submitted when the thread
 * came free, up to 4 MiB of bodies: a commit with large mail never delays small mail for long.
 * Results are handed to the loop before the thread turns to unlinking and checkpoints, and the next
 * batch is handed to the thread before the loop looks at results.
 *
 * How it fails. Nothing of a failed batch counts: OP_INTAKE is told at once, OP_WORK goes back to
 * the front of the queue and from then on runs in batches of its own, so that one damaged page
 * stops only its own message; the store is not called ill for such a page. An OP_WORK that fails three
 * times alone although checkpoints succeed is
 * given back with its error.
 *
 * Shared between the threads, under the mutex: batch, finished, healthy, alarm, stop. All else
 * belongs to one of them. */
#include "delivery/queue_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "storage/spool.h"

#define BATCH_BYTES (4 * 1024 * 1024)
#define BATCH_OPS 4096
#define FAILURES_MAX 4 /* one in company, three alone */
#define WAL_TIDY (4 * 1024 * 1024)  /* checkpoint when nothing waits */
#define WAL_LONG (16 * 1024 * 1024) /* checkpoint now */
#define WAL_ALARM (256 * 1024 * 1024)

struct op_list {
	struct op *first, **last;
};

struct batch {
	struct op_list ops;
	bool full; /* a list was handed over */
	bool failed;
	struct err err;
};

struct writer {
	struct queue_store *store;
	int spool_dir;
	int wake_fd; /* thread -> loop */
	struct event *wake, *hand_over;
	void (*idle)(void);

	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	struct batch batch, finished;
	bool healthy, stop, wal_alarm;
	struct err unhealthy; /* why; valid while not healthy */

	/* the loop's own */
	struct op_list waiting;
	bool busy; /* a batch is with the thread */
	bool seen_healthy, seen_alarm;
	struct err seen_why;
	unsigned pending;
	size_t pending_bytes;
};

static void
list_init(struct op_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void
list_add(struct op_list *l, struct op *op)
{
	op->next = NULL;
	*l->last = op;
	l->last = &op->next;
}

static struct op *
list_take(struct op_list *l)
{
	struct op *op = l->first;

	if (op != NULL && (l->first = op->next) == NULL)
		l->last = &l->first;
	return op;
}

/* -- the thread */

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

static void
wake_loop(struct writer *w)
{
	uint64_t one = 1;

	while (write(w->wake_fd, &one, sizeof(one)) == -1 && errno == EINTR)
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

	if (wal < (idle ? WAL_TIDY : WAL_LONG))
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

/* -- the loop */

/* What may go into the next batch: reads always, writes only while the store is well, suspects
 * alone. */
static bool
batch_takes(const struct writer *w, const struct op *op, size_t bytes, unsigned n)
{
	if (n == BATCH_OPS)
		return false;
	if (op->kind == OP_READ)
		return true;
	if (!w->seen_healthy)
		return false;
	if (n > 0 && op->failures > 0)
		return false;
	return n == 0 || bytes + op->bytes <= BATCH_BYTES;
}

static void
fill_batch(struct writer *w, struct op_list *out)
{
	struct op_list left;
	struct op *op;
	size_t bytes = 0;
	unsigned n = 0;
	bool closed = false;

	list_init(out);
	list_init(&left);
	while ((op = list_take(&w->waiting)) != NULL) {
		bool write = op->kind != OP_READ;

		if ((write && closed) || !batch_takes(w, op, bytes, n)) {
			closed = true; /* writes keep their order; reads may pass them */
			list_add(&left, op);
			continue;
		}
		bytes += op->bytes;
		n++;
		closed = closed || op->failures > 0;
		list_add(out, op);
	}
	w->waiting = left;
	if (left.first == NULL)
		list_init(&w->waiting);
}

static void
hand_over(evutil_socket_t fd, short what, void *arg)
{
	struct writer *w = arg;
	struct op_list ops;

	(void)fd;
	(void)what;
	if (w->busy || w->waiting.first == NULL)
		return;
	fill_batch(w, &ops);
	if (ops.first == NULL)
		return;
	w->busy = true;
	pthread_mutex_lock(&w->mutex);
	w->batch = (struct batch){ .ops = ops, .full = true };
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

/* Ops that must be written some time go back to the front, in their order. */
static void
requeue(struct writer *w, struct op_list *again)
{
	if (again->first == NULL)
		return;
	*again->last = w->waiting.first;
	if (w->waiting.first == NULL)
		w->waiting.last = again->last;
	w->waiting.first = again->first;
}

static void
finish(struct writer *w, struct op *op, const struct err *err)
{
	w->pending--;
	w->pending_bytes -= op->bytes;
	op->done(op, err);
}

/* Must it be written some time? Not when only its own row can be the reason that it fails. */
static bool
try_again(struct op *op, const struct err *why)
{
	if (op->kind != OP_WORK)
		return false;
	if (why->kind != ERR_FULL)
		op->failures++;
	return op->failures < FAILURES_MAX;
}

static void
results(struct writer *w, struct batch *b)
{
	struct op_list again, failed;
	struct op *op;

	list_init(&again);
	list_init(&failed);
	while ((op = list_take(&b->ops)) != NULL) {
		if (op->kind == OP_READ)
			finish(w, op, op->err.kind == ERR_NONE ? NULL : &op->err);
		else if (!b->failed)
			finish(w, op, NULL);
		else
			list_add(try_again(op, &b->err) ? &again : &failed, op);
	}
	requeue(w, &again);
	while ((op = list_take(&failed)) != NULL)
		finish(w, op, &b->err);
}

/* The store is ill: whoever waits for an answer gets it now. */
static void
refuse_intake(struct writer *w)
{
	struct op_list kept, refused;
	struct op *op;

	list_init(&kept);
	list_init(&refused);
	while ((op = list_take(&w->waiting)) != NULL)
		list_add(op->kind == OP_INTAKE ? &refused : &kept, op);
	requeue(w, &kept);
	while ((op = list_take(&refused)) != NULL)
		finish(w, op, &w->seen_why);
}

/* Copy what the thread says about itself, and tell the administrator when it changes. */
static void
look_at_health(struct writer *w)
{
	bool healthy, alarm;

	pthread_mutex_lock(&w->mutex);
	healthy = w->healthy;
	alarm = w->wal_alarm;
	if (!healthy)
		w->seen_why = w->unhealthy;
	pthread_mutex_unlock(&w->mutex);
	if (w->seen_healthy && !healthy)
		log_error("queue.db cannot be written, no mail is taken until it can: %s",
		    w->seen_why.text);
	if (!w->seen_healthy && healthy)
		log_info("queue.db is writable, mail is taken");
	if (alarm && !w->seen_alarm)
		log_error(
		    "the journal of queue.db is over 256 MiB: does another program hold it open?");
	w->seen_healthy = healthy;
	w->seen_alarm = alarm;
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct writer *w = arg;
	struct batch b = { 0 };
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) == -1)
		return;
	look_at_health(w);
	pthread_mutex_lock(&w->mutex);
	if (w->finished.full) {
		b = w->finished;
		w->finished.full = false;
	}
	pthread_mutex_unlock(&w->mutex);
	if (b.full) {
		w->busy = false;
		if (!b.failed)
			hand_over(-1, 0, w);
		results(w, &b);
	}
	if (!w->seen_healthy)
		refuse_intake(w);
	if (w->idle != NULL)
		w->idle();
	hand_over(-1, 0, w);
}

void
writer_submit(struct writer *w, struct op *op)
{
	static const struct timeval now = { 0, 0 };

	op->failures = 0;
	w->pending++;
	w->pending_bytes += op->bytes;
	list_add(&w->waiting, op);
	/* at the end of this round of events, so that all that came in it is in one commit */
	if (!w->busy && !evtimer_pending(w->hand_over, NULL))
		evtimer_add(w->hand_over, &now);
}

bool
writer_healthy(const struct writer *w, const struct err **why)
{
	if (why != NULL)
		*why = &w->seen_why;
	return w->seen_healthy;
}

unsigned
writer_pending(const struct writer *w)
{
	return w->pending;
}

size_t
writer_pending_bytes(const struct writer *w)
{
	return w->pending_bytes;
}

/* -- life */

static int
start_thread(struct writer *w, struct err *err)
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

struct writer *
writer_new(struct event_base *base, struct queue_store *store, bool healthy, int spool_dir,
    void (*idle)(void), struct err *err)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		return NULL;
	}
	w->store = store;
	w->spool_dir = spool_dir;
	w->idle = idle;
	w->healthy = w->seen_healthy = healthy;
	list_init(&w->waiting);
	err_set(&w->unhealthy, ERR_TEMPORARY, "the queue is being opened");
	w->seen_why = w->unhealthy;
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd == -1) {
		err_sys(err, "cannot make an eventfd");
		goto fail;
	}
	w->wake = event_new(base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w);
	w->hand_over = evtimer_new(base, hand_over, w);
	if (w->wake == NULL || w->hand_over == NULL || event_add(w->wake, NULL) == -1) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		goto fail;
	}
	if (start_thread(w, err) == 0)
		return w;
fail:
	if (w->wake != NULL)
		event_free(w->wake);
	if (w->hand_over != NULL)
		event_free(w->hand_over);
	if (w->wake_fd != -1)
		close(w->wake_fd);
	free(w);
	return NULL;
}

void
writer_free(struct writer **wp)
{
	struct writer *w = *wp;

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->mutex);
	w->stop = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
	pthread_join(w->thread, NULL);
	queue_store_close(&w->store);
	event_free(w->wake);
	event_free(w->hand_over);
	close(w->wake_fd);
	pthread_mutex_destroy(&w->mutex);
	pthread_cond_destroy(&w->cond);
	free(w);
	*wp = NULL;
}
