/* pages_tree - the rows of a damaged SQLite file: those that its trees still lead to, and those on pages that they lost
 *
 * What was deleted lies about on free pages and in the gaps between rows, and must not come back. So a row is certain only when
 * its page is reached from the root, or is neither free nor reached (then a page above it is damaged); and when its page adds up.
 * All others are handed over as doubtful, after the certain ones. */
#ifndef STORAGE_PAGES_TREE_H
#define STORAGE_PAGES_TREE_H

#include "base/slice.h"
#include "storage/pages.h"

struct tree_table {
	const char *name;
	uint32_t root; /* its usual page, when the schema cannot be read; 0: none */
	bool rowid;    /* else WITHOUT ROWID: an index that holds all columns */
};
struct tree_row {
	size_t table; /* which one of those asked for */
	int64_t rowid;
	struct slice record; /* borrowed */
	uint64_t whole;      /* its full length; more than record.len: the rest is lost */
	bool doubtful;
};
struct tree_found {
	uint32_t bad_pages;   /* that should hold rows or lead to them, and do not, or not quite */
	uint32_t stray_pages; /* with rows, that no tree leads to */
	bool no_free_list;
};

/* Every row of the tables. `most`: longer records are cut there. -1: out of memory. */
int tree_read(const struct pages *p, const struct tree_table *tables, size_t n_tables, size_t most,
    void (*fn)(void *arg, const struct tree_row *row), void *arg, struct tree_found *found,
    struct err *err);

/* A record's columns. Numbers may be NULL (then 0). */
struct tree_value {
	enum { TREE_NULL, TREE_NUMBER, TREE_TEXT, TREE_BLOB } kind;
	int64_t number;
	struct slice bytes; /* borrowed from the record */
	bool cut;           /* the record ends before it does: bytes holds what there is */
};
/* How many there are; at most `most` are given. 0: this is no record. */
size_t tree_columns(struct slice record, struct tree_value *values, size_t most);

#endif
