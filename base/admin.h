/* admin - a verb of the administrator, with words, answered by rows
 *
 * The same functions serve the CLI through `control` while the server runs and directly on the
 * files while it is down. */
#ifndef BASE_ADMIN_H
#define BASE_ADMIN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/link.h"

#define ADMIN_WORDS_MAX 256

struct admin_word {
	const char *key, *value;
};

struct admin_request {
	const char *verb; /* "user.add" */
	struct admin_word words[ADMIN_WORDS_MAX];
	size_t n_words;
	int fd; /* -1, or a message file (filter.test, spam.learn) */
};

/* The first value under `key`, or NULL. */
const char *admin_get(const struct admin_request *rq, const char *key);
/* The i-th value under `key` (0, 1, ...), or NULL at the end. */
const char *admin_get_at(const struct admin_request *rq, const char *key, size_t i);
/* As a number; `none` when absent. -1 + ERR_USAGE when it is not one. */
int admin_get_u64(
    const struct admin_request *rq, const char *key, uint64_t none, uint64_t *out, struct err *err);

/* Where rows go: a frame each over IPC, or straight to the CLI's table. */
struct admin_out {
	void (*row)(struct admin_out *out, const struct admin_word *words, size_t n);
};
/* One row: key, value, key, value, ..., NULL. NULL values are "". */
void admin_row(struct admin_out *out, ...) __attribute__((sentinel));

/* A verb of one owner: 0, or -1 and err. */
struct admin_verb {
	const char *verb;
	int (*run)(
	    void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err);
};
/* Find and run it; ERR_USAGE when the table (ended by NULL) has none of that name. */
int admin_run(const struct admin_verb *verbs, void *owner, const struct admin_request *rq,
    struct admin_out *out, struct err *err);

/* For a role's MSG_ADMIN handler: read the request (texts in `pool`; -1 when bad) ... */
int admin_from_frame(struct frame *f, struct pool *pool, struct admin_request *rq);
/* ... run it, send every row and the end to the asker. For verbs that answer at once. */
void admin_serve(struct frame *f, const struct admin_verb *verbs, void *owner);
/* ... or later, row by row. */
void admin_reply_row(struct reply_to to, const struct admin_word *words, size_t n);
void admin_reply_end(struct reply_to to, const struct err *err /* NULL: done */);
/* Put a request into an ADMIN frame begun with request_begin. */
void admin_put(struct buf *out, const struct admin_request *rq);

#endif
