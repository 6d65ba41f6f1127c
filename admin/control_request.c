/* control_request - one request of the administrator: its steps, asked of the owners one after the
 * other
 *
 * Rows pass through as they come. When the second step fails, what the first had done is undone
 * where the plan says how. An owner that dies meanwhile is a temporary error; the request is not
 * repeated, for it may have been done. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/log.h"

static void step(struct request *r);
static answer_fn undone;

void
request_refuse(struct frame *f, const char *why)
{
	struct err err;

	err_set(&err, ERR_PERMANENT, "%s", why);
	admin_reply_end(reply_later(f), &err);
}

/* The texts may hold a password. */
static void
forget_words(struct request *r)
{
	for (size_t i = 0; i < r->rq.n_words; i++)
		explicit_bzero(
		    (char *)(uintptr_t)r->rq.words[i].value, strlen(r->rq.words[i].value));
}

void
request_end(struct request *r, const struct err *err)
{
	admin_reply_end(r->to, err);
	forget_words(r);
	pool_free(&r->pool);
	if (r->fd >= 0)
		close(r->fd);
	free(r->own);
	free(r);
	control.requests--;
}

bool
request_row(struct request *r, const struct admin_word *words, size_t n)
{
	struct link *l = link_by_serial(r->to.link_serial);

	if (l == NULL || link_backlog(l) > ANSWER_BACKLOG_MAX)
		return false;
	admin_reply_row(r->to, words, n);
	return true;
}

/* -- asking an owner */

int
request_ask(enum role role, const struct admin_request *rq, int fd, answer_fn *fn, void *arg,
    struct err *err)
{
	struct buf *b;

	if (role_link(role) == NULL)
		return err_set(err, ERR_TEMPORARY,
		    "%s is not running just now; try again in a moment", role_name(role));
	b = request_begin(MSG_ADMIN);
	wire_put_text(b, rq->verb);
	for (size_t i = 0; i < rq->n_words; i++) {
		if (!verb_word_goes(&rq->words[i], role))
			continue;
		wire_put_text(b, rq->words[i].key);
		wire_put_text(b, rq->words[i].value);
	}
	if (link_request(role_link(role), fd, fn, arg) == 0)
		return err_set(err, ERR_TEMPORARY, "%s is too busy just now; try again in a moment",
		    role_name(role));
	return 0;
}

int
request_outcome(struct frame *f, enum role role, struct err *err)
{
	uint64_t kind;
	struct slice why;

	if (f == NULL)
		return err_set(err, ERR_TEMPORARY,
		    "%s stopped before it had answered; look whether it was done before you try "
		    "again",
		    role_name(role));
	if (f->type != MSG_ADMIN_END)
		return err_set(err, ERR_BUG, "%s answered something else", role_name(role));
	kind = wire_u64(&f->in);
	why = wire_bytes(&f->in);
	if (kind == ERR_NONE)
		return 0;
	return err_set(
	    err, kind <= ERR_BUG ? (enum err_kind)kind : ERR_TEMPORARY, "%.*s", SLICE_ARG(why));
}

static void
pass_row(struct request *r, struct frame *f)
{
	struct link *l = link_by_serial(r->to.link_serial);
	struct buf *b;

	if (r->plan.step[r->step].quiet || r->undoing || l == NULL)
		return;
	if (link_backlog(l) > ANSWER_BACKLOG_MAX) {
		r->rc = err_set(&r->err, ERR_TEMPORARY,
		    "the list is too long to be read at this pace; ask for a part of it");
		return;
	}
	b = reply_begin(r->to, MSG_ADMIN_ROW);
	buf_append(b, f->in.at, (size_t)(f->in.end - f->in.at));
	reply_send(r->to, -1);
}

static void
step_failed(struct request *r)
{
	const struct verb_step *s = &r->plan.step[r->step];
	struct admin_request undo = r->rq;
	struct err ignored;

	if (s->undo == NULL || r->step == 0) {
		request_end(r, &r->err);
		return;
	}
	log_warning("%s failed (%s); undoing its first part", r->rq.verb, r->err.text);
	r->undoing = true;
	r->step--;
	undo.verb = s->undo;
	undo.n_words = 0;
	for (size_t i = 0; i < r->rq.n_words; i++)
		if (strcmp(r->rq.words[i].key, "address") == 0)
			undo.words[undo.n_words++] = r->rq.words[i];
	if (request_ask(r->plan.step[r->step].role, &undo, -1, undone, r, &ignored) == -1)
		request_end(r, &r->err);
}

static void
undone(void *arg, struct frame *f)
{
	struct request *r = arg;

	if (f == NULL || f->type != MSG_ADMIN_ROW)
		request_end(r, &r->err);
}

static void
on_answer(void *arg, struct frame *f)
{
	struct request *r = arg;
	const struct verb_step *s = &r->plan.step[r->step];
	struct err err = { .kind = ERR_NONE };

	if (f != NULL && f->type == MSG_ADMIN_ROW) {
		pass_row(r, f);
		return;
	}
	if (request_outcome(f, s->role, &err) == -1 &&
	    !(s->may_miss && err.kind == ERR_NOT_FOUND)) {
		r->err = err;
		step_failed(r);
		return;
	}
	if (++r->step < r->plan.n)
		step(r);
	else
		request_end(r, r->rc == -1 ? &r->err : NULL);
}

static void
step(struct request *r)
{
	const struct verb_step *s = &r->plan.step[r->step];
	struct admin_request rq = r->rq;

	if (s->role == ROLE_CONTROL) {
		own_start(r);
		return;
	}
	rq.verb = s->verb;
	if (request_ask(s->role, &rq, r->fd, on_answer, r, &r->err) == -1)
		step_failed(r);
}

void
request_start(struct frame *f)
{
	struct request *r;

	if (control.requests >= REQUESTS_MAX || role_stopping() ||
	    (r = calloc(1, sizeof(*r))) == NULL) {
		request_refuse(f, role_stopping() ? "the server is stopping"
						  : "too many requests at once; try again");
		return;
	}
	control.requests++;
	r->to = reply_later(f);
	r->fd = -1;
	r->pool = pool_new(2 * FRAME_MAX);
	if (r->pool == NULL || admin_from_frame(f, r->pool, &r->rq) == -1) {
		err_set(&r->err, ERR_USAGE, "the request cannot be read");
		request_end(r, &r->err);
		return;
	}
	r->fd = frame_take_fd(f);
	r->rq.fd = -1;
	if (verb_plan(r->rq.verb, &r->plan, &r->err) == -1)
		request_end(r, &r->err);
	else
		step(r);
}
