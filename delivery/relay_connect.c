/* relay_connect - a connection to a host: its addresses side by side, and the next host beside it, until one answers
 *
 * As RFC 8305 does it, only with more patience: when an address has not answered after FALLBACK_MS, or has failed, the
 * host's next one is tried beside it, AT_ONCE_MAX at a time. Whoever answers first is the one, the host's others are closed
 * before a byte was said.
 *
 * The order of hosts is the domain's to say (RFC 5321 5.1), so another one gets a chance only when the better one is silent:
 * it has not answered for host_patience(), or has, but keeps its greeting back for connect_timeout. The next host is then
 * tried beside it, and so on, PLACES in all. The first to greet gets the mail. Who was silent is remembered (relay_silent.c).
 *
 *	best host, first address  |----------------------------->  connect_timeout
 *	its second		         FALLBACK_MS |---------------------->
 *	second host		                       host_patience |------> answers, greets: over */
#include "delivery/relay_connect.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/role.h"
#include "conf/conf.h"
#include "delivery/relay_session.h"
#include "delivery/relay_silent.h"

#define FALLBACK_MS 1000
#define AT_ONCE_MAX 3
/* Two for other hosts, and one for the next address while the last one fails. */
#define PLACES (AT_ONCE_MAX + 3)
#define PATIENCE_MIN_MS 1000
#define PATIENCE_MAX_MS 10000

struct attempt {
	struct race *race;
	struct target target; /* its policy is held */
	struct event *answered;
	int fd; /* -1: the place is free */
	bool connected; /* its greeting is waited for */
	int64_t begun;	/* clock_mono */
};

struct race {
	const struct race_user *user;
	void *arg;
	struct event *fallback;	 /* the host's next address */
	struct event *step_over; /* the next host */
	struct attempt at[PLACES];
	unsigned under_way;
};

/* How long the best host may let a connection wait, in ms. */
static int64_t
host_patience(void)
{
	int64_t ms = session_settings.connect_timeout / 6;

	return ms < PATIENCE_MIN_MS ? PATIENCE_MIN_MS : ms > PATIENCE_MAX_MS ? PATIENCE_MAX_MS : ms;
}

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

/* It let us wait so long that another host may have its mail. */
static bool
is_silent(const struct attempt *a)
{
	int64_t most = a->connected ? session_settings.connect_timeout : host_patience();

	return clock_mono() - a->begun >= most * (CLOCK_SECOND / 1000);
}

static void
attempt_end(struct attempt *a)
{
	if (a->fd == -1)
		return;
	if (is_silent(a))
		silent_note(&a->target.address);
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
	if (r->step_over != NULL)
		event_free(r->step_over);
	free(r);
}

static void on_answer(evutil_socket_t fd, short what, void *arg);

static void
arm(struct event *timer, int64_t ms)
{
	const struct timeval pause = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(timer, &pause);
}

/* Wait for it to become writable (connected) or readable (a greeting). -1: no memory. */
static int
attempt_wait(struct attempt *a, int fd, short what, int64_t ms)
{
	const struct timeval most = { ms / 1000, ms % 1000 * 1000 };

	if (a->answered == NULL)
		a->answered = event_new(session_settings.base, fd, what, on_answer, a);
	else
		event_assign(a->answered, session_settings.base, fd, what, on_answer, a);
	return a->answered != NULL && event_add(a->answered, &most) == 0 ? 0 : -1;
}

/* Try this address too. -1: it failed at once, `why` says why. */
static int
race_add(struct race *r, const struct target *target, struct result *why)
{
	struct attempt *a = r->at;
	int fd = begin(&target->address, why);

	if (fd == -1)
		return -1;
	while (a->fd != -1)
		a++;
	*a = (struct attempt){ .race = r, .fd = -1, .target = *target, .begun = clock_mono() };
	if (attempt_wait(a, fd, EV_WRITE, session_settings.connect_timeout) == -1) {
		if (a->answered != NULL)
			event_free(a->answered);
		close(fd);
		result_set(why, STEP_TEMPORARY, "4.3.0", "no memory for a connection");
		return -1;
	}
	a->fd = fd;
	policy_hold(a->target.policy);
	r->under_way++;
	arm(r->fallback, FALLBACK_MS);
	return 0;
}

