/* pages_tree - see pages_tree.h */
#include "storage/pages_tree.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 20
#define SCHEMA_COLUMNS 5

enum page_type { INDEX_NODE = 2, TABLE_NODE = 5, INDEX_LEAF = 10, TABLE_LEAF = 13 };
enum { MARK_NEW, MARK_SEEN, MARK_FREE, MARK_LATER };

struct reading {
	const struct pages *pages;
	const struct tree_table *tables;
	size_t n_tables, most;
	void (*fn)(void *arg, const struct tree_row *row);
	void *arg;
	struct tree_found *found;
	uint8_t *mark; /* by page */
	unsigned char *record, *overflow;
	uint32_t usable; /* bytes of a page */
	int64_t last;    /* row id, in the tree that is read */
};

struct page { /* a page of a tree, looked at */
	unsigned char *at;
	uint32_t number, header, cells, first_pointer;
	enum page_type type;
	size_t table;
	bool doubtful;
};

/* -- records */

/* Bytes used, 0: it does not end within `len`. */
static size_t
varint(const unsigned char *at, size_t len, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 9 && i < len; i++) {
		if (i == 8) {
			*out = v << 8 | at[8];
			return 9;
		}
		v = v << 7 | (at[i] & 0x7f);
		if ((at[i] & 0x80) == 0) {
			*out = v;
			return i + 1;
		}
	}
	return 0;
}

static int64_t
number(const unsigned char *at, size_t len)
{
	uint64_t v = len > 0 && (at[0] & 0x80) != 0 ? UINT64_MAX : 0;

	for (size_t i = 0; i < len; i++)
		v = v << 8 | at[i];
	return (int64_t)v;
}

/* Bytes in the body; -1: no such type. */
static int64_t
value_size(uint64_t type)
{
	static const int8_t sizes[] = { 0, 1, 2, 3, 4, 6, 8, 8, 0, 0, -1, -1 };

	if (type < COUNT(sizes))
		return sizes[type];
	return type / 2 < INT32_MAX ? (int64_t)(type - 12) / 2 : -1;
}

static void
value_set(struct tree_value *v, uint64_t type, struct slice rest, size_t len)
{
	*v = (struct tree_value){ .kind = TREE_NUMBER, .cut = rest.len < len };
	v->bytes = slice_first(rest, len);
	if (type >= 12)
		v->kind = type % 2 == 0 ? TREE_BLOB : TREE_TEXT;
	else if (type == 0)
		v->kind = TREE_NULL;
	else if (type >= 8)
		v->number = (int64_t)type - 8;
	else if (!v->cut)
		v->number = number((const unsigned char *)v->bytes.at, len);
}

size_t
tree_columns(struct slice record, struct tree_value *values, size_t most)
{
	const unsigned char *at = (const unsigned char *)record.at;
	uint64_t head, type;
	size_t used = varint(at, record.len, &head), n = 0, more;
	struct slice rest;

	if (used == 0 || head > record.len || head < used)
		return 0;
	rest = slice_skip(record, head);
	while (used < head) {
		int64_t len;

		more = varint(at + used, head - used, &type);
		len = more > 0 ? value_size(type) : -1;
		if (len == -1)
			return 0;
		if (n < most)
			value_set(&values[n], type, rest, (size_t)len);
		n++;
		used += more;
		rest = slice_skip(rest, (size_t)len);
	}
	return n < most ? n : most;
}

/* -- cells */

/* How much of a payload is on its page (section 1.6 of the format). */
static uint32_t
local_size(const struct reading *r, bool table, uint64_t payload)
{
	uint32_t u = r->usable, most = table ? u - 35 : (u - 12) * 64 / 255 - 23;
	uint32_t least = (u - 12) * 32 / 255 - 23;
	uint64_t fit = least + (payload - least) % (u - 4);

	if (payload <= most)
		return (uint32_t)payload;
	return (uint32_t)(fit <= most ? fit : least);
}

