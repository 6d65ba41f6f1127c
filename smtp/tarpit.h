/* tarpit - strangers that make mistake after mistake wait between commands
 *
 * The reply goes out at once; the next command is looked at after a pause that grows with the number
 * of faults, up to limits.tarpit. A session that waits holds no more than any other, and only so many
 * do: beyond that nobody waits, so that the pauses do not keep connections that a flood wants. */
#ifndef SMTP_TARPIT_H
#define SMTP_TARPIT_H

#include "smtp/session.h"

/* One more fault of this session: from now on it may have to wait. */
void tarpit_hold(struct session *s);
/* The pause is over, or the session is. */
void tarpit_release(struct session *s);

#endif
