/* queue_content - the texts and the body of a message, in memory only as long as somebody needs
 * them */
#ifndef DELIVERY_QUEUE_CONTENT_H
#define DELIVERY_QUEUE_CONTENT_H

#include "delivery/queue_index.h"
#include "storage/queue_store.h"

struct content {
	struct queue_content c;
	int fd;       /* the spool file for reading, or -1 */
	size_t bytes; /* of memory */
};

/* Takes pool and descriptor over. NULL: no memory, both are gone. */
struct content *content_new(struct queue_content *c, int fd);
void content_free(struct content **c);

/* A fresh message's content, kept until its first attempt when there is room (yours no more). */
void content_keep(struct item *it, struct content *c);
/* Call fn when it is there: at once, or after it was read. err: it cannot be read. Each want is one
 * use. */
typedef void content_fn(struct item *it, void *arg, const struct err *err);
void content_want(struct item *it, content_fn *fn, void *arg);
/* A use ends. */
void content_release(struct item *it);
/* The message is over: what was kept goes. */
void content_drop(struct item *it);
/* Recipient number n of it; NULL when there is none. */
const struct rcpt *content_rcpt(const struct item *it, uint32_t n);
/* The first bytes of the body, at most `most`; borrowed until the next call. */
struct slice content_head(const struct content *c, size_t most);
/* Memory that all contents take. */
size_t content_memory(void);

#endif