/* The rest of a record, page after page. Returns bytes that are there. */
static size_t
overflow_read(struct reading *r, uint32_t next, size_t have, size_t want)
{
	while (have < want) {
		size_t n = want - have < r->usable - 4 ? want - have : r->usable - 4;

		if (next == 0 || next > pages_count(r->pages) || r->mark[next] != MARK_NEW ||
		    pages_outdated(r->pages, next) ||
		    pages_read(r->pages, next, r->overflow) == -1) {
			r->found->bad_pages++;
			break;
		}
		r->mark[next] = MARK_SEEN;
		memcpy(r->record + have, r->overflow + 4, n);
		have += n;
		next = pages_u32(r->overflow);
	}
	return have;
}

struct cell {
	uint32_t child; /* of a node */
	uint64_t payload, rowid;
	uint32_t at, local,
	    size; /* the payload's place on the page; bytes that the cell takes there */
	uint32_t overflow;
	bool has_row;
};

static bool
cell_parse(const struct reading *r, const struct page *pg, uint32_t offset, struct cell *c)
{
	bool node = pg->type == INDEX_NODE || pg->type == TABLE_NODE;
	bool table = pg->type == TABLE_LEAF || pg->type == TABLE_NODE;
	uint32_t at = offset + (node ? 4 : 0);
	size_t used;

	*c = (struct cell){ .has_row = pg->type != TABLE_NODE };
	if (at > r->usable)
		return false;
	if (node)
		c->child = pages_u32(pg->at + offset);
	if (c->has_row) {
		used = varint(pg->at + at, r->usable - at, &c->payload);
		at += (uint32_t)used;
		if (used == 0 || c->payload > INT32_MAX)
			return false;
	}
	if (table) {
		used = varint(pg->at + at, r->usable - at, &c->rowid);
		at += (uint32_t)used;
		if (used == 0)
			return false;
	}
	c->at = at;
	c->local = c->has_row ? local_size(r, table, c->payload) : 0;
	c->size = at - offset + c->local + (c->local < c->payload ? 4 : 0);
	if (at + c->local + (c->local < c->payload ? 4 : 0) > r->usable)
		return false;
	if (c->local < c->payload)
		c->overflow = pages_u32(pg->at + at + c->local);
	if (c->size < 4)
		c->size = 4;
	return true;
}

static void
row_give(struct reading *r, const struct page *pg, const struct cell *c)
{
	struct tree_row row = {
		.table = pg->table, .rowid = (int64_t)c->rowid, .whole = c->payload
	};
	size_t want = c->payload < r->most ? (size_t)c->payload : r->most;
	size_t have = c->local < want ? c->local : want;

	memcpy(r->record, pg->at + c->at, have);
	if (have < want)
		have = overflow_read(r, c->overflow, have, want);
	row.record = (struct slice){ (char *)r->record, have };
	row.doubtful = pg->doubtful;
	r->fn(r->arg, &row);
}

/* -- pages of a tree */

static bool
page_look(const struct reading *r, struct page *pg)
{
	const unsigned char *h;
	bool node;

	pg->header = pg->number == 1 ? 100 : 0;
	h = pg->at + pg->header;
	pg->type = (enum page_type)h[0];
	if (h[0] != INDEX_NODE && h[0] != TABLE_NODE && h[0] != INDEX_LEAF && h[0] != TABLE_LEAF)
		return false;
	node = pg->type == INDEX_NODE || pg->type == TABLE_NODE;
	pg->cells = pages_u16(h + 3);
	pg->first_pointer = pg->header + (node ? 12 : 8);
	return pg->first_pointer + 2 * pg->cells <= r->usable;
}

static bool
is_of(const struct reading *r, const struct page *pg)
{
	bool table = pg->type == TABLE_LEAF || pg->type == TABLE_NODE;

	return r->tables[pg->table].rowid == table;
}

