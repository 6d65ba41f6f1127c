/* control_learn - spam.learn: a filter names the words of a message, control keeps them in score.db
 *
 * The message is read by the process that is made for strange mail; what comes back are hashes of
 * its words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/spam.h"

struct learn {
	enum score_class as;
	bool changed;
	size_t n;
	uint64_t tokens[SCORE_TOKENS_MAX];
};

static void
learn_run(struct job *job)
{
	struct request *r = (struct request *)job;
	struct learn *l = r->own;

	r->rc = score_learn(control.score, l->as, l->tokens, l->n, &l->changed, &r->err);
}

static void
learn_done(struct job *job)
{
	struct request *r = (struct request *)job;
	struct learn *l = r->own;
	char n[24];
	struct admin_word words[] = { { "changed", l->changed ? "yes" : "no" }, { "tokens", n } };

	snprintf(n, sizeof(n), "%zu", l->n);
	if (r->rc == 0)
		request_row(r, words, COUNT(words));
	request_end(r, r->rc == -1 ? &r->err : NULL);
}

/* A row holds tokens as 16 hexadecimal digits each. */
static void
take_tokens(struct learn *l, struct frame *f)
{
	while (wire_more(&f->in) && l->n < SCORE_TOKENS_MAX) {
		struct slice key = wire_bytes(&f->in), value = wire_bytes(&f->in);
		char text[17], *end;

		if (!slice_eq(key, SLICE("token")) || !slice_copy(value, text, sizeof(text)))
			continue;
		l->tokens[l->n] = strtoull(text, &end, 16);
		l->n += *end == '\0' && end != text;
	}
}

static void
on_tokens(void *arg, struct frame *f)
{
	struct request *r = arg;
	struct learn *l = r->own;

	if (f != NULL && f->type == MSG_ADMIN_ROW) {
		take_tokens(l, f);
		return;
	}
	if (request_outcome(f, ROLE_FILTER, &r->err) == -1) {
		request_end(r, &r->err);
		return;
	}
	r->job = (struct job){ learn_run, learn_done, NULL };
	if (l->n > 0 && workers_submit(control.keeper, &r->job) == 0)
		return;
	if (l->n == 0)
		err_set(&r->err, ERR_PERMANENT, "there are no words in this message to learn from");
	else
		err_set(&r->err, ERR_TEMPORARY, "too many requests at once; try again");
	request_end(r, &r->err);
}

void
learn_start(struct request *r)
{
	struct admin_request rq = { .verb = "filter.tokens", .fd = -1 };
	struct learn *l = calloc(1, sizeof(*l));

	r->own = l;
	if (l == NULL)
		err_set(&r->err, ERR_TEMPORARY, "out of memory");
	else if (!spam_class(admin_get(&r->rq, "class"), &l->as))
		err_set(&r->err, ERR_USAGE, "class must be spam or ham");
	else if (r->fd < 0)
		err_set(&r->err, ERR_USAGE, "the message is missing");
	else if (request_ask(ROLE_FILTER, &rq, r->fd, on_tokens, r, &r->err) == 0)
		return;
	request_end(r, &r->err);
}
