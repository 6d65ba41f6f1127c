/* session - one client's connection, from accept to close
 *
 * Everything that happens comes through session_run: it takes one step after the other (a command,
 * a piece of a body) until the client's bytes are used up or an answer has to be waited for, sends
 * all replies in one write, and then decides in session_settle when the deadline is, or that the
 * session is over. Nothing else frees a session while it runs. Deadlines are in session_time.c,
 * replies in session_reply.c, and what concerns all sessions in session_all.c. */
#include "smtp/session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/clients.h"
#include "smtp/command.h"
#include "smtp/session_inner.h"
#include "smtp/tarpit.h"

#define IN_MIN (32 * 1024) /* bytes a client may send ahead */
#define OUT_MAX (64 * 1024)
#define OUT_HIGH (16 * 1024) /* a client that does not read its replies is not served */
#define LINGER_BYTES (4 * 1024 * 1024)

static bool draining; /* another process has our place */

/* -- states */

typedef bool input_fn(struct session *s);

/* A socket closed with unread bytes is reset, and the reset overtakes the last reply: so they are
 * read. */
static bool
swallow(struct session *s)
{
	size_t n = channel_discard(s->channel);

	s->swallowed += (uint32_t)n;
	if (s->swallowed > LINGER_BYTES)
		s->linger = false;
	return false;
}

static const struct state_row {
	const char *name;
	unsigned next;   /* states that may follow */
	input_fn *input; /* what the client's bytes mean; false: nothing to do for now */
} states[SESSION_STATES] = {
	[SESSION_NEW] = { "new", IN(GREETED) | IN(CLOSING), NULL },
	[SESSION_GREETED] = { "greeted", IN(IDLE) | IN(GREETED) | IN(CHUNK) | IN(TLS) | IN(CLOSING),
	    command_input },
	[SESSION_IDLE] = { "idle",
	    IN(GREETED) | IN(IDLE) | IN(MAIL) | IN(CHUNK) | IN(AUTH) | IN(TLS) | IN(CLOSING),
	    command_input },
	[SESSION_MAIL] = { "mail", IN(IDLE) | IN(RCPT) | IN(CHUNK) | IN(TLS) | IN(CLOSING),
	    command_input },
	[SESSION_RCPT] = { "rcpt", IN(IDLE) | IN(DATA) | IN(CHUNK) | IN(TLS) | IN(CLOSING),
	    command_input },
	[SESSION_DATA] = { "data", IN(END) | IN(CLOSING), data_input },
	[SESSION_CHUNK] = { "chunk",
	    IN(GREETED) | IN(IDLE) | IN(MAIL) | IN(BDAT) | IN(END) | IN(CLOSING), bdat_input },
	[SESSION_BDAT] = { "bdat", IN(IDLE) | IN(CHUNK) | IN(CLOSING), command_input },
	[SESSION_END] = { "end", IN(IDLE) | IN(CLOSING), NULL },
	[SESSION_AUTH] = { "auth", IN(IDLE) | IN(CLOSING), auth_input },
	[SESSION_TLS] = { "tls", IN(GREETED) | IN(CLOSING), NULL },
	[SESSION_CLOSING] = { "closing", 0, swallow },
};

void
session_enter(struct session *s, enum session_state next)
{
	if (s->state == next)
		return;
	assert(states[s->state].next & 1u << next);
	log_debug("%s: %s -> %s", s->ip, states[s->state].name, states[next].name);
	s->state = next;
	s->progress = true;
	if (next == SESSION_IDLE || next == SESSION_GREETED)
		transaction_free(&s->tx);
}

/* -- what it may */

size_t
session_rcpts_max(const struct session *s)
{
	size_t max = (size_t)role_conf()->limits.recipients;

	return s->kind == LISTEN_LMTP && max > LMTP_RCPTS_MAX ? LMTP_RCPTS_MAX : max;
}

bool
session_may_relay(const struct session *s)
{
	return s->kind != LISTEN_LMTP && (s->user != NULL || s->trusted);
}

/* -- the end */

void
session_close(struct session *s)
{
	if (s->state == SESSION_CLOSING)
		return;
	session_enter(s, SESSION_CLOSING);
	s->linger = true;
}

