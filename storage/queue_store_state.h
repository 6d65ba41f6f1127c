/* queue_store_state - an open queue.db: shared by queue_store.c (schema, statements, commits, writing) and
 * queue_store_read.c */
#ifndef STORAGE_QUEUE_STORE_STATE_H
#define STORAGE_QUEUE_STORE_STATE_H

#include "storage/queue_store.h"

/* The prepared statements; their text is in queue_store.c. */
enum queue_statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	PUT_MESSAGE,
	PUT_RCPT,
	STAGED,
	PROGRESS,
	WARNED,
	DONE_RCPT,
	DONE_ALL,
	DONE_MESSAGE,
	LOAD_MESSAGE,
	LOAD_RCPTS,
	WALK,
	WALK_FULL,
	SHOW,
	SUSPEND,
	RESUME,
	SUSPENDED,
	QUEUE_STATEMENTS
};

struct queue_store {
	sqlite3 *db;
	sqlite3_stmt *st[QUEUE_STATEMENTS];
	int64_t wal_pages; /* in the journal since the last whole checkpoint */
};

#endif