/* Do cells, gaps and crumbs make up all of the page? When not, a cell too many may be one that was deleted. */
static bool
page_adds_up(const struct reading *r, const struct page *pg)
{
	const unsigned char *h = pg->at + pg->header;
	uint32_t begin = pages_u16(h + 5) == 0 ? 65536 : pages_u16(h + 5), sum = h[7];
	uint32_t gap = pages_u16(h + 1), last = 0;
	struct cell c;

	if (begin < pg->first_pointer + 2 * pg->cells || begin > r->usable)
		return false;
	for (uint32_t i = 0; i < pg->cells; i++) {
		uint32_t offset = pages_u16(pg->at + pg->first_pointer + 2 * i);

		if (offset < begin || !cell_parse(r, pg, offset, &c))
			return false;
		sum += c.size;
	}
	for (; gap != 0; gap = pages_u16(pg->at + gap)) {
		if (gap <= last || gap < begin || gap + 4 > r->usable)
			return false;
		sum += pages_u16(pg->at + gap + 2);
		last = gap;
	}
	return sum == r->usable - begin;
}

static void tree_page(struct reading *r, size_t table, uint32_t n, unsigned depth);

/* The rows of a page; `follow`: and what it leads to. */
static void
page_cells(struct reading *r, const struct page *pg, unsigned depth, bool follow)
{
	bool node = pg->type == INDEX_NODE || pg->type == TABLE_NODE;

	for (uint32_t i = 0; i < pg->cells; i++) {
		struct cell c;

		if (!cell_parse(r, pg, pages_u16(pg->at + pg->first_pointer + 2 * i), &c))
			continue;
		if (node && follow)
			tree_page(r, pg->table, c.child, depth + 1);
		if (follow && (int64_t)c.rowid < r->last && r->tables[pg->table].rowid)
			r->found->bad_pages++;
		r->last = (int64_t)c.rowid;
		if (c.has_row)
			row_give(r, pg, &c);
	}
	if (node && follow)
		tree_page(r, pg->table, pages_u32(pg->at + pg->header + 8), depth + 1);
}

/* A page that is not to be trusted leads nowhere: what hangs on it is found among the strays. */
static void
tree_page(struct reading *r, size_t table, uint32_t n, unsigned depth)
{
	struct page pg = { .number = n, .table = table };

	if (n == 0 || n > pages_count(r->pages) || r->mark[n] == MARK_SEEN ||
	    r->mark[n] == MARK_LATER || depth > DEPTH_MAX) {
		r->found->bad_pages++;
		return;
	}
	pg.at = malloc(pages_size(r->pages));
	if (pg.at != NULL && pages_read(r->pages, n, pg.at) == 0 && page_look(r, &pg) &&
	    is_of(r, &pg) && page_adds_up(r, &pg) && !pages_outdated(r->pages, n)) {
		r->mark[n] = MARK_SEEN;
		page_cells(r, &pg, depth, true);
	} else {
		r->mark[n] = MARK_LATER;
		r->found->bad_pages++;
	}
	free(pg.at);
}

/* -- what is free, what was lost */

/* The free pages are not looked at. One bad link, and nobody knows any more which they are. */
static void
free_list(struct reading *r, const unsigned char *first)
{
	uint32_t trunk = pages_u32(first + 32), left = pages_u32(first + 36),
		 most = pages_count(r->pages);
	unsigned char *at = r->overflow;

	r->found->no_free_list = pages_health(r->pages)->no_header || pages_outdated(r->pages, 1);
	while (trunk != 0 && !r->found->no_free_list) {
		uint32_t n;

		if (trunk > most || r->mark[trunk] != MARK_NEW || left == 0 ||
		    pages_outdated(r->pages, trunk) || pages_read(r->pages, trunk, at) == -1 ||
		    (n = pages_u32(at + 4)) > r->usable / 4 - 2 || n + 1 > left) {
			r->found->no_free_list = true;
			break;
		}
		r->mark[trunk] = MARK_FREE;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t leaf = pages_u32(at + 8 + 4 * i);

			if (leaf == 0 || leaf > most || r->mark[leaf] != MARK_NEW)
				r->found->no_free_list = true;
			else
				r->mark[leaf] = MARK_FREE;
		}
		left -= n + 1;
		trunk = pages_u32(at);
	}
	if (left != 0)
		r->found->no_free_list = true;
}