/* The session's ticket is void from now on. */
static void
log_out(struct session *s)
{
	if (s->user == NULL)
		return;
	wire_put_bytes(frame_begin(MSG_AUTH_END, 0), (struct slice){ s->ticket, TICKET_LEN });
	link_send(role_link(ROLE_AUTH), -1);
	free(s->user);
	s->user = NULL;
	explicit_bzero(s->ticket, sizeof(s->ticket));
}

void
session_free(struct session *s)
{
	link_forget(s->token);
	tarpit_release(s);
	if (s->auth_id != 0)
		auth_abort(s);
	transaction_free(&s->tx);
	log_out(s);
	channel_free(&s->channel);
	if (s->counted)
		clients_leave(s->client);
	sessions_drop(s);
	free(s->helo);
	free(s->name);
	free(s);
	if (session_count() == 0 && role_stopping())
		role_exit(0);
}

/* -- running */

static bool
step(struct session *s)
{
	input_fn *input = states[s->state].input;

	if (s->token != 0 || s->hold_ms > 0 || input == NULL || channel_pending(s->channel) > OUT_HIGH)
		return false;
	return input(s);
}

/* Is there anything left to wait for, after the client has closed its side? */
static bool
blocked(const struct session *s)
{
	return s->token != 0 || s->hold_ms > 0 || channel_pending(s->channel) > 0 ||
	       (session_in_body(s) && channel_input(s->channel).len > 0);
}

/* All was written. True when the connection may be closed at once. */
static bool
end_of_linger(struct session *s)
{
	if (!s->linger || s->eof || role_stopping())
		return true;
	if (!s->lingering) {
		s->lingering = true;
		s->progress = true;
		channel_finish(s->channel);
	}
	return false;
}

/* The states that are ended now: those that nothing is lost in, and in a hurry those before a body.
 */
static unsigned
interrupted(void)
{
	if (role_stopping())
		return IN(GREETED) | IN(IDLE) | IN(MAIL) | IN(RCPT);
	return draining ? IN(GREETED) | IN(IDLE) : 0;
}

void
session_settle(struct session *s)
{
	if (s->token == 0 && interrupted() & 1u << s->state) {
		session_reply(s, 421, "4.3.2",
		    role_stopping() ? "This server is going down; please try again in a moment"
				    : "This server was renewed; please connect again");
		session_close(s);
	}
	if (s->eof && !blocked(s) && s->state != SESSION_CLOSING)
		session_enter(s, SESSION_CLOSING);
	if (s->state == SESSION_CLOSING && channel_pending(s->channel) == 0 && end_of_linger(s)) {
		session_free(s);
		return;
	}
	if (s->progress)
		session_move_deadline(s);
}

void
session_run(struct session *s)
{
	bool full;

	do { /* replies leave together, but not without bound */
		channel_cork(s->channel);
		while (step(s))
			;
		full = channel_pending(s->channel) > OUT_HIGH;
		channel_uncork(s->channel);
	} while (full && channel_pending(s->channel) <= OUT_HIGH);
	session_settle(s);
}

void
session_answered(struct session *s)
{
	s->token = 0;
	s->progress = true;
	channel_cork(s->channel);
}

static void
on_secured(struct session *s)
{
	s->tls = true;
	if (s->state == SESSION_NEW) {
		session_greet(s);
	} else {
		session_forget(s);
		session_enter(s, SESSION_GREETED);
	}
	session_run(s);
}

/* It speaks before it was greeted, which only those do that do not listen. */
static void
too_early(struct session *s)
{
	s->waiting = false;
	session_reply(s, 554, "5.5.1",
	    "You spoke before this server had greeted you (RFC 5321 3.1); no mail is taken like that");
	session_refused(s, NULL, "the client spoke before the greeting");
	session_close(s);
}

static void
on_channel(struct channel *c, enum channel_event event, void *arg)
{
	struct session *s = arg;

	switch (event) {
	case CHANNEL_INPUT:
		if (s->waiting)
			too_early(s);
		session_run(s);
		break;
	case CHANNEL_DRAINED:
		s->progress = true; /* it does read */
		session_run(s);
		break;
	case CHANNEL_SECURED:
		on_secured(s);
		break;
	case CHANNEL_EOF:
		s->eof = true;
		session_run(s);
		break;
	case CHANNEL_TIMEOUT:
		session_timed_out(s);
		break;
	default:
		log_debug("%s: %s", s->ip, channel_error(c));
		session_free(s);
		break;
	}
}

