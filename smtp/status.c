/* status - what `tegami status` tells of clients and overload */
#include "smtp/status.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/admin.h"
#include "base/clock.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/clients.h"
#include "smtp/pressure.h"

#define NUMBER 24

static const char *
number(uint64_t n, char out[static NUMBER])
{
	snprintf(out, NUMBER, "%" PRIu64, n);
	return out;
}

static int
stats(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	static const char *const levels[] = {
		[PRESSURE_CALM] = "calm", [PRESSURE_HIGH] = "high", [PRESSURE_FULL] = "full"
	};
	const struct conf *conf = role_conf();
	struct pressure p = pressure_look();
	bool calm = p.level == PRESSURE_CALM;
	struct clients_sums sums;
	char n[7][NUMBER];

	(void)owner;
	(void)rq;
	(void)err;
	clients_sum(&sums);
	admin_row(out, "level", levels[p.level], "reason",
	    calm          ? ""
	    : p.by_memory ? "memory"
			  : "connections",
	    "since", number(calm ? 0 : (uint64_t)sums.since, n[0]), "connections",
	    number(sums.connections, n[1]), "connections_max",
	    number((uint64_t)conf->limits.connections, n[2]), "memory", number(sums.held, n[3]),
	    "memory_max", number((uint64_t)conf->limits.memory, n[4]), "shed",
	    number(sums.fates[CLIENTS_SHED], n[5]), "turned_away",
	    number(sums.fates[CLIENTS_TURNED], n[6]), NULL);
	return 0;
}

static const struct admin_verb verbs[] = {
	{ "clients.stats", stats },
	{ NULL, NULL },
};

void
status_serve(struct frame *f)
{
	admin_serve(f, verbs, NULL);
}
