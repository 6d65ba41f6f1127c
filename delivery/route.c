/* route - where mail for a domain goes, as the configuration says
 *
 * Pure: no look-up is made here. A domain literal ("[192.0.2.1]", RFC 5321 4.1.3) is an address to
 * connect to, but nobody vouches for it, so it is held to the same rules as an address from DNS. */
#include "delivery/route.h"

#include <stdio.h>
#include <string.h>

#include "base/envelope.h"
#include "delivery/route_match.h"

#define LMTP_PORT 24 /* what one expects (RFC 2033 5 names none but 25, which it must not be) */

static int
to_host(uint16_t port, const char *what, const char *host, struct route *route, struct err *err)
{
	if (!conf_host_port(host, port, route->host, &route->port))
		return err_set(
		    err, ERR_TEMPORARY, "%s: \"%s\" is not HOST or HOST:PORT", what, host);
	route->trusted = true;
	return 0;
}

/* A password goes only to a host that proves who it is, unless the configuration asks for less by name. */
static void
to_login(struct route *route, const char *kind, const char *name, const char *user)
{
	if (user == NULL || user[0] == '\0')
		return;
	snprintf(route->login, sizeof(route->login), "%s%s", kind, name);
	if (route->tls == TLS_OPPORTUNISTIC)
		route->tls = TLS_VERIFIED;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" -> the address. */
static int
to_literal(const char *domain, struct route *route, struct err *err)
{
	struct slice s = slice_of(domain);

	s = slice_skip(s, 1);
	if (slice_starts_nocase(s, SLICE("ipv6:")))
		s = slice_skip(s, 5);
	if (s.len < 2 || s.at[s.len - 1] != ']')
		return err_set(err, ERR_PERMANENT, "%s is not an address", domain);
	s.len--;
	slice_copy(s, route->host, sizeof(route->host));
	return 0;
}

static int
choose(const struct conf *conf, const char *domain, const char *sender, struct route *route,
    struct err *err)
{
	const struct conf_route *section = route_match(conf, domain, sender);

	if (section != NULL) {
		route->name = section->name;
		route->tls = (enum conf_tls)section->tls;
		to_login(route, LOGIN_ROUTE, section->name, section->username);
		route->lmtp = section->lmtp != NULL && section->lmtp[0] != '\0';
		return route->lmtp ? to_host(LMTP_PORT, "route", section->lmtp, route, err)
				   : to_host(route->port, "route", section->host, route, err);
	}
	if (conf->relay.smarthost != NULL && conf->relay.smarthost[0] != '\0') {
		route->name = LOGIN_SMARTHOST;
		to_login(route, LOGIN_SMARTHOST, "", conf->relay.username);
		return to_host(route->port, "relay.smarthost", conf->relay.smarthost, route, err);
	}
	if (domain[0] == '[')
		return to_literal(domain, route, err);
	route->by_mx = true;
	if (!slice_copy(slice_of(domain), route->host, sizeof(route->host)) || domain[0] == '\0')
		return err_set(err, ERR_PERMANENT, "the domain is not a usable name");
	return 0;
}

static void
set_key(struct route *route)
{
	snprintf(route->key, sizeof(route->key), "%s%s:%u/%d%s%s%s%s", route->by_mx ? "mx " : route->lmtp ? "lmtp " : "",
	    route->host, route->port, (int)route->tls, route->checked ? " checked" : "",
	    route->lax ? " lax" : "", route->login[0] != '\0' ? " as " : "", route->login);
}

int
route_choose(const struct conf *conf, const char *domain, const char *sender, struct route *route,
    struct err *err)
{
	memset(route, 0, sizeof(*route));
	route->name = "";
	route->port = (uint16_t)conf->relay.port;
	route->tls = (enum conf_tls)conf->relay.tls;
	if (choose(conf, domain, sender, route, err) == -1)
		return -1;
	for (char *c = route->host; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + 32);
	memcpy(route->domain, route->host, sizeof(route->domain));
	set_key(route);
	return 0;
}

void
route_for_message(struct route *route, unsigned flags)
{
	if (flags & ENVELOPE_REQUIRETLS) {
		route->tls = TLS_REQUIRED;
		route->checked = true;
	} else if (flags & ENVELOPE_TLS_OPTIONAL && route->tls != TLS_NONE &&
		   route->login[0] == '\0') { /* our password is not the sender's to give away */
		route->tls = TLS_OPPORTUNISTIC;
		route->lax = true;
	}
	set_key(route);
}
