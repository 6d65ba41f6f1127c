/* rescue_rows - rows of a damaged queue.db into the new one: does a row make sense, is it certain */
#ifndef STORAGE_RESCUE_ROWS_H
#define STORAGE_RESCUE_ROWS_H

#include "storage/queue_store.h"
#include "storage/rescue.h"

enum { RESCUE_MESSAGE, RESCUE_RCPT, RESCUE_SUSPENDED, RESCUE_TABLES };
/* How they are found in the damaged file. */
extern const struct tree_table rescue_tables[RESCUE_TABLES];

struct rescue_job {
	sqlite3 *db; /* the new one; with a table `doubt` (qid, n; n is -1 for a message) */
	sqlite3_stmt *insert[RESCUE_TABLES][2]; /* by table, doubtful */
	size_t columns[RESCUE_TABLES];          /* that they have */
	sqlite3_stmt *doubt, *certain; /* put into that table, and take out */
	int spool_dir;
	void (*tell)(void *arg, const struct rescue_lost *l);
	void *arg;
	struct rescue_result *out;
	int64_t last_qid, last_n; /* of the recipients in order */
	struct err *err;
	int rc; /* -1: the new file cannot be written, err says why */
};

/* A row was found; for tree_read, `arg` is the job. */
void rescue_row(void *arg, const struct tree_row *row);
/* Count a lost message or recipient, and tell it. Texts may be NULL. */
void rescue_tell(struct rescue_job *j, struct rescue_lost *l);

#endif
