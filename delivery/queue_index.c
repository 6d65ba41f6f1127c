/* queue_index - what is queued, in memory
 *
 * Two hash tables that double, and a binary heap of due times that remembers each entry's place in
 * it. Memory is asked for when a message is added; everything else cannot fail. */
#include "delivery/queue_index.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 1024

struct index {
	struct item **items;
	size_t n_buckets, n_items;
	struct dest **dests;
	size_t n_dest_buckets, n_dests;
	struct entry **heap; /* from 1 */
	size_t heap_n, heap_size;
	size_t n_entries, n_done; /* done ones stay until their message goes */
	uint64_t bytes;
};

const char *
entry_why_text(enum entry_why why)
{
	static const char *const texts[] = {
		[WHY_IN_ROW] = "",
		[WHY_ROW_DAMAGED] = "its record in queue.db cannot be changed, three times tried: the file is damaged "
				    "there; stop the server and run `tegami queue rescue`",
		[WHY_NO_BODY] = "the file of its body is missing in the spool, or has another size: put it back and "
				"restart, or delete the message",
		[WHY_NO_MEMORY] = "there was no memory to go on with it; `tegami queue release` tries again",
	};

	return texts[why];
}

const char *
entry_state_name(enum entry_state state)
{
	static const char *const names[ENTRY_STATES] = {
		[ENTRY_NEW] = "new",
		[ENTRY_WAITING] = "waiting",
		[ENTRY_READY] = "ready",
		[ENTRY_PICKED] = "active",
		[ENTRY_STAGING] = "active",
		[ENTRY_COMMITTING] = "active",
		[ENTRY_STAGED] = "staged",
		[ENTRY_PUBLISHING] = "active",
		[ENTRY_SENDING] = "active",
		[ENTRY_FAILED] = "failed",
		[ENTRY_OWED] = "reporting",
		[ENTRY_SETTLING] = "active",
		[ENTRY_HELD] = "held",
		[ENTRY_DONE] = "done",
	};

	return state < ENTRY_STATES ? names[state] : "unknown";
}

struct index *
index_new(void)
{
	struct index *ix = calloc(1, sizeof(*ix));

	if (ix == NULL)
		return NULL;
	ix->n_buckets = ix->n_dest_buckets = BUCKETS_FIRST;
	ix->items = calloc(BUCKETS_FIRST, sizeof(*ix->items));
	ix->dests = calloc(BUCKETS_FIRST, sizeof(*ix->dests));
	if (ix->items == NULL || ix->dests == NULL)
		index_free(&ix);
	return ix;
}

void
index_free(struct index **ixp)
{
	struct index *ix = *ixp;

	if (ix == NULL)
		return;
	for (size_t b = 0; ix->items != NULL && b < ix->n_buckets; b++)
		while (ix->items[b] != NULL)
			index_remove(ix, ix->items[b]);
	free(ix->items);
	free(ix->dests);
	free(ix->heap);
	free(ix);
	*ixp = NULL;
}

/* -- messages */

static size_t
qid_bucket(uint64_t qid, size_t buckets)
{
	qid *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(qid >> 32) & (buckets - 1);
}

static void
grow_items(struct index *ix)
{
	size_t n = ix->n_buckets * 2;
	struct item **items = calloc(n, sizeof(*items));
	struct item *it;

	if (items == NULL)
		return; /* longer chains then */
	for (size_t b = 0; b < ix->n_buckets; b++) {
		while ((it = ix->items[b]) != NULL) {
			size_t to = qid_bucket(it->qid, n);

			ix->items[b] = it->hash_next;
			it->hash_next = items[to];
			items[to] = it;
		}
	}
	free(ix->items);
	ix->items = items;
	ix->n_buckets = n;
}

struct item *
index_find(struct index *ix, uint64_t qid)
{
	struct item *it = ix->items[qid_bucket(qid, ix->n_buckets)];

	while (it != NULL && it->qid != qid)
		it = it->hash_next;
	return it;
}

