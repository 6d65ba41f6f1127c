/* pressure - when connections become scarce, strangers are shed first */
#include "smtp/pressure.h"

#include <event2/event.h>

#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/clients.h"
#include "smtp/session.h"

#define CALM 5 /* per cent below limits.overload */

static bool high;
static struct event *timer;

/* Per cent of limits.connections. */
static uint64_t
load(void)
{
	return clients_total() * 100 / (uint64_t)role_conf()->limits.connections;
}

static void
on_second(evutil_socket_t fd, short what, void *arg)
{
	uint64_t now = load();

	(void)fd;
	(void)what;
	(void)arg;
	if (now + CALM > (uint64_t)role_conf()->limits.overload)
		return;
	high = false;
	event_del(timer);
	log_info("overload is over: %llu connections", (unsigned long long)clients_total());
}

void
pressure_look(void)
{
	static const struct timeval second = { 1, 0 };

	if (high || load() < (uint64_t)role_conf()->limits.overload)
		return;
	if (timer == NULL &&
	    (timer = event_new(role_base(), -1, EV_PERSIST, on_second, NULL)) == NULL)
		return;
	if (event_add(timer, &second) == -1)
		return;
	high = true;
	log_warning("overload: %llu of %lld connections (limits.connections); strangers that are "
		    "silent for %lld s are sent away",
	    (unsigned long long)clients_total(), (long long)role_conf()->limits.connections,
	    (long long)role_conf()->limits.overload_timeout / 1000);
	session_hurry_all();
}

bool
pressure_is_high(void)
{
	return high;
}

uint64_t
pressure_most(enum listener_kind kind, bool trusted)
{
	const struct conf *conf = role_conf();
	uint64_t most = (uint64_t)conf->limits.connections;

	if (trusted || kind == LISTEN_LOCAL || kind == LISTEN_LMTP)
		return most + (uint64_t)conf->limits.reserved_connections;
	if (kind == LISTEN_SUBMISSION || kind == LISTEN_SUBMISSIONS)
		return most + (uint64_t)conf->limits.reserved_connections / 2;
	return most;
}