/* -- the beginning */

void
session_forget(struct session *s)
{
	transaction_free(&s->tx);
	if (!s->helo_fixed) {
		free(s->helo);
		s->helo = NULL;
	}
	s->esmtp = false;
}

void
session_greet(struct session *s)
{
	session_reply(s, 220, NULL, "%s ESMTP Tegami", role_conf()->hostname);
	session_enter(s, SESSION_GREETED);
}

/* A session of TLS that was begun at one kind of listener is not resumed at another (RFC 9325 3.4):
 * what a client may do there is not the same. */
int
session_start_tls(struct session *s)
{
	static const char *const scopes[] = { [LISTEN_MX] = "mx",
		[LISTEN_SUBMISSION] = "submission",
		[LISTEN_SUBMISSIONS] = "submissions",
		[LISTEN_LMTP] = "lmtp",
		[LISTEN_LOCAL] = "local" };

	if (smtpd_tls() == NULL)
		return -1;
	return channel_start_tls(s->channel, smtpd_tls(), true, scopes[s->kind]);
}

/* Bytes before the greeting? A PROXY header has a reply of its own (cmd_proxy). */
static bool
spoke_already(const struct session *s)
{
	char first[6];
	ssize_t n = recv(channel_fd(s->channel), first, sizeof(first), MSG_PEEK | MSG_DONTWAIT);

	return n > 0 && !slice_starts_nocase((struct slice){ first, (size_t)n }, SLICE("PROXY ")) &&
	       first[0] != '\r';
}

/* The first words. */
static void
begin(struct session *s, const struct peer *peer)
{
	/* a proxy may pass on what was sent to it meanwhile */
	bool stranger = s->kind == LISTEN_MX && !s->trusted && !s->proxy && !peer->proxied;

	if (s->kind == LISTEN_SUBMISSIONS) {
		if (session_start_tls(s) == -1)
			session_close(s);
	} else if (stranger && spoke_already(s)) {
		too_early(s);
	} else if (stranger && role_conf()->limits.greet_delay > 0) {
		s->waiting = true;
	} else {
		session_greet(s);
	}
}

static size_t
in_max(void)
{
	size_t line = (size_t)role_conf()->limits.command_line + 2;

	return line > IN_MIN ? line : IN_MIN;
}

void
session_start(int fd, const struct peer *peer, uint32_t client)
{
	const struct conf *conf = role_conf();
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		clients_leave(client);
		close(fd);
		return;
	}
	s->channel = channel_new(role_base(), fd, false, in_max(), OUT_MAX, on_channel, s);
	if (s->channel == NULL) {
		clients_leave(client);
		free(s);
		return;
	}
	s->counted = true;
	s->client = client;
	s->kind = peer->kind;
	memcpy(s->ip, peer->ip, sizeof(s->ip));
	s->port = peer->port;
	s->uid = peer->uid;
	s->ends = clock_mono() + conf->limits.session_timeout * 1000;
	s->proxy = peer->kind != LISTEN_LOCAL && conf_networks_hold(&conf->trusted_proxies, s->ip);
	s->header_due = peer->header_due;
	s->trusted =
	    peer->kind == LISTEN_LOCAL || conf_networks_hold(&conf->trusted_networks, s->ip);
	if (peer->unnamed) /* what the proxy may do, its client may not */
		s->proxy = s->trusted = false;
	s->progress = true;
	sessions_add(s);
	begin(s, peer);
	session_settle(s);
}

void
session_turn_away(int fd, const struct peer *peer, const char *enhanced, const char *why)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "421 %s %s\r\n", enhanced, why);

	/* to one who waits for TLS plain words would be noise */
	if (peer->kind != LISTEN_SUBMISSIONS &&
	    send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("%s: the refusal could not be sent", peer->ip);
	close(fd);
}

void
session_drain_all(void)
{
	draining = true;
	session_stop_all();
}
