/* pressure - when connections become scarce, strangers are shed first
 *
 * From limits.overload per cent of limits.connections on (of all processes together), strangers may
 * be silent for limits.overload_timeout only; at limits.connections new ones are turned away, while
 * limits.reserved_connections more are kept for who is none. It ends five per cent lower. Begin and
 * end are logged. */
#ifndef SMTP_PRESSURE_H
#define SMTP_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/msg.h"

/* Look at the numbers; call at each new connection. */
void pressure_look(void);
bool pressure_is_high(void);
/* The most connections there may be for one more of this kind. */
uint64_t pressure_most(enum listener_kind kind, bool trusted);

#endif
