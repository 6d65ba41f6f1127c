/* rates - what one client may do within a minute (limits.*_rate) */
#include "smtp/rates.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "smtp/clients.h"
#include "smtp/tarpit.h"

/* Counts one more; true when there are more than `most`. */
static bool
beyond(uint32_t client, enum clients_meter meter, int64_t most)
{
	return most > 0 && clients_count(client, meter, clock_mono()) > (uint64_t)most;
}

static bool
is_counted(const struct session *s)
{
	return s->counted && s->kind != LISTEN_LMTP && !session_may_relay(s) && !s->proxy;
}

/* A proxy itself, and a mail server that hands its mail over, connect for many. */
static bool
connects_for_others(const struct peer *peer)
{
	return peer->kind == LISTEN_LMTP ||
	       (!peer->proxied &&
		   conf_networks_hold(&role_conf()->trusted_proxies, peer->ip));
}

const char *
rates_connect(const struct peer *peer, uint32_t client)
{
	const struct conf *conf = role_conf();

	if (conf->limits.connection_rate == 0 || peer->kind == LISTEN_LOCAL ||
	    connects_for_others(peer) || conf_networks_hold(&conf->trusted_networks, peer->ip) ||
	    !beyond(client, METER_CONNECTIONS, conf->limits.connection_rate))
		return NULL;
	return "Your network connects too often; please wait a minute";
}

static bool
put_off(struct session *s, const char *what)
{
	char text[100];

	snprintf(text, sizeof(text), "Your network sends too many %s; please wait a minute", what);
	session_reply(s, 450, "4.7.1", "%s", text);
	session_refused(s, NULL, text);
	return false;
}

bool
rates_message(struct session *s)
{
	if (!is_counted(s) || !beyond(s->client, METER_MESSAGES, role_conf()->limits.message_rate))
		return true;
	return put_off(s, "messages");
}

bool
rates_recipient(struct session *s)
{
	if (!is_counted(s) ||
	    !beyond(s->client, METER_RECIPIENTS, role_conf()->limits.recipient_rate))
		return true;
	return put_off(s, "recipients");
}

static void
send_away(struct session *s, const char *text)
{
	session_reply(s, 421, "4.7.0", "%s", text);
	session_refused(s, NULL, text);
	session_close(s);
}

/* The short leash. */
static void
fault(struct session *s, enum clients_meter meter, int64_t most, const char *what)
{
	char text[100];

	if (!is_counted(s) || s->state == SESSION_CLOSING)
		return;
	tarpit_hold(s);
	if (!beyond(s->client, meter, most))
		return;
	snprintf(text, sizeof(text), "Too many %s from your network; please wait a minute", what);
	send_away(s, text);
}

void
rates_unknown(struct session *s)
{
	int64_t most = role_conf()->limits.unknown_recipients;

	fault(s, METER_UNKNOWN, role_conf()->limits.unknown_rate, "unknown recipients");
	if (is_counted(s) && s->state != SESSION_CLOSING && most > 0 && ++s->unknown >= most)
		send_away(s, "Too many unknown recipients; please come back with a better list");
}

void
rates_error(struct session *s)
{
	fault(s, METER_ERRORS, role_conf()->limits.error_rate, "commands in error");
}
