/* told - the options that a role is told, as (path, value) texts in SETUP_CONFIG frames
 *
 * path: "limits.recipients", "listen.mx.kind", "relay.retry" (one pair per list item, in order). Values in plain units
 * (bytes, milliseconds, names of enums, true/false). */
#ifndef CONF_TOLD_H
#define CONF_TOLD_H

#include "conf/conf.h"

/* Call fn for every pair that `role` is told. A non-default value is always told; defaults may be left out. */
void conf_tell(const struct conf *c, enum role role, void (*fn)(void *arg, const char *path, const char *value), void *arg);
/* Apply one pair to a conf made by conf_defaults(). -1 + err when the path or value is none. */
int conf_hear(struct conf *c, const char *path, const char *value, struct err *err);

#endif
