/* queue_content - the texts and the body of a message
 *
 * A small fresh message goes on straight from memory; when more than KEEP_MAX of them wait it is
 * dropped and read again by the writer thread when its turn comes. Errors: whoever wants it is told
 * why it cannot be read. */
#include "delivery/queue_content.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "delivery/queue.h"
#include "storage/spool.h"

#define KEEP_MAX (24 * 1024 * 1024)
#define FDS_KEPT 100
#define READS_MAX 3
#define HEAD_MAX (16 * 1024)

struct want {
	struct want *next;
	content_fn *fn;
	void *arg;
};

struct load {
	struct op op;
	struct item *item;
	struct content *content; /* what was read */
	struct want *first, **last;
	int spool_dir;
};

static size_t memory;
static unsigned open_fds;

struct content *
content_new(struct queue_content *qc, int fd)
{
	struct content *c = malloc(sizeof(*c));

	if (c == NULL) {
		queue_content_free(qc);
		if (fd != -1)
			close(fd);
		return NULL;
	}
	*c = (struct content){ .c = *qc, .fd = fd };
	c->bytes = pool_used(qc->pool) + sizeof(*c);
	return c;
}

void
content_free(struct content **c)
{
	if (*c == NULL)
		return;
	queue_content_free(&(*c)->c);
	if ((*c)->fd != -1)
		close((*c)->fd);
	free(*c);
	*c = NULL;
}

/* -- in an item */

static void
attach(struct item *it, struct content *c)
{
	it->content = c;
	memory += c->bytes;
	open_fds += c->fd != -1;
}

static void
detach(struct item *it)
{
	if (it->content == NULL)
		return;
	memory -= it->content->bytes;
	open_fds -= it->content->fd != -1;
	content_free(&it->content);
}

void
content_keep(struct item *it, struct content *c)
{
	if (memory + c->bytes > KEEP_MAX || (c->fd != -1 && open_fds >= FDS_KEPT)) {
		content_free(&c);
		return;
	}
	attach(it, c);
}

void
content_release(struct item *it)
{
	if (--it->users > 0 || it->load != NULL)
		return;
	detach(it);
	flow_over(it);
}

void
content_drop(struct item *it)
{
	detach(it);
}

size_t
content_memory(void)
{
	return memory;
}

/* -- reading */

static int
load_run(struct op *op, struct queue_store *s, struct err *err)
{
	struct load *load = (struct load *)op;
	struct queue_content c;
	int fd = -1;

	if (queue_store_load(s, op->qid, &c, err) == -1)
		return -1;
	if ((c.e.flags & ENVELOPE_SPOOLED) != 0) {
		fd = spool_read(load->spool_dir, op->qid, c.e.size, err);
		if (fd == -1) {
			queue_content_free(&c);
			return -1;
		}
	}
	load->content = content_new(&c, fd);
	return load->content != NULL ? 0 : err_set(err, ERR_TEMPORARY, "out of memory");
}

/* A disk that fails to read something once may do it the next time: it is called damaged after the third. */
static bool
try_again(struct item *it, const struct err *err)
{
	if (err->kind == ERR_TEMPORARY || it->unread + 1 >= READS_MAX)
		return err->kind == ERR_TEMPORARY;
	it->unread++;
	log_warning("a message of the queue cannot be read, it is tried again: %s", err->text);
	return true;
}

static void
load_done(struct op *op, const struct err *err)
{
	struct load *load = (struct load *)op;
	struct item *it = load->item;
	struct want *want;
	struct err later;

	it->load = NULL;
	if (err == NULL) {
		it->unread = 0;
		attach(it, load->content);
	} else if (try_again(it, err)) {
		later = *err;
		later.kind = ERR_TEMPORARY;
		err = &later;
	}
	while ((want = load->first) != NULL) {
		load->first = want->next;
		want->fn(it, want->arg, err);
		free(want);
	}
	free(load);
}

static struct load *
load_begin(struct item *it)
{
	struct load *load = calloc(1, sizeof(*load));

	if (load == NULL)
		return NULL;
	load->op =
	    (struct op){ .kind = OP_READ, .qid = it->qid, .run = load_run, .done = load_done };
	load->item = it;
	load->last = &load->first;
	load->spool_dir = queue.spool_dir;
	it->load = load;
	writer_submit(queue.writer, &load->op);
	return load;
}

void
content_want(struct item *it, content_fn *fn, void *arg)
{
	struct want *want;
	struct err err;

	it->users++;
	if (it->content != NULL) {
		fn(it, arg, NULL);
		return;
	}
	want = malloc(sizeof(*want));
	if (want == NULL || (it->load == NULL && load_begin(it) == NULL)) {
		free(want);
		err_set(&err, ERR_TEMPORARY, "out of memory");
		fn(it, arg, &err);
		return;
	}
	*want = (struct want){ .fn = fn, .arg = arg };
	*it->load->last = want;
	it->load->last = &want->next;
}

/* -- looking into it */

const struct rcpt *
content_rcpt(const struct item *it, uint32_t n)
{
	const struct queue_content *c;
	size_t lo = 0, hi;

	if (it->content == NULL)
		return NULL;
	c = &it->content->c;
	if (c->numbers == NULL)
		return n < c->e.n_rcpts ? &c->e.rcpts[n] : NULL;
	hi = c->e.n_rcpts;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->numbers[mid] == n)
			return &c->e.rcpts[mid];
		if (c->numbers[mid] < n)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

struct slice
content_head(const struct content *c, size_t most)
{
	static char head[HEAD_MAX];
	ssize_t n;

	if (c->fd == -1)
		return slice_first(c->c.e.body, most);
	n = pread(c->fd, head, most < sizeof(head) ? most : sizeof(head), 0);
	return (struct slice){ head, n > 0 ? (size_t)n : 0 };
}
