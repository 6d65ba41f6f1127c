/* spool - a long body on its way to queue, which writes the file
 *
 * The bytes go out in frames as they come in; queue says how many more it takes, so smtpd holds
 * none of them. */
#ifndef SMTP_SPOOL_H
#define SMTP_SPOOL_H

#include "base/link.h"

struct spool;

/* `wake` is called when there is room again or it failed. NULL: no queue, or memory is gone. */
struct spool *spool_new(uint64_t qid, void (*wake)(void *arg), void *arg);
/* Bytes that may be written now. */
size_t spool_room(struct spool *sp);
int spool_write(struct spool *sp, struct slice bytes);
/* Why it failed, or NULL. */
const char *spool_failed(const struct spool *sp);
/* All is written: ask for the file (MSG_SPOOL_IS). 0: not sent. */
uint64_t spool_end(struct spool *sp, uint64_t size, answer_fn *fn, void *arg);
/* The answer's descriptor is kept here: read-only, -1 before. */
void spool_set_fd(struct spool *sp, int fd);
int spool_fd(const struct spool *sp);
/* The file was stored with its message: nothing to drop. */
void spool_stored(struct spool *sp);
/* Unless it was stored, queue is told to forget it. Sets *sp to NULL; accepts NULL. */
void spool_free(struct spool **sp);
/* MSG_SPOOL_CREDIT */
void spool_on_credit(struct frame *f);

#endif
