/* worker - threads that do what would block, with their results back on the event loop
 *
 * Jobs wait in one list under one mutex; finished ones in another, and an eventfd wakes the
 * loop. */
#include "base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS_MAX 64

struct list {
	struct job *first, **tail;
};

struct workers {
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	struct list waiting, finished;
	unsigned pending, most;	/* pending: the loop's thread only */
	unsigned n;
	pthread_t threads[THREADS_MAX];
	int fd;
	struct event *event;
	bool ending;
};

static void
list_init(struct list *l)
{
	l->first = NULL;
	l->tail = &l->first;
}

static void
list_add(struct list *l, struct job *job)
{
	job->next = NULL;
	*l->tail = job;
	l->tail = &job->next;
}

static struct job *
list_take(struct list *l)
{
	struct job *job = l->first;

	if (job == NULL)
		return NULL;
	l->first = job->next;
	if (l->first == NULL)
		l->tail = &l->first;
	return job;
}

static void *
worker(void *arg)
{
	struct workers *w = arg;
	const uint64_t one = 1;

	pthread_mutex_lock(&w->mutex);
	for (;;) {
		struct job *job;
		bool first;

		while (w->waiting.first == NULL && !w->ending)
			pthread_cond_wait(&w->wake, &w->mutex);
		if (w->ending)
			break;
		job = list_take(&w->waiting);
		pthread_mutex_unlock(&w->mutex);
		job->run(job);
		pthread_mutex_lock(&w->mutex);
		first = w->finished.first == NULL;
		list_add(&w->finished, job);
		/* one wake-up serves all that finish before the loop looks */
		if (first && write(w->fd, &one, sizeof one) < 0 && errno != EAGAIN)
			abort();
	}
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

static void
on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct workers *w = arg;
	struct job *job, *next;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
		return;
	pthread_mutex_lock(&w->mutex);
	job = w->finished.first;
	list_init(&w->finished);
	pthread_mutex_unlock(&w->mutex);
	for (; job != NULL; job = next) {
		next = job->next;
		w->pending--;
		job->done(job);
	}
}

static int
threads_start(struct workers *w, unsigned n, size_t stack)
{
	pthread_attr_t attr;
	int rc = 0;

	pthread_attr_init(&attr);
	if (stack > 0)
		pthread_attr_setstacksize(&attr, stack);
	while (w->n < n && w->n < THREADS_MAX &&
	    (rc = pthread_create(&w->threads[w->n], &attr, worker, w)) == 0)
		w->n++;
	pthread_attr_destroy(&attr);
	errno = rc;
	return w->n > 0 ? 0 : -1;
}

struct workers *
workers_new(struct event_base *base, unsigned n, size_t stack, unsigned most, struct err *err)
{
	struct workers *w = calloc(1, sizeof *w);

	if (w == NULL) {
		err_sys(err, "no memory for threads");
		return NULL;
	}
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->wake, NULL);
	list_init(&w->waiting);
	list_init(&w->finished);
	w->most = most;
	w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->event = w->fd >= 0 ? event_new(base, w->fd, EV_READ | EV_PERSIST, on_finished, w) : NULL;
	if (w->event == NULL || event_add(w->event, NULL) == -1 ||
	    threads_start(w, n, stack) == -1) {
		err_sys(err, "cannot start threads");
		workers_free(&w);
	}
	return w;
}

int
workers_submit(struct workers *w, struct job *job)
{
	if (w->pending >= w->most)
		return -1;
	w->pending++;
	pthread_mutex_lock(&w->mutex);
	list_add(&w->waiting, job);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
	return 0;
}

unsigned
workers_pending(const struct workers *w)
{
	return w->pending;
}

void
workers_free(struct workers **wp)
{
	struct workers *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->mutex);
	w->ending = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->mutex);
	for (unsigned i = 0; i < w->n; i++)
		pthread_join(w->threads[i], NULL);
	if (w->event != NULL)
		event_free(w->event);
	if (w->fd >= 0)
		close(w->fd);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->mutex);
	free(w);
}
