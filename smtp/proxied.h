/* proxied - connections of trusted proxies that have yet to say who their client is
 *
 * The header is taken from the socket to its last byte and no further, so that what follows it (EHLO, or the beginning
 * of TLS) is found by whoever serves the client. */
#ifndef SMTP_PROXIED_H
#define SMTP_PROXIED_H

#include "smtp/session.h"

/* `fn` gets the descriptor and the client; `slot` is the one that the proxy was counted under (clients.c). */
typedef void proxied_fn(int fd, const struct peer *peer, uint32_t slot);

/* Takes the descriptor over. What brings no header within 10 seconds is closed and no longer counted. */
void proxied_start(int fd, const struct peer *proxy, uint32_t slot, proxied_fn *fn);
/* How many wait. */
unsigned proxied_count(void);
/* Close all that wait. */
void proxied_stop_all(void);

#endif
