/* transaction - one mail, from MAIL to the reply to its end */
#include <stdlib.h>
#include <string.h>

#include "smtp/session.h"
#include "smtp/spool.h"

#define POOL_MAX (16 * 1024 * 1024)
#define RCPTS_MAX 20000 /* after expansion */

struct transaction *
transaction_new(void)
{
	struct transaction *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->pool = pool_new(POOL_MAX)) == NULL) {
		free(t);
		return NULL;
	}
	buf_init(&t->body, BODY_IN_FRAME_MAX);
	buf_init(&t->trace, ENVELOPE_PREFIX_MAX);
	return t;
}

void
transaction_free(struct transaction **tp)
{
	struct transaction *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	spool_free(&t->spool);
	buf_free(&t->body);
	buf_free(&t->trace);
	free(t->rcpts);
	free(t->hashes);
	pool_free(&t->pool);
	free(t);
}

size_t
transaction_memory(const struct transaction *t)
{
	return sizeof(*t) + pool_used(t->pool) + t->body.size + t->trace.size +
	       t->rcpts_size * (sizeof(*t->rcpts) + sizeof(*t->hashes));
}

static uint32_t
hash_of(const struct rcpt *r)
{
	uint32_t h = 2166136261u + r->kind;

	for (const char *p = r->address; *p != '\0'; p++)
		h = (h ^ (unsigned char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p)) * 16777619u;
	return h;
}

static struct rcpt *
find(const struct transaction *t, const struct rcpt *r, uint32_t hash)
{
	for (size_t i = 0; i < t->n_rcpts; i++)
		if (t->hashes[i] == hash && t->rcpts[i].kind == r->kind &&
		    slice_eq_nocase(slice_of(t->rcpts[i].address), slice_of(r->address)) &&
		    strcmp(t->rcpts[i].folder, r->folder) == 0)
			return &t->rcpts[i];
	return NULL;
}

/* Named twice: whatever one of them wants to be told is told. */
static unsigned
notify_both(unsigned a, unsigned b)
{
	const unsigned standard = NOTIFY_FAILURE | NOTIFY_DELAY;

	if (a == b)
		return a;
	return ((a != 0 ? a : standard) | (b != 0 ? b : standard)) & ~(unsigned)NOTIFY_NEVER;
}

static int
grow(struct transaction *t)
{
	size_t size = t->rcpts_size > 0 ? t->rcpts_size * 2 : 4;
	struct rcpt *rcpts = reallocarray(t->rcpts, size, sizeof(*rcpts));
	uint32_t *hashes;

	if (rcpts == NULL)
		return -1;
	t->rcpts = rcpts;
	if ((hashes = reallocarray(t->hashes, size, sizeof(*hashes))) == NULL)
		return -1;
	t->hashes = hashes;
	t->rcpts_size = size;
	return 0;
}

int
transaction_add(struct transaction *t, const struct rcpt *r)
{
	uint32_t hash = hash_of(r);
	struct rcpt *at = find(t, r, hash);

	if (at != NULL) {
		at->notify = notify_both(at->notify, r->notify);
		return 0;
	}
	if (t->n_rcpts == RCPTS_MAX || (t->n_rcpts == t->rcpts_size && grow(t) == -1))
		return -1;
	at = &t->rcpts[t->n_rcpts];
	at->kind = r->kind;
	at->address = pool_text(t->pool, slice_of(r->address));
	at->home = pool_text(t->pool, slice_of(r->home));
	at->folder = pool_text(t->pool, slice_of(r->folder));
	at->original = pool_text(t->pool, slice_of(r->original));
	at->notify = r->notify;
	at->orcpt = pool_text(t->pool, slice_of(r->orcpt));
	if (at->address == NULL || at->home == NULL || at->folder == NULL || at->original == NULL ||
	    at->orcpt == NULL)
		return -1;
	t->hashes[t->n_rcpts++] = hash;
	return 0;
}
