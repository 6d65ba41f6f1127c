/* control_check - rows of `tegami check` that only the running server can know: the names the world
 * sees, and losses */
#ifndef ADMIN_CONTROL_CHECK_H
#define ADMIN_CONTROL_CHECK_H

#include "admin/control.h"

/* Answers {name, state (ok, warning, error), text, advice}*. */
void check_start(struct request *r);
/* "dns.ask": one look-up (control_dns.c). */
void dns_start(struct request *r);

#endif
