/* spool - bodies too large for queue.db, one file each, named by the queue id
 *
 * These calls block: threads make them. A file is whole and durable after spool_sync; only then may
 * a commit name it. */
#ifndef STORAGE_SPOOL_H
#define STORAGE_SPOOL_H

#include "base/err.h"

/* Open the directory for all calls below; `fd` is one handed over (O_PATH will do) or -1: "spool"
 * in the working directory. -1 + err. */
int spool_open_dir(int fd, struct err *err);
/* Write at `offset`; 0 makes the file new (it must not be there). ERR_FULL when the disk is. */
int spool_write(int dir, uint64_t qid, uint64_t offset, struct slice bytes, struct err *err);
/* Make it durable, the file and its name; it must hold `size` bytes. */
int spool_sync(int dir, uint64_t qid, uint64_t size, struct err *err);
/* A descriptor for reading, yours; -1 + err (ERR_NOT_FOUND) also when it is no plain file of this
 * size. */
int spool_read(int dir, uint64_t qid, uint64_t size, struct err *err);
/* Missing ones are fine. */
void spool_remove(int dir, uint64_t qid);
/* Remove every file that `wanted` does not want; returns how many went, -1 + err. */
int spool_sweep(int dir, bool (*wanted)(void *arg, uint64_t qid), void *arg, struct err *err);

#endif
