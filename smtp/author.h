/* author - who wrote a message by its own words: the addresses in From (RFC 5322 3.4, 3.6.2)
 *
 * Strict, since others must read the same: what could be read in two ways is not read at all. */
#ifndef SMTP_AUTHOR_H
#define SMTP_AUTHOR_H

#include "base/pool.h"

#define AUTHORS_MAX 20

struct authors {
	const char *at[AUTHORS_MAX]; /* "local@domain" */
	size_t n;
};

enum authors_status { AUTHORS_OK, AUTHORS_UNREADABLE, AUTHORS_TOO_MANY, AUTHORS_NO_MEMORY };

/* Read the value of a From field, folded or not. The texts go to the pool. */
enum authors_status authors_read(struct slice value, struct pool *pool, struct authors *out);

#endif
