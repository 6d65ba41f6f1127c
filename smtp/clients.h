/* clients - how many connections there are, in all and per client, over all processes of smtpd
 *
 * The counts lie in memory that the processes share (made by tegamid; without it each counts for
 * itself). A process writes only its own row, so no lock is needed, and a process that starts in
 * the place of a dead one begins by clearing its row. */
#ifndef SMTP_CLIENTS_H
#define SMTP_CLIENTS_H

#include "base/msg.h" /* CLIENTS_BYTES */

#include <stdint.h>

#include "base/err.h"

enum clients_answer { CLIENTS_FINE, CLIENTS_TOO_MANY, CLIENTS_TOO_MANY_FROM_ONE };

/* `fd`: the shared memory, or -1. `number`: of this process. */
int clients_open(int fd, unsigned number, struct err *err);
/* The slot of an address in text form (IPv6: of its /64). Two clients may share one by chance. */
uint32_t clients_slot(const char *ip);
/* Count one more, unless a limit is reached. */
enum clients_answer clients_enter(uint32_t slot, uint64_t most, uint64_t most_per_client);
void clients_leave(uint32_t slot);

#endif
