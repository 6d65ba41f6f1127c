/* session_time - the deadlines of a session, and what is said when one has passed
 *
 * A command must be complete within limits.idle_timeout of the last reply, however it
 * drips in; a body may pause for limits.data_timeout; and no session outlives
 * limits.session_timeout. */
#include "base/clock.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/body.h"
#include "smtp/clients.h"
#include "smtp/pressure.h"
#include "smtp/session_inner.h"
#include "smtp/tarpit.h"

#define BUSY_MS (10 * 60 * 1000) /* for another process to answer */
#define SEAL_MS (10 * 1000) /* for an ARC set, without which a message goes on as well */
#define CLOSE_MS (10 * 1000)
#define HANDSHAKE_MS (30 * 1000) /* all of it, however it drips in */
#define LINGER_MS 2000

bool
session_in_body(const struct session *s)
{
	return s->state == SESSION_DATA || s->state == SESSION_CHUNK;
}

static int64_t
shorter(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* How long the client may be silent. */
static int64_t
silence(const struct session *s)
{
	const struct conf *conf = role_conf();
	int64_t ms =
	    session_in_body(s) ? body_patience(s) : conf->limits.idle_timeout;

	if (pressure_is_high() && !session_may_relay(s))
		ms = shorter(ms, conf->limits.overload_timeout);
	if (channel_pending(s->channel) > 0)
		ms = shorter(ms, conf->limits.output_timeout);
	return ms;
}

static int64_t
patience(const struct session *s)
{
	if (s->state == SESSION_CLOSING)
		return s->lingering ? LINGER_MS : CLOSE_MS;
	if (s->tx != NULL && s->tx->sealing)
		return SEAL_MS;
	if (s->token != 0 || s->state == SESSION_END)
		return BUSY_MS;
	if (s->hold_ms > 0)
		return s->hold_ms;
	if (s->waiting)
		return role_conf()->limits.greet_delay;
	if (s->state == SESSION_NEW || s->state == SESSION_TLS)
		return HANDSHAKE_MS;
	return silence(s);
}

void
session_move_deadline(struct session *s)
{
	int64_t ms = patience(s), left = (s->ends - clock_mono()) / 1000;

	s->progress = false;
	if (left < ms && s->state != SESSION_CLOSING)
		ms = left;
	channel_deadline(s->channel, ms > 0 ? ms : 1);
}

/* A pause of ours is over. */
static bool
go_on(struct session *s)
{
	if (s->hold_ms == 0 && !s->waiting)
		return false;
	if (s->waiting) {
		s->waiting = false;
		session_greet(s);
	}
	tarpit_release(s);
	session_run(s);
	return true;
}

void
session_shed_reply(struct session *s, const char *why)
{
	session_reply(s, 421, "4.3.2", "%s", why);
	clients_count_fate(CLIENTS_SHED);
}

void
session_timed_out(struct session *s)
{
	enum session_state state = s->state;

	if (state != SESSION_CLOSING && s->tx != NULL && s->tx->sealing) {
		seal_give_up(s);
		return;
	}
	if (state != SESSION_CLOSING && go_on(s))
		return;
	if (state == SESSION_CLOSING || state == SESSION_NEW || state == SESSION_TLS) {
		session_free(s);
		return;
	}
	if (s->tx != NULL && s->tx->put)
		session_refused(s, s->tx->first,
		    "the queue did not answer in time, so the client got no reply");
	else if (clock_mono() >= s->ends - 2000) /* timers round down */
		session_reply(
		    s, 421, "4.4.2", "This connection has lasted too long; please connect again");
	else if (state == SESSION_DATA && s->tx->dot.fault != DOT_FINE)
		session_reply(
		    s, 421, "4.4.2", "No end of the message came. %s", dot_why(&s->tx->dot));
	else if (s->token != 0 || state == SESSION_END)
		session_reply(s, 421, "4.3.0",
		    "This server could not finish in time; please try again later");
	else if (channel_pending(s->channel) > 0)
		session_reply(s, 421, "4.4.2", "You leave replies unread for too long; goodbye");
	else if (session_in_body(s) && body_is_slow(s))
		session_reply(s, 421, "4.4.2",
		    "The message comes in too slowly; this server waits for %lld bytes a second",
		    (long long)role_conf()->limits.data_rate);
	else if (pressure_is_high() && !session_may_relay(s))
		session_shed_reply(
		    s, "This server is overloaded and you are silent; please try again later");
	else
		session_reply(s, 421, "4.4.2", "Nothing came from you for too long; goodbye");
	session_close(s);
	session_settle(s);
}
