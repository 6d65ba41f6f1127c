/* auth_ticket - proof that a session logged in, which `queue` and `signer` can have confirmed
 *
 * 16 random bytes, known to the session's smtpd process and to nobody who does not ask it; good
 * until the session ends, its smtpd dies, the account changes, or the ticket is too old. */
#ifndef STORAGE_AUTH_TICKET_H
#define STORAGE_AUTH_TICKET_H

#include "base/err.h"

#define TICKET_SIZE 16

struct tickets;

/* At most `most` at a time, each good for `lifetime` us. */
struct tickets *tickets_new(unsigned most, int64_t lifetime, struct err *err);
void tickets_free(struct tickets **t);
/* A new one for `user`, given to the process behind link `owner`. ERR_TEMPORARY when there are too
 * many. */
int tickets_issue(struct tickets *t, const char *user, uint64_t owner, int64_t now,
    unsigned char out[static TICKET_SIZE], struct err *err);
/* Whose is it? NULL: it is no good. Borrowed. */
const char *tickets_user(struct tickets *t, struct slice ticket, int64_t now);
/* Its session is over; only the process it was given to may say so. */
void tickets_end(struct tickets *t, struct slice ticket, uint64_t owner);
void tickets_end_owner(struct tickets *t, uint64_t owner);
void tickets_end_user(struct tickets *t, const char *user);
/* Drop the ones that are too old. */
void tickets_sweep(struct tickets *t, int64_t now);
unsigned tickets_count(const struct tickets *t);

#endif
