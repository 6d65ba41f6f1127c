/* srs - senders that lead back: mail that is sent on goes out under an address of ours, and reports on it find their way (SRS)
 *
 *   SRS0=HHHHHH=TT=domain=local@ours		the sender local@domain, sent on here first
 *   SRS1=HHHHHH=first=REST@ours		SRS0REST@first, somebody else's such address, sent on here next
 *
 * H is the beginning of an HMAC-SHA256 of all that follows it (letter case ignored), T the day: only what was made here is turned
 * back, and only SRS_DAYS long. Pure arithmetic; keys are the caller's (directory_forward.c). */
#ifndef STORAGE_SRS_H
#define STORAGE_SRS_H

#include "base/slice.h"

#define SRS_KEY_LEN 32
#define SRS_DAYS 21	   /* reports come days after the mail, when a queue on the way gave up */
#define SRS_LOCAL_MAX 192  /* of what we make; longer ones would not come back through every server */
#define SRS_ADDRESS_SIZE 512

enum srs_status { SRS_OK, SRS_FORGED, SRS_OLD };

/* Is it the local part of such an address, ours or not? */
bool srs_is(struct slice local);
/* The sender under which mail from `sender` goes on as mail of `domain` (ours). false: it cannot be rewritten (too long, quoted, or
 * no address). `now` in us since 1970. */
bool srs_forward(const unsigned char key[static SRS_KEY_LEN], int64_t now, struct slice sender,
    const char *domain, char out[static SRS_ADDRESS_SIZE]);
/* The address behind a local part that srs_forward made with this key. */
enum srs_status srs_reverse(const unsigned char key[static SRS_KEY_LEN], int64_t now,
    struct slice local, char out[static SRS_ADDRESS_SIZE]);

#endif
