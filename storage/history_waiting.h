/* history_waiting - reports to other domains that could not go yet, as `tegami check` shows them */
#ifndef STORAGE_HISTORY_WAITING_H
#define STORAGE_HISTORY_WAITING_H

#include "base/admin.h"
#include "storage/history.h"

/* Owner: a struct history.
 *   tlsrpt.waiting {} -> {kind: DMARC or TLS, domain, tries, next (s since 1970), why, all: how many wait}*:
 *   those tried most often, a few */
int history_waiting(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err);

#endif
