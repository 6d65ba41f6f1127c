/* pressure - when connections or memory become scarce, strangers are shed first
 *
 * From limits.overload per cent of limits.connections or of limits.memory on (of all processes
 * together), strangers may be silent for limits.overload_timeout only. At limits.connections new
 * ones are turned away, while limits.reserved_connections more are kept for who is none. At
 * limits.memory new ones are turned away too, no stranger begins a message, and those that hold
 * most are sent away until it is enough; who is no stranger may go half as far again. It ends five
 * per cent lower. Begin and end are logged, and `tegami status` shows it. */
#ifndef SMTP_PRESSURE_H
#define SMTP_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/msg.h"

enum pressure_level { PRESSURE_CALM, PRESSURE_HIGH, PRESSURE_FULL };
struct pressure {
	enum pressure_level level;
	bool by_memory; /* more than by connections */
};

/* Look at the numbers of all processes; call at each new connection. From then on this process
 * looks every second, as long as it has sessions. */
struct pressure pressure_look(void);
bool pressure_is_high(void);
/* Is it one for whom something is kept back? */
bool pressure_is_reserved(enum listener_kind kind, bool trusted);
/* The most connections there may be for one more of this kind. */
uint64_t pressure_most(enum listener_kind kind, bool trusted);
/* Is there memory for one more connection or message? */
bool pressure_has_memory(bool reserved);

#endif
