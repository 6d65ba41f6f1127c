/* route - where mail for a domain goes, as the configuration says
 *
 * The first that fits: the route section that fits best (route_match.h), relay.smarthost, the domain's MX records. */
#ifndef DELIVERY_ROUTE_H
#define DELIVERY_ROUTE_H

#include "conf/conf.h"

/* Names of logins; that of a route goes on with its title. */
#define LOGIN_SMARTHOST "relay.smarthost"
#define LOGIN_ROUTE "route "
#define LOGIN_NAME 264

struct route {
	const char *name;	/* "route NAME", "relay.smarthost", or "": by MX or address; the configuration's */
	bool by_mx;		/* ask DNS for the MX of `host`; else connect to `host` itself */
	bool trusted;		/* the administrator named the host: it may be on loopback or in a private network */
	char host[256];		/* name or address */
	char domain[256];	/* whose mail it is: the recipients' domain; of a trusted host its own name */
	uint16_t port;
	bool lmtp;		/* the host speaks LMTP */
	enum conf_tls tls;
	bool checked;		/* the host must prove who it is: DNSSEC for its MX, a certificate for its name (RFC 8689) */
	bool lax;		/* the sender would rather have it arrive than protected (RFC 8689 5): no policy of the domain's counts */
	char login[LOGIN_NAME];	/* of the login it needs (relay_login.h), or "": no login */
	char key[700];		/* equal keys: the same hosts under the same TLS policy (sessions may be shared) */
};

/* -1 + ERR_PERMANENT for a domain no mail can go to, ERR_TEMPORARY for a mistake in the configuration. */
int route_choose(
    const struct conf *conf, const char *domain, const char *sender, struct route *route, struct err *err);
/* The policy for one message, by its enum envelope_flag: stricter (REQUIRETLS) or laxer (TLS-Required: No, RFC 8689 5). */
void route_for_message(struct route *route, unsigned flags);

#endif
