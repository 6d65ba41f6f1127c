/* message - a mail file made ready to be judged or learned */
#ifndef ADMIN_MESSAGE_H
#define ADMIN_MESSAGE_H

#include "base/buf.h"
#include "base/err.h"

#define MESSAGE_MAX (100u << 20)

/* Read all of `in` (any descriptor) with every line end as CRLF into `out`, whose ceiling bounds
 * it. */
int message_read(int in, struct buf *out, struct err *err);
/* The bytes as a sealed memory file, which other processes may map. The caller closes it. -1 + err.
 */
int message_fd(struct slice bytes, struct err *err);

#endif
