/* admin - a verb of the administrator, with words, answered by rows
 *
 * A request is one ADMIN frame, an answer any number of ADMIN_ROW frames and one ADMIN_END. Rows
 * stop before they fill the link's queue (events and log lines share it): the end then says how
 * many were sent, as a temporary error, so that nobody takes half a list for a whole one. A value
 * too long for a frame is cut.
 *
 * Errors: ERR_USAGE for an unknown verb or a word that is no number. */
#include "base/admin.h"

#include <stdarg.h>
#include <string.h>

#define ROW_BACKLOG_MAX (LINK_QUEUE_MAX / 2)
#define ROW_PAIRS_MAX 64
#define ROW_BYTES_MAX (FRAME_MAX - FRAME_HEADER - 1024)

const char *
admin_get_at(const struct admin_request *rq, const char *key, size_t i)
{
	for (size_t w = 0; w < rq->n_words; w++)
		if (strcmp(rq->words[w].key, key) == 0 && i-- == 0)
			return rq->words[w].value;
	return NULL;
}

const char *
admin_get(const struct admin_request *rq, const char *key)
{
	return admin_get_at(rq, key, 0);
}

int
admin_get_u64(
    const struct admin_request *rq, const char *key, uint64_t none, uint64_t *out, struct err *err)
{
	const char *value = admin_get(rq, key);

	*out = none;
	if (value == NULL)
		return 0;
	if (!slice_to_u64(slice_of(value), out)) {
		*out = none;
		return err_set(err, ERR_USAGE, "%s must be a number, not \"%.60s\"", key, value);
	}
	return 0;
}

void
admin_row(struct admin_out *out, ...)
{
	struct admin_word words[ROW_PAIRS_MAX];
	size_t n = 0;
	va_list ap;

	va_start(ap, out);
	for (const char *key; n < COUNT(words) && (key = va_arg(ap, const char *)) != NULL; n++) {
		const char *value = va_arg(ap, const char *);

		words[n] = (struct admin_word){ key, value != NULL ? value : "" };
	}
	va_end(ap);
	out->row(out, words, n);
}

int
admin_run(const struct admin_verb *verbs, void *owner, const struct admin_request *rq,
    struct admin_out *out, struct err *err)
{
	for (const struct admin_verb *v = verbs; v->verb != NULL; v++)
		if (strcmp(v->verb, rq->verb) == 0)
			return v->run(owner, rq, out, err);
	return err_set(err, ERR_USAGE, "no such request: %.60s", rq->verb);
}

int
admin_from_frame(struct frame *f, struct pool *pool, struct admin_request *rq)
{
	memset(rq, 0, sizeof(*rq));
	rq->fd = f->fd;
	rq->verb = wire_text(&f->in, pool);
	while (wire_more(&f->in)) {
		if (rq->n_words == ADMIN_WORDS_MAX)
			return -1;
		struct admin_word *w = &rq->words[rq->n_words++];

		w->key = wire_text(&f->in, pool);
		w->value = wire_text(&f->in, pool);
	}
	return wire_end(&f->in);
}

void
admin_put(struct buf *out, const struct admin_request *rq)
{
	wire_put_text(out, rq->verb);
	for (size_t i = 0; i < rq->n_words; i++) {
		wire_put_text(out, rq->words[i].key);
		wire_put_text(out, rq->words[i].value);
	}
}

/* The pairs of a row; what no longer fits is cut, keys stay whole. */
static void
row_put(struct buf *b, const struct admin_word *words, size_t n)
{
	size_t left = ROW_BYTES_MAX;

	for (size_t i = 0; i < n; i++) {
		struct slice value = slice_of(words[i].value);
		size_t cost = WIRE_COST(strlen(words[i].key)) + WIRE_COST(0);

		if (cost > left)
			return;
		left -= cost;
		value = slice_first(value, left);
		left -= value.len;
		wire_put_text(b, words[i].key);
		wire_put_bytes(b, value);
	}
}

void
admin_reply_row(struct reply_to to, const struct admin_word *words, size_t n)
{
	row_put(reply_begin(to, MSG_ADMIN_ROW), words, n);
	reply_send(to, -1);
}

void
admin_reply_end(struct reply_to to, const struct err *err)
{
	struct buf *b = reply_begin(to, MSG_ADMIN_END);

	wire_put_u64(b, err != NULL ? err->kind : ERR_NONE);
	wire_put_text(b, err != NULL ? err->text : "");
	reply_send(to, -1);
}

/* -- a verb that answers at once */

struct serve_out {
	struct admin_out out; /* first: rows come in by this pointer */
	struct reply_to to;
	struct link *link;
	size_t sent, left_out;
};

static void
serve_row(struct admin_out *out, const struct admin_word *words, size_t n)
{
	struct serve_out *s = (struct serve_out *)out;

	if (s->left_out > 0 || link_backlog(s->link) > ROW_BACKLOG_MAX) {
		s->left_out++;
		return;
	}
	admin_reply_row(s->to, words, n);
	s->sent++;
}

void
admin_serve(struct frame *f, const struct admin_verb *verbs, void *owner)
{
	struct serve_out s = { { serve_row }, reply_later(f), f->link, 0, 0 };
	struct pool *pool = pool_new(2 * FRAME_MAX);
	struct admin_request rq;
	struct err err = { .kind = ERR_NONE };
	int rc;

	if (pool == NULL || admin_from_frame(f, pool, &rq) == -1)
		rc = err_set(&err, ERR_USAGE, "the request cannot be read");
	else
		rc = admin_run(verbs, owner, &rq, &s.out, &err);
	if (rc == 0 && s.left_out > 0)
		rc = err_set(&err, ERR_TEMPORARY,
		    "the list is too long: these are the first %zu of %zu; ask for a part of it",
		    s.sent, s.sent + s.left_out);
	admin_reply_end(s.to, rc == 0 ? NULL : &err);
	pool_free(&pool);
}
