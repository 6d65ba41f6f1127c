/* queue_writer - the one thread that touches queue.db
 *
 * One batch is with the thread at a time. A batch holds what had been submitted when the thread
 * came free, up to 4 MiB of bodies: a commit with large mail never delays small mail for long.
 * Results are handed to the loop before the thread turns to unlinking and checkpoints, and the next
 * batch is handed to the thread before the loop looks at results.
 *
 * How it fails. Nothing of a failed batch counts: OP_INTAKE is told at once, OP_WORK goes back to
 * the front of the queue and from then on runs in batches of its own, so that one damaged page
 * stops only its own message; the store is not called ill for such a page. An OP_WORK that fails
 * three times alone although checkpoints succeed is given back with its error.
 *
 * This is the loop's half; queue_writer_thread.c is the thread's. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "delivery/queue_writer_state.h"

#define BATCH_BYTES (4 * 1024 * 1024)
#define FAILURES_MAX 4 /* one in company, three alone */

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

	op_list_init(out);
	op_list_init(&left);
	while ((op = op_list_take(&w->waiting)) != NULL) {
		bool write = op->kind != OP_READ;

		if ((write && closed) || !batch_takes(w, op, bytes, n)) {
			closed = true; /* writes keep their order; reads may pass them */
			op_list_add(&left, op);
			continue;
		}
		bytes += op->bytes;
		n++;
		closed = closed || op->failures > 0;
		op_list_add(out, op);
	}
	w->waiting = left;
	if (left.first == NULL)
		op_list_init(&w->waiting);
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

	op_list_init(&again);
	op_list_init(&failed);
	while ((op = op_list_take(&b->ops)) != NULL) {
		if (op->kind == OP_READ)
			finish(w, op, op->err.kind == ERR_NONE ? NULL : &op->err);
		else if (!b->failed)
			finish(w, op, NULL);
		else
			op_list_add(try_again(op, &b->err) ? &again : &failed, op);
	}
	requeue(w, &again);
	while ((op = op_list_take(&failed)) != NULL)
		finish(w, op, &b->err);
}

/* The store is ill: whoever waits for an answer gets it now. */
static void
refuse_intake(struct writer *w)
{
	struct op_list kept, refused;
	struct op *op;

	op_list_init(&kept);
	op_list_init(&refused);
	while ((op = op_list_take(&w->waiting)) != NULL)
		op_list_add(op->kind == OP_INTAKE ? &refused : &kept, op);
	requeue(w, &kept);
	while ((op = op_list_take(&refused)) != NULL)
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
	op_list_add(&w->waiting, op);
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
	op_list_init(&w->waiting);
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
	if (writer_thread_start(w, err) == 0)
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