static int
heap_reserve(struct index *ix, size_t entries)
{
	size_t size = ix->heap_size > 0 ? ix->heap_size : BUCKETS_FIRST;
	struct entry **heap;

	while (size < entries + 1)
		size *= 2;
	if (size == ix->heap_size)
		return 0;
	heap = realloc(ix->heap, size * sizeof(struct entry *));
	if (heap == NULL)
		return -1;
	ix->heap = heap;
	ix->heap_size = size;
	return 0;
}

static size_t
item_bytes(uint32_t n)
{
	return sizeof(struct item) + n * sizeof(struct entry);
}

struct item *
index_add(struct index *ix, uint64_t qid, uint16_t flags, uint64_t size, uint32_t n)
{
	struct item *it;
	size_t b;

	if (index_find(ix, qid) != NULL || heap_reserve(ix, ix->n_entries + n) == -1)
		return NULL;
	it = calloc(1, item_bytes(n));
	if (it == NULL)
		return NULL;
	if (ix->n_items >= ix->n_buckets)
		grow_items(ix);
	*it = (struct item){
		.qid = qid, .flags = flags, .size = size, .n = n, .alive = n, .left = n
	};
	for (uint32_t i = 0; i < n; i++) {
		it->entries[i].item = it;
		it->entries[i].n = i;
	}
	b = qid_bucket(qid, ix->n_buckets);
	it->hash_next = ix->items[b];
	ix->items[b] = it;
	ix->n_items++;
	ix->n_entries += n;
	ix->bytes += item_bytes(n);
	return it;
}

static void dest_release(struct index *ix, struct entry *e);

void
index_remove(struct index *ix, struct item *it)
{
	struct item **at = &ix->items[qid_bucket(it->qid, ix->n_buckets)];

	while (*at != it)
		at = &(*at)->hash_next;
	*at = it->hash_next;
	for (uint32_t i = 0; i < it->n; i++) {
		due_clear(ix, &it->entries[i]);
		dest_release(ix, &it->entries[i]);
		free(it->entries[i].file);
	}
	ix->n_items--;
	ix->n_entries -= it->n;
	ix->n_done -= it->n - it->alive;
	ix->bytes -= item_bytes(it->n);
	free(it);
}

bool
index_each_some(struct index *ix, size_t *at, void (*fn)(void *arg, struct item *it), void *arg)
{
	struct item *it, *next;

	if (*at >= ix->n_buckets)
		return false;
	for (it = ix->items[(*at)++]; it != NULL; it = next) {
		next = it->hash_next;
		fn(arg, it);
	}
	return true;
}

void
index_each(struct index *ix, void (*fn)(void *arg, struct item *it), void *arg)
{
	size_t at = 0;

	while (index_each_some(ix, &at, fn, arg))
		;
}

uint64_t
index_items(const struct index *ix)
{
	return ix->n_items;
}

uint64_t
index_entries(const struct index *ix)
{
	return ix->n_entries;
}

uint64_t
index_alive(const struct index *ix)
{
	return ix->n_entries - ix->n_done;
}

void
index_done(struct index *ix, struct entry *e)
{
	e->state = ENTRY_DONE;
	e->item->alive--;
	ix->n_done++;
}

uint64_t
index_memory(const struct index *ix)
{
	return ix->bytes + (ix->n_buckets + ix->n_dest_buckets + ix->heap_size) * sizeof(void *);
}

/* -- destinations */

static size_t
domain_bucket(const char *domain, size_t len, size_t buckets)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)domain[i]) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 29) & (buckets - 1);
}

static void
grow_dests(struct index *ix)
{
	size_t n = ix->n_dest_buckets * 2;
	struct dest **dests = calloc(n, sizeof(*dests));
	struct dest *d;

	if (dests == NULL)
		return;
	for (size_t b = 0; b < ix->n_dest_buckets; b++) {
		while ((d = ix->dests[b]) != NULL) {
			size_t to = domain_bucket(d->domain, d->len, n);

			ix->dests[b] = d->hash_next;
			d->hash_next = dests[to];
			dests[to] = d;
		}
	}
	free(ix->dests);
	ix->dests = dests;
	ix->n_dest_buckets = n;
}

