/* session - one client's connection, from accept to close
 *
 * Everything that happens comes through session_run: it takes one step after the other (a command,
 * a piece of a body) until the client's bytes are used up or an answer has to be waited for, sends
 * all replies in one write, and then decides in settle() when the deadline is, or that the session
 * is over. Nothing else frees a session while it runs.
 *
 * Deadlines: a command must be complete within limits.idle_timeout of the last reply, however it
 * drips in; a body may pause for limits.data_timeout; and no session outlives
 * limits.session_timeout. */
#include "smtp/session.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/qid.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/body.h"
#include "smtp/clients.h"
#include "smtp/command.h"
#include "smtp/pressure.h"
#include "smtp/rates.h"
#include "smtp/tarpit.h"

#define IN_MIN (32 * 1024) /* bytes a client may send ahead */
#define OUT_MAX (64 * 1024)
#define OUT_HIGH (16 * 1024) /* a client that does not read its replies is not served */
#define REPLY_TEXT_MAX 500
#define BUSY_MS (10 * 60 * 1000) /* for another process to answer */
#define SEAL_MS (10 * 1000) /* for an ARC set, without which a message goes on as well */
#define CLOSE_MS (10 * 1000)
#define HANDSHAKE_MS (30 * 1000) /* all of it, however it drips in */
#define LINGER_MS 2000
#define LINGER_BYTES (4 * 1024 * 1024)
#define TRIM_FROM 200 /* sessions that leave enough memory behind */
#define TRIM_TO 8

static struct session *sessions;
static unsigned n_sessions;
static unsigned owed; /* sessions whose memory the heap may still hold */
static bool draining; /* another process has our place */

static void settle(struct session *s);

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

/* -- replies */

static void
write_line(struct session *s, int code, const char *enhanced, const char *text)
{
	char line[REPLY_TEXT_MAX + 64];
	int n = snprintf(line, sizeof(line) - 2, "%03d %s%s%.*s", code,
	    enhanced != NULL ? enhanced : "", enhanced != NULL ? " " : "", REPLY_TEXT_MAX, text);

	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < 32 || line[i] == 127)
			line[i] = '?';
	memcpy(line + n, "\r\n", 2);
	s->progress = true;
	if (channel_write(s->channel, (struct slice){ line, (size_t)n + 2 }) == -1)
		session_close(s);
}

static void reply_v(struct session *s, int code, const char *enhanced, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void
reply_v(struct session *s, int code, const char *enhanced, const char *fmt, va_list ap)
{
	char text[REPLY_TEXT_MAX + 1];

	vsnprintf(text, sizeof(text), fmt, ap);
	write_line(s, code, enhanced, text);
}

void
session_reply(struct session *s, int code, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_v(s, code, enhanced, fmt, ap);
	va_end(ap);
}

void
session_bad(struct session *s, int code, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_v(s, code, enhanced, fmt, ap);
	va_end(ap);
	session_mistake(s);
}

void
session_mistake(struct session *s)
{
	rates_error(s);
	if (++s->errors < (unsigned)role_conf()->limits.errors || s->state == SESSION_CLOSING)
		return;
	session_reply(s, 421, "4.7.0", "Too many commands in error; goodbye");
	session_refused(s, NULL, "too many commands in error");
	session_close(s);
}

bool
session_idle_command(struct session *s)
{
	static const char why[] = "Too many commands and no message; please come back with one";

	if (++s->idle <= (unsigned)role_conf()->limits.commands)
		return true;
	session_reply(s, 421, "4.7.0", "%s", why);
	session_refused(s, NULL, why);
	session_close(s);
	return false;
}

void
session_no_memory(struct session *s)
{
	session_reply(s, 451, "4.3.0", "This server is short of memory; please try again later");
}

void
session_refused(const struct session *s, const char *to, const char *text)
{
	struct event_note note = {
		.event = EVENT_REFUSED, .text = text, .to = to, .ip = s->ip, .user = s->user
	};

	if (s->tx != NULL) {
		note.qid = s->tx->qid;
		note.from = s->tx->from;
		note.msgid = s->tx->head.msgid;
	}
	role_event(&note);
}

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

static void
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
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		sessions = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	free(s->helo);
	free(s->name);
	free(s);
	n_sessions--;
	if (n_sessions >= owed)
		owed = n_sessions + 1;
	if (n_sessions == 0 && role_stopping())
		role_exit(0);
}

/* -- deadlines */

static bool
in_body(const struct session *s)
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
	    in_body(s) ? body_patience(s) : conf->limits.idle_timeout;

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

static void
move_deadline(struct session *s)
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

static void
shed_reply(struct session *s, const char *why)
{
	session_reply(s, 421, "4.3.2", "%s", why);
	clients_count_fate(CLIENTS_SHED);
}

static void
on_timeout(struct session *s)
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
	else if (in_body(s) && body_is_slow(s))
		session_reply(s, 421, "4.4.2",
		    "The message comes in too slowly; this server waits for %lld bytes a second",
		    (long long)role_conf()->limits.data_rate);
	else if (pressure_is_high() && !session_may_relay(s))
		shed_reply(
		    s, "This server is overloaded and you are silent; please try again later");
	else
		session_reply(s, 421, "4.4.2", "Nothing came from you for too long; goodbye");
	session_close(s);
	settle(s);
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
	       (in_body(s) && channel_input(s->channel).len > 0);
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

/* After all steps: the session waits, or is over. May free it. */
static void
settle(struct session *s)
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
		move_deadline(s);
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
	settle(s);
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
		on_timeout(s);
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

static void
link_in(struct session *s)
{
	s->next = sessions;
	if (sessions != NULL)
		sessions->prev = s;
	sessions = s;
	n_sessions++;
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
	link_in(s);
	begin(s, peer);
	settle(s);
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

/* What is left of a flood keeps its pages, each with a little of it, from being given back: so this is
 * done again and again until hardly any session is left. */
void
session_give_back(void)
{
	static bool flooded;

	if (owed >= TRIM_FROM)
		flooded = true;
	if (!flooded || n_sessions > owed / 4)
		return;
	malloc_trim(0);
	owed = n_sessions;
	flooded = n_sessions > TRIM_TO;
}

unsigned
session_count(void)
{
	return n_sessions;
}

/* -- overload */

void
session_each(void (*fn)(struct session *s, void *arg), void *arg)
{
	for (struct session *s = sessions, *next; s != NULL; s = next) {
		next = s->next;
		fn(s, arg);
	}
}

size_t
session_memory(const struct session *s)
{
	return sizeof(*s) + channel_memory(s->channel) +
	       (s->tx != NULL ? transaction_memory(s->tx) : 0);
}

bool
session_may_shed(const struct session *s)
{
	return s->token == 0 && !session_may_relay(s) &&
	       (IN(GREETED) | IN(IDLE) | IN(MAIL) | IN(RCPT) | IN(DATA) | IN(CHUNK) | IN(BDAT)) &
		   1u << s->state;
}

void
session_shed(struct session *s, const char *why)
{
	shed_reply(s, why);
	session_refused(s, NULL, why);
	session_close(s);
	settle(s);
}

void
session_hurry_all(void)
{
	for (struct session *s = sessions; s != NULL; s = s->next)
		if (session_may_shed(s) && s->hold_ms == 0 && !s->waiting)
			move_deadline(s);
}

void
session_drain_all(void)
{
	draining = true;
	session_stop_all();
}

void
session_stop_all(void)
{
	for (struct session *s = sessions, *next; s != NULL; s = next) {
		next = s->next;
		settle(s);
	}
}
