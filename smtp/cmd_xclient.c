/* cmd_xclient - XCLIENT: a proxy that we trust says who the client really is
 *
 * "XCLIENT ADDR=192.0.2.1 NAME=mx.example HELO=mx.example PORT=1234", values in xtext (RFC 3461 4).
 * LOGIN is not taken: who a user is, only `auth` says. The session then begins anew, with a banner.
 * A HELO given here stands, whatever the proxy says in EHLO later. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/role.h"
#include "conf/conf.h"
#include "smtp/clients.h"
#include "smtp/command.h"
#include "smtp/listener.h"
#include "smtp/pressure.h"
#include "smtp/proto/ip.h"

#define VALUE_MAX 256

struct claim {
	char ip[INET6_ADDRSTRLEN];
	char name[VALUE_MAX], helo[VALUE_MAX];
	in_port_t port;
	bool unnamed; /* the proxy does not know its address */
	bool has_ip, has_name, has_helo, has_port;
};

/* xtext: "+" and two hex digits; false when it is not, or holds what may not stand in a header. */
static bool
xtext(struct slice in, char out[static VALUE_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		char c = in.at[i];

		if (c == '+') {
			const char hex[3] = { i + 1 < in.len ? in.at[i + 1] : 'x',
				i + 2 < in.len ? in.at[i + 2] : 'x', 0 };

			if (!isxdigit((unsigned char)hex[0]) || !isxdigit((unsigned char)hex[1]))
				return false;
			c = (char)strtoul(hex, NULL, 16);
			i += 2;
		}
		if (n + 1 == VALUE_MAX || c <= 32 || c == 127 || strchr("()<>\"\\;", c) != NULL)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

static bool
is_unknown(const char *value)
{
	return strcmp(value, "[UNAVAILABLE]") == 0 || strcmp(value, "[TEMPUNAVAIL]") == 0;
}

static bool
take_addr(struct claim *c, const char *value)
{
	const char *text = slice_starts_nocase(slice_of(value), SLICE("IPV6:")) ? value + 5 : value;

	c->unnamed = is_unknown(value);
	if (c->unnamed)
		return true;
	/* read and written again, so that one address has one form */
	c->has_ip = ip_text_again(strchr(text, ':') != NULL ? AF_INET6 : AF_INET, text, c->ip);
	return c->has_ip;
}

static bool
take_port(struct claim *c, const char *value)
{
	uint64_t port;

	c->has_port = slice_to_u64(slice_of(value), &port) && port <= 65535;
	c->port = c->has_port ? (in_port_t)port : 0;
	return c->has_port;
}

static bool
take(struct claim *c, struct slice word)
{
	struct slice rest = word;
	struct slice key = slice_cut(&rest, '=');
	char value[VALUE_MAX];

	if (rest.at == NULL || !xtext(rest, value))
		return false;
	if (slice_eq_nocase(key, SLICE("ADDR")))
		return take_addr(c, value);
	if (slice_eq_nocase(key, SLICE("PORT")))
		return is_unknown(value) || take_port(c, value);
	if (slice_eq_nocase(key, SLICE("PROTO")))
		return true;
	if (slice_eq_nocase(key, SLICE("NAME"))) {
		c->has_name = true;
		strcpy(c->name, is_unknown(value) ? "" : value);
		return true;
	}
	if (slice_eq_nocase(key, SLICE("HELO"))) {
		c->has_helo = !is_unknown(value) && value[0] != '\0';
		strcpy(c->helo, value);
		return true;
	}
	return false;
}

static void
replace(char **at, const char *value)
{
	free(*at);
	*at = value[0] != '\0' ? strdup(value) : NULL;
}

static void
believe(struct session *s, const struct claim *c)
{
	const struct conf *conf = role_conf();

	session_forget(s);
	if (c->has_ip) {
		memcpy(s->ip, c->ip, sizeof(s->ip));
		s->trusted = conf_networks_hold(&conf->trusted_networks, s->ip);
	}
	if (c->unnamed) /* what the proxy may do, its client may not */
		s->trusted = false;
	if (c->has_port)
		s->port = c->port;
	if (c->has_name)
		replace(&s->name, c->name);
	if (c->has_helo) {
		replace(&s->helo, c->helo);
		s->helo_fixed = s->helo != NULL;
	}
}

/* The client counts, not its proxy; false when it has too many connections. */
static bool
recount(struct session *s)
{
	uint32_t slot = clients_slot(s->ip);

	if (slot == s->client)
		return true;
	clients_leave(s->client);
	s->client = slot;
	s->counted = clients_enter(slot, pressure_most(s->kind, s->trusted),
			 (uint64_t)role_conf()->limits.connections_per_client) == CLIENTS_FINE;
	if (s->counted)
		return true;
	session_reply(
	    s, 421, "4.7.0", "You have too many connections to this server; please close some");
	session_close(s);
	return false;
}

void
cmd_proxy(struct session *s, struct slice args)
{
	(void)args;
	/* where one is wanted, whoever sent it is a proxy, and reads on as if it had been taken: say nothing */
	if (!s->header_due)
		session_reply(s, 421, "4.7.1",
		    "The PROXY protocol is for trusted_proxies, and listeners with proxy_protocol");
	session_refused(s, NULL,
	    s->header_due ? "a PROXY header from outside trusted_proxies"
			  : "a PROXY header where none is wanted");
	session_close(s);
}

void
cmd_xclient(struct session *s, struct slice args)
{
	struct claim claim = { 0 };

	if (!s->proxy) {
		session_bad(s, 550, "5.7.1", "XCLIENT is for trusted_proxies only");
		return;
	}
	/* who logged in is the one that was there before */
	if (s->user != NULL) {
		session_bad(s, 503, "5.5.1", "XCLIENT: not after AUTH");
		return;
	}
	if (args.len == 0) {
		session_bad(s, 501, "5.5.4", "XCLIENT needs ADDR=, NAME=, HELO= or PORT=");
		return;
	}
	while (args.len > 0) {
		struct slice word = slice_cut(&args, ' ');

		args = slice_trim(args);
		if (!take(&claim, word)) {
			session_bad(
			    s, 501, "5.5.4", "XCLIENT: %s is not understood", command_echo(word));
			return;
		}
	}
	believe(s, &claim);
	if (s->kind == LISTEN_LMTP && !listener_may_hand_over(s->ip)) {
		session_reply(
		    s, 421, "4.7.0", "LMTP is for this machine and trusted_networks only");
		session_close(s);
		return;
	}
	if (recount(s))
		session_greet(s);
}