static struct dest *
dest_new(struct index *ix, const char *domain, size_t len)
{
	struct dest *d = calloc(1, sizeof(*d) + len + 1);
	size_t b;

	if (d == NULL)
		return NULL;
	if (ix->n_dests >= ix->n_dest_buckets)
		grow_dests(ix);
	TAILQ_INIT(&d->ready);
	d->len = (uint16_t)len;
	memcpy(d->domain, domain, len);
	b = domain_bucket(domain, len, ix->n_dest_buckets);
	d->hash_next = ix->dests[b];
	ix->dests[b] = d;
	ix->n_dests++;
	ix->bytes += sizeof(*d) + len + 1;
	return d;
}

struct dest *
index_dest(struct index *ix, struct slice name, bool make)
{
	char domain[256];
	struct dest *dest;

	name = slice_first(name, 255);
	for (size_t i = 0; i < name.len; i++)
		domain[i] = (char)tolower((unsigned char)name.at[i]);
	dest = ix->dests[domain_bucket(domain, name.len, ix->n_dest_buckets)];
	while (dest != NULL &&
	       !(dest->len == name.len && memcmp(dest->domain, domain, name.len) == 0))
		dest = dest->hash_next;
	return dest == NULL && make ? dest_new(ix, domain, name.len) : dest;
}

int
index_set_dest(struct index *ix, struct entry *e, struct slice address)
{
	ptrdiff_t at = slice_find_last(address, '@');
	struct dest *dest = index_dest(ix, slice_skip(address, at >= 0 ? (size_t)at + 1 : 0), true);

	if (dest == NULL)
		return -1;
	dest->entries++;
	e->dest = dest;
	return 0;
}

void
index_each_dest(struct index *ix, void (*fn)(void *arg, struct dest *d), void *arg)
{
	for (size_t b = 0; b < ix->n_dest_buckets; b++)
		for (struct dest *d = ix->dests[b]; d != NULL; d = d->hash_next)
			fn(arg, d);
}

void
index_settle_dest(struct index *ix, struct dest *d)
{
	struct dest **at;

	if (d->entries > 0 || d->linked || d->paused || d->active > 0 || d->suspended != NULL)
		return;
	at = &ix->dests[domain_bucket(d->domain, d->len, ix->n_dest_buckets)];
	while (*at != d)
		at = &(*at)->hash_next;
	*at = d->hash_next;
	ix->n_dests--;
	ix->bytes -= sizeof(*d) + d->len + 1u;
	free(d->said);
	free(d);
}

static void
dest_release(struct index *ix, struct entry *e)
{
	struct dest *d = e->dest;

	if (d == NULL)
		return;
	e->dest = NULL;
	d->entries--;
	index_settle_dest(ix, d);
}

uint64_t
index_dests(const struct index *ix)
{
	return ix->n_dests;
}

/* -- due times */

static void
heap_place(struct index *ix, size_t at, struct entry *e)
{
	ix->heap[at] = e;
	e->heap_at = (uint32_t)at;
}

static void
heap_up(struct index *ix, size_t at, struct entry *e)
{
	while (at > 1 && ix->heap[at / 2]->due > e->due) {
		heap_place(ix, at, ix->heap[at / 2]);
		at /= 2;
	}
	heap_place(ix, at, e);
}

static void
heap_down(struct index *ix, size_t at, struct entry *e)
{
	size_t child;

	while ((child = at * 2) <= ix->heap_n) {
		if (child < ix->heap_n && ix->heap[child + 1]->due < ix->heap[child]->due)
			child++;
		if (ix->heap[child]->due >= e->due)
			break;
		heap_place(ix, at, ix->heap[child]);
		at = child;
	}
	heap_place(ix, at, e);
}

void
due_clear(struct index *ix, struct entry *e)
{
	size_t at = e->heap_at;
	struct entry *last;

	if (at == 0)
		return;
	e->heap_at = 0;
	last = ix->heap[ix->heap_n--];
	if (last == e)
		return;
	if (at > 1 && ix->heap[at / 2]->due > last->due)
		heap_up(ix, at, last);
	else
		heap_down(ix, at, last);
}

void
due_set(struct index *ix, struct entry *e, int64_t when)
{
	due_clear(ix, e);
	e->due = when;
	ix->heap_n++;
	heap_up(ix, ix->heap_n, e);
}

struct entry *
due_first(struct index *ix)
{
	return ix->heap_n > 0 ? ix->heap[1] : NULL;
}
