/* credentials_admin - what the administrator asks of the credentials, for the `auth` role and the
 * CLI alike */
#ifndef STORAGE_CREDENTIALS_ADMIN_H
#define STORAGE_CREDENTIALS_ADMIN_H

#include "base/admin.h"

/* Owner: a struct credentials. Times: microseconds since 1970, 0 never. Instead of `password`,
 * `hash` may be given ("{CRYPT}$6$..."), as an import does. Hashing a password takes some 80 ms.
 *   cred.add {address, password|hash}  cred.passwd {address, password|hash}
 *   cred.remove {address}   cred.enable {address}   cred.disable {address}
 *   cred.show {address}, cred.list  -> {address, enabled, app_passwords, created, changed,
 * last_used}* app.add {address, label, scope?, expires? (seconds from now)} -> {slot, password}
 *   app.remove {address, label}
 *   app.list {address}              -> {slot, label, scope, created, expires, last_used}* */
extern const struct admin_verb credentials_admin_verbs[];

#endif
