/* rescue - a new queue.db from what a damaged one still holds
 *
 * Saved is every message whose record, body and recipients can be read. One that may be out of date (it was found where deleted
 * mail lies about too, or the journal was lost) is saved, but held, with the reason: only the administrator can know whether it was
 * delivered. One that is damaged is told with whatever is left of it. Nothing but the new file is written. */
#ifndef STORAGE_RESCUE_H
#define STORAGE_RESCUE_H

#include "base/slice.h"
#include "storage/pages.h"
#include "storage/pages_tree.h"

struct rescue_lost { /* a message, or one recipient of it, that could not be saved */
	uint64_t qid;
	const char *from, *to; /* "" when unknown */
	const char *why;
	struct slice prefix, body; /* what is left of it */
};
struct rescue_result {
	struct pages_health health;
	struct tree_found found;
	uint64_t messages, recipients; /* saved */
	uint64_t held;                 /* messages among them that wait for the administrator */
	uint64_t remains; /* rows of mail that was probably delivered long ago: left out */
	uint64_t lost;    /* times `lost` was called */
	bool whole;       /* nothing was wrong with it */
};

/* Read `db` and its journal `wal` (-1: there is none), write the file `to` of the working directory, which must not be there; bodies
 * that are files are looked for in `spool_dir`. -1 + err: nothing can be read, or the new file cannot be written. */
int rescue(int db, int wal, int spool_dir, const char *to,
    void (*lost)(void *arg, const struct rescue_lost *l), void *arg, struct rescue_result *out,
    struct err *err);
/* Files that the new queue.db does not name: each gets a second name in the folder `to`, or a copy where that cannot be. `stage`: the
 * names are those of staged files ("ID/NAME" in the rows), else bodies in the spool. Returns how many, -1 + err. */
int rescue_files_keep(const char *db, int dir, bool stage, int to, struct err *err);
/* Would SQLite leave out committed transactions because a frame before them is damaged? It does not say so itself. */
bool rescue_journal_damaged(int db, int wal);

#endif
