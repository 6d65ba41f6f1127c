/* Which way mail for a domain goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "delivery/route.h"

static struct conf_route sections[] = {
	{ (char *)"peer.test", (char *)"127.0.0.1:2626", TLS_NONE },
	{ (char *)"name.test", (char *)"Relay.Example", TLS_REQUIRED },
	{ (char *)"six.test", (char *)"[2001:db8::1]:26", TLS_NONE },
	{ (char *)"bad.test", (char *)"host:port", TLS_NONE },
	{ (char *)"*", (char *)"out.example:587", TLS_REQUIRED },
};

static const struct row {
	const char *name, *domain;
	size_t sections;	/* how many of them exist */
	const char *smarthost;
	bool by_mx, trusted;
	const char *host;	/* NULL: refused */
	uint16_t port;
	enum conf_tls tls;
} rows[] = {
	{ "its section", "peer.test", 5, "smart.example", false, true, "127.0.0.1", 2626, TLS_NONE },
	{ "its section, other case", "PEER.test", 5, "", false, true, "127.0.0.1", 2626, TLS_NONE },
	{ "default port", "name.test", 5, "", false, true, "relay.example", 25, TLS_REQUIRED },
	{ "IPv6", "six.test", 5, "", false, true, "2001:db8::1", 26, TLS_NONE },
	{ "a mistake", "bad.test", 5, "", false, true, NULL, 0, 0 },
	{ "any", "x.test", 5, "smart.example", false, true, "out.example", 587, TLS_REQUIRED },
	{ "not below a section's domain", "sub.peer.test", 4, "", true, false, "sub.peer.test", 25, TLS_OPPORTUNISTIC },
	{ "smarthost", "x.test", 4, "smart.example:587", false, true, "smart.example", 587, TLS_OPPORTUNISTIC },
	{ "MX", "X.Test", 4, "", true, false, "x.test", 25, TLS_OPPORTUNISTIC },
	{ "literal", "[192.0.2.1]", 4, "", false, false, "192.0.2.1", 25, TLS_OPPORTUNISTIC },
	{ "IPv6 literal", "[IPv6:2001:db8::1]", 4, "", false, false, "2001:db8::1", 25, TLS_OPPORTUNISTIC },
	{ "broken literal", "[192.0.2.1", 4, "", false, false, NULL, 0, 0 },
	{ "empty", "", 4, "", false, false, NULL, 0, 0 },
};

static void
choice(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct row *w = &rows[i];
		struct conf conf = { .route = sections, .n_route = w->sections };
		struct route r;
		struct err err = { 0 };

		conf.relay.port = 25;
		conf.relay.tls = TLS_OPPORTUNISTIC;
		conf.relay.smarthost = (char *)(uintptr_t)w->smarthost;
		if ((route_choose(&conf, w->domain, &r, &err) == 0) != (w->host != NULL))
			fail_msg("%s: %s", w->name, err.text);
		if (w->host == NULL)
			continue;
		if (r.by_mx != w->by_mx || r.trusted != w->trusted || r.port != w->port || r.tls != w->tls ||
		    strcmp(r.host, w->host) != 0)
			fail_msg("%s: %s:%u mx %d trusted %d tls %d", w->name, r.host, r.port, r.by_mx, r.trusted, (int)r.tls);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(choice) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