static void
page_give(struct reading *r, struct page *pg)
{
	r->mark[pg->number] = MARK_SEEN;
	for (pg->table = 0; pg->table < r->n_tables; pg->table++)
		if (is_of(r, pg)) {
			page_cells(r, pg, 0, false);
			return;
		}
}

/* Pages that look like a table's and were not reached: theirs when they are not free either. Then, doubtful, whatever else
 * looks like it. */
static void
strays(struct reading *r, unsigned char *at, bool doubtful)
{
	for (uint32_t n = 2; n <= pages_count(r->pages); n++) {
		struct page pg = { .number = n, .at = at, .doubtful = doubtful };

		if ((r->mark[n] != MARK_NEW && r->mark[n] != MARK_LATER) ||
		    pages_read(r->pages, n, at) == -1 || !page_look(r, &pg) ||
		    pg.type == TABLE_NODE || pg.cells == 0)
			continue;
		if (!doubtful && (r->mark[n] == MARK_LATER || pages_outdated(r->pages, n) ||
				     !page_adds_up(r, &pg)))
			continue;
		r->found->stray_pages += r->mark[n] == MARK_NEW;
		page_give(r, &pg);
	}
}

/* -- where the tables begin */

struct schema {
	const struct tree_table *tables;
	size_t n;
	uint32_t *roots;
};

static void
schema_row(void *arg, const struct tree_row *row)
{
	struct schema *s = arg;
	struct tree_value v[SCHEMA_COLUMNS];

	if (tree_columns(row->record, v, COUNT(v)) != COUNT(v))
		return;
	for (size_t i = 0; i < s->n; i++)
		if (slice_eq(v[1].bytes, slice_of(s->tables[i].name)) && v[3].number > 1 &&
		    v[3].number <= UINT32_MAX)
			s->roots[i] = (uint32_t)v[3].number;
}

static void
read_all(struct reading *r, uint32_t *roots, unsigned char *first)
{
	static const struct tree_table schema_table = { "sqlite_schema", 1, true };
	struct reading s = *r;
	struct schema schema = { r->tables, r->n_tables, roots };

	s.tables = &schema_table;
	s.n_tables = 1;
	s.fn = schema_row;
	s.arg = &schema;
	s.last = INT64_MIN;
	for (size_t i = 0; i < r->n_tables; i++)
		roots[i] = r->tables[i].root;
	if (pages_read(r->pages, 1, first) == 0)
		free_list(r, first);
	else
		r->found->no_free_list = true;
	tree_page(&s, 0, 1, 0);
	for (size_t i = 0; i < r->n_tables; i++) {
		r->last = INT64_MIN;
		if (roots[i] != 0) /* 0: the table is not there */
			tree_page(r, i, roots[i], 0);
	}
	if (!r->found->no_free_list)
		strays(r, first, false);
	strays(r, first, true);
}

int
tree_read(const struct pages *p, const struct tree_table *tables, size_t n_tables, size_t most,
    void (*fn)(void *arg, const struct tree_row *row), void *arg, struct tree_found *found,
    struct err *err)
{
	struct reading r = { p, tables, n_tables, most, fn, arg, found, NULL, NULL, NULL,
		pages_size(p), INT64_MIN };
	unsigned char *first = malloc(pages_size(p));
	uint32_t *roots = calloc(n_tables, sizeof(*roots));
	int rc = 0;

	*found = (struct tree_found){ 0 };
	r.mark = calloc((size_t)pages_count(p) + 1, 1);
	r.record = malloc(most);
	r.overflow = malloc(pages_size(p));
	if (first == NULL || roots == NULL || r.mark == NULL || r.record == NULL ||
	    r.overflow == NULL)
		rc = err_set(err, ERR_TEMPORARY, "out of memory");
	else
		read_all(&r, roots, first);
	free(first);
	free(roots);
	free(r.mark);
	free(r.record);
	free(r.overflow);
	return rc;
}
