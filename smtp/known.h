/* known - recipients that the directory has just named, so that it need not be asked again for each message
 *
 * Holds only plain answers: the mailbox exists and nothing has to be counted for it. The directory says DIR_CHANGED before it changes
 * anything, and its link ends when it dies: either empties the table, so an answer is never older than the last change. */
#ifndef SMTP_KNOWN_H
#define SMTP_KNOWN_H

#include "base/slice.h"
#include "base/wire.h"

/* The fields of DIR_RCPT_IS for this address, borrowed until the next call; false: ask. */
bool known_find(const char *address, struct wire *fields);
/* Keep an answer, if it is of the kind that may be kept. */
void known_keep(const char *address, struct slice fields);
void known_forget_all(void);

#endif
