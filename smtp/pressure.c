/* pressure - when connections or memory become scarce, strangers are shed first
 *
 * Memory is what the sessions say they hold, added up every second: that is what a flood can make
 * grow, and it can be said of each session which share is its own. */
#include "smtp/pressure.h"

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/clients.h"
#include "smtp/session.h"

#define CALM 5 /* per cent below limits.overload */
#define MIB (1024 * 1024)

static bool high;
static uint64_t held; /* bytes, by all processes, when last looked at */
static struct event *timer;
static bool ticking;

/* -- how much there is */

/* Per cent of what there may be. */
static uint64_t
share(uint64_t n, int64_t most)
{
	return n * 100 / (uint64_t)most;
}

static void
began(const struct clients_sums *sums)
{
	const struct conf *conf = role_conf();

	high = true;
	clients_overload(clock_now());
	log_warning(
	    "overload: %llu of %lld connections (limits.connections), %llu of %lld MiB of memory "
	    "(limits.memory); strangers that are silent for %lld s are sent away",
	    (unsigned long long)sums->connections, (long long)conf->limits.connections,
	    (unsigned long long)sums->held / MIB, (long long)conf->limits.memory / MIB,
	    (long long)conf->limits.overload_timeout / 1000);
	session_hurry_all();
}

static void
ended(const struct clients_sums *sums)
{
	high = false;
	clients_overload(0);
	log_info(
	    "overload is over: %llu connections; since the start %llu strangers were sent away and "
	    "%llu turned away",
	    (unsigned long long)sums->connections, (unsigned long long)sums->fates[CLIENTS_SHED],
	    (unsigned long long)sums->fates[CLIENTS_TURNED]);
}

static struct pressure
look(const struct clients_sums *sums)
{
	const struct conf *conf = role_conf();
	uint64_t connections = share(sums->connections, conf->limits.connections);
	uint64_t memory = share(sums->held, conf->limits.memory);
	uint64_t more = memory > connections ? memory : connections;

	held = sums->held;
	if (!high && more >= (uint64_t)conf->limits.overload)
		began(sums);
	else if (high && more + CALM <= (uint64_t)conf->limits.overload)
		ended(sums);
	return (struct pressure){ !high        ? PRESSURE_CALM
				  : more < 100 ? PRESSURE_HIGH
					       : PRESSURE_FULL,
		memory > connections };
}

/* -- sending away */

struct shed {
	size_t most;   /* bytes that the hungriest stranger holds */
	uint64_t left; /* bytes that are still to be freed */
};

static void
find_most(struct session *s, void *arg)
{
	struct shed *shed = arg;
	size_t n = session_memory(s);

	if (session_may_shed(s) && n > shed->most)
		shed->most = n;
}

static void
send_away(struct session *s, void *arg)
{
	struct shed *shed = arg;
	size_t n = session_memory(s);

	if (shed->left == 0 || !session_may_shed(s) || n < shed->most / 2)
		return;
	shed->left -= n < shed->left ? n : shed->left;
	session_shed(s, "This server is short of memory; please try again later");
}

/* This process's part of what is too much goes. What is freed counts as free at once: who has a right
 * to the rest is not refused until the next look. */
static void
shed_memory(uint64_t own, const struct clients_sums *sums)
{
	uint64_t most = (uint64_t)role_conf()->limits.memory, wanted;
	struct shed shed = { 0 };

	if (sums->held <= most)
		return;
	wanted = (uint64_t)((double)(sums->held - most) * (double)own / (double)sums->held);
	shed.left = wanted;
	session_each(find_most, &shed);
	session_each(send_away, &shed);
	clients_hold(own - (wanted - shed.left));
}

/* -- every second */

static void
add_up(struct session *s, void *arg)
{
	*(uint64_t *)arg += session_memory(s);
}

static void
on_second(evutil_socket_t fd, short what, void *arg)
{
	struct clients_sums sums;
	uint64_t own = 0;

	(void)fd;
	(void)what;
	(void)arg;
	session_each(add_up, &own);
	clients_hold(own);
	clients_sum(&sums);
	look(&sums);
	if (high)
		shed_memory(own, &sums);
	session_give_back();
	if (high || session_count() > 0)
		return;
	event_del(timer);
	ticking = false;
}

static void
tick(void)
{
	static const struct timeval second = { 1, 0 };

	if (ticking)
		return;
	if (timer == NULL)
		timer = event_new(role_base(), -1, EV_PERSIST, on_second, NULL);
	ticking = timer != NULL && event_add(timer, &second) == 0;
}

struct pressure
pressure_look(void)
{
	struct clients_sums sums;

	clients_sum(&sums);
	tick();
	return look(&sums);
}

bool
pressure_is_high(void)
{
	return high;
}

/* -- who may */

bool
pressure_is_reserved(enum listener_kind kind, bool trusted)
{
	return trusted || kind != LISTEN_MX;
}

uint64_t
pressure_most(enum listener_kind kind, bool trusted)
{
	const struct conf *conf = role_conf();
	uint64_t most = (uint64_t)conf->limits.connections;

	if (trusted || kind == LISTEN_LOCAL || kind == LISTEN_LMTP)
		return most + (uint64_t)conf->limits.reserved_connections;
	if (pressure_is_reserved(kind, trusted))
		return most + (uint64_t)conf->limits.reserved_connections / 2;
	return most;
}

bool
pressure_has_memory(bool reserved)
{
	uint64_t most = (uint64_t)role_conf()->limits.memory;

	return held < (reserved ? most + most / 2 : most);
}
