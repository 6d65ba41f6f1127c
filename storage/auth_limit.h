/* auth_limit - how often a client network may guess passwords
 *
 * Two leaky buckets a guess: one of the client's network (/32 of IPv4, /56 of IPv6), one of the
 * network together with the account. Each holds `limit` failures and drains in ten minutes. A guess
 * counts before it is checked, so many at once win nothing; a right one is given back. An account
 * that lately logged in from a network is not held up there by what others do in the same network.
 *
 * A third one is the account's, of all networks together. It never refuses anybody, or strangers
 * could lock the owner out; but while more guesses at one account come in than ten networks may
 * make, a network that the account is not known in has one guess in ten minutes instead of `limit`.
 * The owner, who knows the password, needs no second one.
 */
#ifndef STORAGE_AUTH_LIMIT_H
#define STORAGE_AUTH_LIMIT_H

#include "base/err.h"

struct auth_limit;

/* `limit` failures in ten minutes; 0: no limit. Memory is fixed (some 6 MB, touched as it is used).
 */
struct auth_limit *auth_limit_new(unsigned limit, struct err *err);
void auth_limit_free(struct auth_limit **l);
void auth_limit_set(struct auth_limit *l, unsigned limit);
/* May this guess be checked? It counts then. `now` is clock_mono(). If not, *wait is in seconds. */
bool auth_limit_admit(
    struct auth_limit *l, const char *ip, const char *user, int64_t now, unsigned *wait);
/* The guess was right (or could not be checked: `right` false): take it back. */
void auth_limit_forgive(
    struct auth_limit *l, const char *ip, const char *user, int64_t now, bool right);
/* "192.0.2.7" -> itself, "2001:db8::1" -> its /56 as text. `out` holds 64 bytes. */
void auth_limit_network(const char *ip, char out[static 64]);

#endif
