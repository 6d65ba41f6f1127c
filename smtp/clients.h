/* clients - how many connections there are, in all and per client, and what each client did of late,
 * over all processes of smtpd
 *
 * The numbers lie in memory that the processes share (made by tegamid; without it each counts for
 * itself). Connections: a process writes only its own row, so no lock is needed, and a process that
 * starts in the place of a dead one begins by clearing its row. Meters: all write the same ones, and
 * each begins anew every minute, so nothing of the dead stays. A client is a network of so many bits
 * (clients_networks). */
#ifndef SMTP_CLIENTS_H
#define SMTP_CLIENTS_H

#include "base/msg.h" /* CLIENTS_BYTES */

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum clients_answer { CLIENTS_FINE, CLIENTS_TOO_MANY, CLIENTS_TOO_MANY_FROM_ONE };
enum clients_meter { /* what is counted for a minute */
	METER_CONNECTIONS,
	METER_MESSAGES,
	METER_RECIPIENTS,
	METER_UNKNOWN, /* recipients */
	METER_ERRORS,
	METERS
};

/* `fd`: the shared memory, or -1. `number`: of this process. */
int clients_open(int fd, unsigned number, struct err *err);
/* Bits of an address that name a client. Connections that are counted already stay where they are. */
void clients_networks(unsigned bits4, unsigned bits6);
/* The slot of an address in text form, or of a local user. Two clients may share one by chance. */
uint32_t clients_slot(const char *ip);
uint32_t clients_slot_uid(uid_t uid);
/* Count one more, unless a limit is reached. */
enum clients_answer clients_enter(uint32_t slot, uint64_t most, uint64_t most_per_client);
void clients_leave(uint32_t slot);
/* Connections of all processes. */
uint64_t clients_total(void);

/* -- overload: what each process tells the others, and `tegami status` */

enum clients_fate {
	CLIENTS_SHED /* was served, and sent away */,
	CLIENTS_TURNED /* was not let in */,
	CLIENTS_FATES
};
struct clients_sums { /* of all processes */
	uint64_t connections;
	uint64_t held;                 /* bytes of memory, see clients_hold */
	uint64_t fates[CLIENTS_FATES]; /* strangers, since the server was started */
	int64_t
	    since; /* when the first of them saw the overload that lasts, CLOCK_SECONDs since 1970; 0: none */
};
void clients_sum(struct clients_sums *out);
/* The sessions of this process hold so many bytes. */
void clients_hold(uint64_t bytes);
/* Because of overload a stranger met this fate. */
void clients_count_fate(enum clients_fate fate);
/* This process sees overload since then (as in clients_sums), or none: 0. */
void clients_overload(int64_t since);

/* -- meters */

/* Count one more and say how many there were within this minute, this one included; `now` is
 * clock_mono(). */
uint32_t clients_count(uint32_t slot, enum clients_meter meter, int64_t now);
/* The same without counting. */
uint32_t clients_counted(uint32_t slot, enum clients_meter meter, int64_t now);

#endif
