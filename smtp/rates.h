/* rates - what one client may do within a minute (limits.*_rate)
 *
 * Clients on trusted networks, local programs and users who logged in are not counted. Too many
 * messages or recipients are put off by 450; a client with too many errors or unknown recipients is
 * on a short leash: its connections end at the next one, and what it does right goes on. */
#ifndef SMTP_RATES_H
#define SMTP_RATES_H

#include "smtp/session.h"

/* May it have this connection? NULL: yes; else why not, in words. */
const char *rates_connect(const struct peer *peer, uint32_t client);
/* One more message, recipient; false: it was refused. */
bool rates_message(struct session *s);
bool rates_recipient(struct session *s);
/* It was told that a recipient is unknown, or that a command was wrong. Makes it wait (tarpit.c) or
 * closes the session. */
void rates_unknown(struct session *s);
void rates_error(struct session *s);

#endif