/* The host's next address beside those under way, if it has one. */
static bool
race_more(struct race *r, unsigned at_most)
{
	struct target target;
	struct result why;

	while (r->under_way < at_most && r->user->more(r->arg, &target)) {
		if (race_add(r, &target, &why) == 0)
			return true;
		r->user->lost(r->arg, &target, &why);
	}
	return false;
}

/* The next host beside those under way, if there is one. */
void
race_go_on(struct race *r)
{
	struct target target;
	struct result why;

	while (r->under_way < PLACES - 1 && r->user->next_host != NULL &&
	       r->user->next_host(r->arg, &target) == HOSTS_TARGET) {
		bool added = race_add(r, &target, &why) == 0;

		if (!added)
			r->user->lost(r->arg, &target, &why);
		if (added || race_more(r, r->under_way + 1)) {
			arm(r->step_over, host_patience());
			return;
		}
	}
}

static void
on_step_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	race_go_on(arg);
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
	if (why == NULL) {
		silent_forget(&target.address);
	} else {
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
	bool more = race_more(r, r->under_way + 1); /* in its stead */

	if (r->under_way == 1) {
		race_over(r, a, why);
		return;
	}
	policy_hold(target.policy);
	attempt_end(a);
	r->user->lost(r->arg, &target, why);
	policy_drop(&target.policy);
	if (!more)
		race_go_on(r);
}

static void
lost(struct attempt *a, const char *words)
{
	struct result why;

	result_set(&why, STEP_TEMPORARY, a->connected ? "4.4.2" : "4.4.1", "while %s: %s",
	    a->connected ? "waiting for the greeting" : "connecting", words);
	on_lost(a->race, a, &why);
}

/* One that is there, for all that is known. Its host's other addresses are not needed. */
static void
on_connected(struct attempt *a)
{
	struct race *r = a->race;

	if (r->user->implicit_tls(r->arg)) { /* it is us who speak first */
		race_over(r, a, NULL);
		return;
	}
	a->connected = true;
	if (attempt_wait(a, a->fd, EV_READ, session_settings.command_timeout) == -1) {
		lost(a, "memory is short");
		return;
	}
	for (size_t i = 0; i < PLACES; i++)
		if (&r->at[i] != a && !r->at[i].connected && strcmp(r->at[i].target.host, a->target.host) == 0)
			attempt_end(&r->at[i]);
	evtimer_del(r->fallback);
	arm(r->step_over, session_settings.connect_timeout);
}

static void
on_readable(struct attempt *a)
{
	char byte;
	ssize_t n = recv(a->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n == 1)
		race_over(a->race, a, NULL);
	else if (n == 0)
		lost(a, "it closed the connection");
	else if (errno != EAGAIN && errno != EINTR)
		lost(a, strerror(errno));
	else
		attempt_wait(a, a->fd, EV_READ, session_settings.command_timeout);
}

static void
on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *a = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	if (what & EV_TIMEOUT) {
		silent_note(&a->target.address);
		lost(a, "it took too long");
	} else if (a->connected) {
		on_readable(a);
	} else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 || error != 0) {
		lost(a, strerror(error != 0 ? error : errno));
	} else {
		on_connected(a);
	}
}

struct race *
race_start(const struct target *first, const struct race_user *user, void *arg, struct result *why)
{
	struct race *r = calloc(1, sizeof(*r));

	if (r != NULL) {
		r->user = user;
		r->arg = arg;
		for (size_t i = 0; i < PLACES; i++)
			r->at[i].fd = -1;
		r->fallback = evtimer_new(session_settings.base, on_fallback, r);
		r->step_over = evtimer_new(session_settings.base, on_step_over, r);
	}
	if (r == NULL || r->fallback == NULL || r->step_over == NULL) {
		race_stop(&r);
		result_set(why, STEP_TEMPORARY, "4.3.0", "no memory for a connection");
		return NULL;
	}
	if (race_add(r, first, why) == -1) {
		race_stop(&r);
		return NULL;
	}
	arm(r->step_over, host_patience());
	return r;
}
