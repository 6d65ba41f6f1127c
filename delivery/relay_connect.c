/* relay_connect - a connection to a host: its addresses side by side, until one answers
 *
 * As RFC 8305 does it, only with more patience: when an address has not answered after FALLBACK_MS, or has failed, the
 * host's next one is tried beside it, AT_ONCE_MAX at a time. Whoever answers first gets the mail, the others are closed
 * before a byte was said. Hosts of another name are not raced: their order is the domain's to say (RFC 5321 5.1).
 *
 *	first address	|----------------------------->  connect_timeout
 *	second		       FALLBACK_MS |---------------------->
 *	third			              FALLBACK_MS |-------> answers: over */
#include "delivery/relay_connect.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/role.h"
#include "conf/conf.h"
#include "delivery/relay_session.h"

#define FALLBACK_MS 1000
#define AT_ONCE_MAX 3
/* One place more: for the next one while the last of three fails. */
#define PLACES (AT_ONCE_MAX + 1)

struct attempt {
	struct race *race;
	struct target target; /* its policy is held */
	struct event *answered;
	int fd; /* -1: the place is free */
};

struct race {
	const struct race_user *user;
	void *arg;
	struct event *fallback;
	struct attempt at[PLACES];
	unsigned under_way;
};

/* -- one address */

/* From relay.source, where it has an address of this kind. */
static int
use_source(int fd, const struct address *to, struct result *why)
{
	const struct conf_strings *sources = &role_conf()->relay.source;
	struct address from;
	int on = 1;

	for (size_t i = 0; i < sources->n; i++) {
		if (!address_parse(sources->at[i], 0, &from) || from.sa.ss_family != to->sa.ss_family)
			continue;
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, (const struct sockaddr *)&from.sa, from.len) == 0)
			return 0;
		result_set(why, STEP_TEMPORARY, "4.4.1",
		    "cannot send from %s, as relay.source says: %s; is it an address of this machine?", from.text,
		    strerror(errno));
		return -1;
	}
	return 0;
}

static int
begin(const struct address *to, struct result *why)
{
	int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1) {
		result_set(why, STEP_TEMPORARY, "4.4.1", "cannot connect: %s", strerror(errno));
		return -1;
	}
	if (use_source(fd, to, why) == 0) {
		if (connect(fd, (const struct sockaddr *)&to->sa, to->len) == 0 || errno == EINPROGRESS)
			return fd;
		result_set(why, STEP_TEMPORARY, "4.4.1", "cannot connect: %s", strerror(errno));
	}
	close(fd);
	return -1;
}

/* Its place is free again; the descriptor is the caller's. */
static int
attempt_take(struct attempt *a)
{
	int fd = a->fd;

	event_free(a->answered);
	policy_drop(&a->target.policy);
	a->fd = -1;
	a->race->under_way--;
	return fd;
}

static void
attempt_end(struct attempt *a)
{
	if (a->fd != -1)
		close(attempt_take(a));
}

/* -- the race */

void
race_stop(struct race **race)
{
	struct race *r = *race;

	*race = NULL;
	if (r == NULL)
		return;
	for (size_t i = 0; i < PLACES; i++)
		attempt_end(&r->at[i]);
	if (r->fallback != NULL)
		event_free(r->fallback);
	free(r);
}

static void on_answer(evutil_socket_t fd, short what, void *arg);

/* Try this address too. -1: it failed at once, `why` says why. */
static int
race_add(struct race *r, const struct target *target, struct result *why)
{
	struct timeval most = { session_settings.connect_timeout / 1000, session_settings.connect_timeout % 1000 * 1000 };
	struct attempt *a = r->at;
	int fd = begin(&target->address, why);

	if (fd == -1)
		return -1;
	while (a->fd != -1)
		a++;
	a->answered = event_new(session_settings.base, fd, EV_WRITE, on_answer, a);
	if (a->answered == NULL || event_add(a->answered, &most) == -1) {
		if (a->answered != NULL)
			event_free(a->answered);
		close(fd);
		result_set(why, STEP_TEMPORARY, "4.3.0", "no memory for a connection");
		return -1;
	}
	a->fd = fd;
	a->target = *target;
	policy_hold(a->target.policy);
	r->under_way++;
	return 0;
}

static void
arm_fallback(struct race *r)
{
	const struct timeval pause = { FALLBACK_MS / 1000, FALLBACK_MS % 1000 * 1000 };

	evtimer_add(r->fallback, &pause);
}

/* The host's next address beside those under way, if it has one. */
static void
race_more(struct race *r, unsigned at_most)
{
	struct target target;
	struct result why;

	while (r->under_way < at_most && r->user->more(r->arg, &target)) {
		if (race_add(r, &target, &why) == 0) {
			arm_fallback(r);
			return;
		}
		r->user->lost(r->arg, &target, &why);
	}
}

static void
on_fallback(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	race_more(arg, AT_ONCE_MAX);
}

static void
race_over(struct race *r, struct attempt *a, const struct result *why)
{
	const struct race_user *user = r->user;
	struct target target = a->target;
	void *arg = r->arg;
	int fd;

	policy_hold(target.policy);
	fd = attempt_take(a);
	if (why != NULL) {
		close(fd);
		fd = -1;
	}
	race_stop(&r);
	user->over(arg, &target, fd, why);
	policy_drop(&target.policy);
}

static void
on_lost(struct race *r, struct attempt *a, const struct result *why)
{
	struct target target = a->target;

	race_more(r, r->under_way + 1); /* in its stead */
	if (r->under_way == 1) {
		race_over(r, a, why);
		return;
	}
	policy_hold(target.policy);
	attempt_end(a);
	r->user->lost(r->arg, &target, why);
	policy_drop(&target.policy);
}

static void
on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *a = arg;
	struct result why;
	int error = 0;
	socklen_t len = sizeof(error);

	if (what & EV_TIMEOUT) {
		result_set(&why, STEP_TEMPORARY, "4.4.1", "while connecting: it took too long");
		on_lost(a->race, a, &why);
	} else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 || error != 0) {
		result_set(&why, STEP_TEMPORARY, "4.4.1", "while connecting: %s", strerror(error != 0 ? error : errno));
		on_lost(a->race, a, &why);
	} else {
		race_over(a->race, a, NULL);
	}
}

struct race *
race_start(const struct target *first, const struct race_user *user, void *arg, struct result *why)
{
	struct race *r = calloc(1, sizeof(*r));

	if (r == NULL || (r->fallback = evtimer_new(session_settings.base, on_fallback, r)) == NULL) {
		free(r);
		result_set(why, STEP_TEMPORARY, "4.3.0", "no memory for a connection");
		return NULL;
	}
	r->user = user;
	r->arg = arg;
	for (size_t i = 0; i < PLACES; i++)
		r->at[i] = (struct attempt){ .race = r, .fd = -1 };
	if (race_add(r, first, why) == -1) {
		race_stop(&r);
		return NULL;
	}
	arm_fallback(r);
	return r;
}
