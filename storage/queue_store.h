/* queue_store - accepted mail in queue.db: messages, their recipients, and how far each recipient's
 * delivery is
 *
 * One thread owns it. Writes stand between begin and commit; a commit is durable when it returns 0.
 * After any failed write, commit or checkpoint the caller rolls back and writes nothing until
 * queue_store_checkpoint(s, true) returned 0. All changes but put may be repeated without harm. */
#ifndef STORAGE_QUEUE_STORE_H
#define STORAGE_QUEUE_STORE_H

#include "base/envelope.h"
#include "storage/db.h"

extern const struct db_schema queue_schema;

struct queue_store;

/* How far one recipient is; the numbers are on disk. A recipient that is done has no row.
 * QUEUE_OWED: another host has it, as `reason` says, and its sender is to be told. */
enum queue_state { QUEUE_WAITING, QUEUE_STAGED, QUEUE_HELD, QUEUE_OWED };

struct queue_progress { /* of one recipient */
	enum queue_state state;
	unsigned attempts;
	bool warned;        /* the sender was told of the delay */
	int64_t next;       /* us since 1970 */
	const char *reason; /* of the last failure, in words */
};

/* Open the existing queue.db of the working directory. */
struct queue_store *queue_store_open(struct err *err);
void queue_store_close(struct queue_store **s);

int queue_store_begin(struct queue_store *s, struct err *err);
int queue_store_commit(struct queue_store *s, struct err *err);
void queue_store_rollback(struct queue_store *s);

/* Was the last error that a page of the file makes no sense? Then nothing was written, and the disk is not to blame: after the
 * rollback all else can go on. */
bool queue_store_page_damaged(const struct queue_store *s);

/* A new message with all its recipients, numbered from 0, waiting since `now`. ERR_EXISTS when its
 * id is taken. */
int queue_store_put(struct queue_store *s, const struct envelope *e, int64_t now, struct err *err);
/* Recipient `n` is staged under this name. */
int queue_store_staged(
    struct queue_store *s, uint64_t qid, unsigned n, const char *file, struct err *err);
/* Anything else about it; the staged name stays. */
int queue_store_progress(struct queue_store *s, uint64_t qid, unsigned n,
    const struct queue_progress *p, struct err *err);
/* The sender was told that the message is late: noted for all of its recipients. */
int queue_store_warned(struct queue_store *s, uint64_t qid, struct err *err);
/* Recipient `n` is finished; `last`: it was the last one, the message goes too. */
int queue_store_done(struct queue_store *s, uint64_t qid, unsigned n, bool last, struct err *err);

struct queue_content {     /* a message, loaded */
	struct envelope e; /* texts and bytes in the pool; e.rcpts: those not done */
	unsigned *numbers; /* their recipient numbers; NULL: 0, 1, 2 ... */
	struct pool *pool;
};
/* Read a message. -1: ERR_NOT_FOUND, or ERR_PERMANENT when its rows make no sense or cannot be
 * read. */
int queue_store_load(
    struct queue_store *s, uint64_t qid, struct queue_content *out, struct err *err);
void queue_content_free(struct queue_content *c);

struct queue_row { /* a recipient, in a walk; texts live until the walk goes on */
	uint64_t qid, size;
	unsigned n, flags;
	enum rcpt_kind kind;
	struct queue_progress p;
	const char *address, *original, *folder, *file;
	const char *from, *msgid, *ip; /* only in a full walk */
};
struct queue_cursor { /* the row after which a walk goes on; zeroed: from the start */
	uint64_t qid;
	unsigned n;
	bool begun;
};
/* Walk the recipients in order of id, at most `most` rows; `full` adds the message's texts. fn
 * returning false ends it. Rows that cannot be read are skipped and counted in *unreadable. Returns
 * rows seen, -1 + err when nothing can be read. */
int queue_store_walk(struct queue_store *s, struct queue_cursor *at, bool full, unsigned most,
    bool (*fn)(void *arg, const struct queue_row *row), void *arg, unsigned *unreadable,
    struct err *err);
/* The recipients of one message. */
int queue_store_show(struct queue_store *s, uint64_t qid,
    bool (*fn)(void *arg, const struct queue_row *row), void *arg, struct err *err);

/* -- destinations that the administrator has suspended */

/* Note it; a domain noted before gets the new words. */
int queue_store_suspend(
    struct queue_store *s, const char *domain, int64_t since, const char *why, struct err *err);
/* Forget it; no error when it was not noted. */
int queue_store_resume(struct queue_store *s, const char *domain, struct err *err);
/* All of them. fn returning false ends it with ERR_TEMPORARY. */
int queue_store_suspended(struct queue_store *s,
    bool (*fn)(void *arg, const char *domain, int64_t since, const char *why), void *arg,
    struct err *err);

/* Move the journal into the database; `truncate` waits until all of it is there and empties the
 * file. */
int queue_store_checkpoint(struct queue_store *s, bool truncate, struct err *err);
/* Make the journal's file `bytes` long where there is room, for speed (db_journal.h). For after a checkpoint that truncated it. */
void queue_store_lengthen(struct queue_store *s, int64_t bytes);
/* Bytes in the journal since the last whole checkpoint. */
int64_t queue_store_wal_bytes(const struct queue_store *s);

#endif
