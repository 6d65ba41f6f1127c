/* directory_admin - what the administrator asks of the directory, for the `directory` role and the
 * CLI alike */
#ifndef STORAGE_DIRECTORY_ADMIN_H
#define STORAGE_DIRECTORY_ADMIN_H

#include "base/admin.h"

/* Owner: a struct directory. Quotas: bytes, also as "500M"; "default" is the configured one. Times:
 * microseconds since 1970. domain.add {domain}                domain.remove {domain} domain.list,
 * domain.show {domain}  -> {domain, users, aliases, created}* user.add {address, quota?, name?}
 * user.remove {address}   user.enable {address}   user.disable {address} user.quota {address,
 * quota} user.list {domain?}, user.show {address} -> {address, name, enabled, quota (0 none),
 * quota_default (yes, no), home, created}* alias.add {address, target...}     alias.remove
 * {address, target*} alias.list {domain?}               -> {address, target, created}*, in the
 * order of addresses directory.check                    -> {name, state (ok, warning, error), text,
 * advice}* */
extern const struct admin_verb directory_admin_verbs[];

#endif
