/* listener - the sockets that clients connect to */
#ifndef SMTP_LISTENER_H
#define SMTP_LISTENER_H

#include "base/msg.h"

/* Takes the listening descriptor over. Before listeners_start it is only kept. One of a kind and
 * address that is there already is not added again. */
void listener_add(int fd, enum listener_kind kind, const char *name, const char *address);
/* May a client at this address ("": a socket's path) hand mail over by LMTP? */
bool listener_may_hand_over(const char *ip);
/* Accept from now on. */
void listeners_start(void);
/* Accept no more, for good. */
void listeners_stop(void);

#endif
