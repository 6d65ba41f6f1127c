/* Which way mail for a domain goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/envelope.h"
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

/* A message may make the policy stricter, or laxer; sessions under different ones are never shared. */
static void
for_messages(void **state)
{
	static const struct {
		enum conf_tls before;
		unsigned flags;
		enum conf_tls after;
		bool checked, same_key;
	} table[] = {
		{ TLS_OPPORTUNISTIC, 0, TLS_OPPORTUNISTIC, false, true },
		{ TLS_NONE, ENVELOPE_REQUIRETLS, TLS_REQUIRED, true, false },
		{ TLS_REQUIRED, ENVELOPE_REQUIRETLS, TLS_REQUIRED, true, false },
		{ TLS_REQUIRED, ENVELOPE_TLS_OPTIONAL, TLS_OPPORTUNISTIC, false, false },
		{ TLS_VERIFIED, ENVELOPE_TLS_OPTIONAL, TLS_OPPORTUNISTIC, false, false },
		{ TLS_OPPORTUNISTIC, ENVELOPE_TLS_OPTIONAL, TLS_OPPORTUNISTIC, false, false },
		{ TLS_NONE, ENVELOPE_TLS_OPTIONAL, TLS_NONE, false, true },
		{ TLS_REQUIRED, ENVELOPE_REQUIRETLS | ENVELOPE_TLS_OPTIONAL, TLS_REQUIRED, true, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct conf conf = { .n_route = 0 };
		struct err err = { 0 };
		struct route r;
		char key[300];

		conf.relay.port = 25;
		conf.relay.tls = (int)table[i].before;
		assert_int_equal(route_choose(&conf, "x.test", &r, &err), 0);
		memcpy(key, r.key, sizeof(key));
		route_for_message(&r, table[i].flags);
		assert_int_equal(r.tls, table[i].after);
		assert_int_equal(r.checked, table[i].checked);
		assert_int_equal(strcmp(key, r.key) == 0, table[i].same_key);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(choice), cmocka_unit_test(for_messages) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
