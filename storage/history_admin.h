/* history_admin - `trace` and the reports of others, as `control` and the CLI answer it */
#ifndef STORAGE_HISTORY_ADMIN_H
#define STORAGE_HISTORY_ADMIN_H

#include "base/admin.h"

/* Owner: a struct history.
 *   trace {what, since (us), after (seq)} -> {time (us), id, event, text, from, to, ip, msgid,
 * user, role, seq}*
 *   dmarc.show, tlsrpt.show: history_received.h */
extern const struct admin_verb history_admin_verbs[];

#endif
