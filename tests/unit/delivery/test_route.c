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
#include "delivery/route_match.h"

static struct conf_route sections[] = {
	{ .name = (char *)"peer.test", .host = (char *)"127.0.0.1:2626", .tls = TLS_NONE },
	{ .name = (char *)"name.test", .host = (char *)"Relay.Example", .tls = TLS_REQUIRED },
	{ .name = (char *)"six.test", .host = (char *)"[2001:db8::1]:26", .tls = TLS_NONE },
	{ .name = (char *)"bad.test", .host = (char *)"host:port", .tls = TLS_NONE },
	{ .name = (char *)"*", .host = (char *)"out.example:587", .tls = TLS_REQUIRED },
};

static void
lmtp(void **state)
{
	static struct conf_route with[] = {
		{ .name = (char *)"a.test", .lmtp = (char *)"h.example" },
		{ .name = (char *)"b.test", .host = (char *)"h.example:24", .lmtp = (char *)"" },
	};
	struct conf conf = { .route = with, .n_route = COUNT(with) };
	struct route a, b;
	struct err err = { 0 };

	(void)state;
	conf.relay.port = 25;
	assert_int_equal(route_choose(&conf, "a.test", NULL, &a, &err), 0);
	assert_int_equal(route_choose(&conf, "b.test", NULL, &b, &err), 0);
	assert_true(a.lmtp && !b.lmtp);
	assert_int_equal(a.port, 24);
	assert_int_equal(b.port, 24);
	assert_string_not_equal(a.key, b.key); /* another language: sessions are not shared */
}

/* A login is for its host alone, and raises what TLS must achieve; no message may lower that. */
static void
logins(void **state)
{
	static struct conf_route with[] = {
		{ .name = (char *)"a.test", .host = (char *)"h.example:587", .tls = TLS_OPPORTUNISTIC, .username = (char *)"u" },
		{ .name = (char *)"b.test", .host = (char *)"h.example:587", .tls = TLS_OPPORTUNISTIC, .username = (char *)"" },
		{ .name = (char *)"c.test", .host = (char *)"h.example:587", .tls = TLS_REQUIRED, .username = (char *)"u" },
	};
	static const struct {
		const char *domain, *login;
		enum conf_tls tls, optional; /* TLS-Required: No */
	} table[] = {
		{ "a.test", "route a.test", TLS_VERIFIED, TLS_VERIFIED },
		{ "b.test", "", TLS_OPPORTUNISTIC, TLS_OPPORTUNISTIC },
		{ "c.test", "route c.test", TLS_REQUIRED, TLS_REQUIRED },
		{ "d.test", "relay.smarthost", TLS_VERIFIED, TLS_VERIFIED },
	};
	struct conf conf = { .route = with, .n_route = COUNT(with) };
	char keys[COUNT(table)][sizeof(((struct route *)0)->key)];

	(void)state;
	conf.relay.port = 25;
	conf.relay.tls = TLS_OPPORTUNISTIC;
	conf.relay.smarthost = (char *)"h.example:587";
	conf.relay.username = (char *)"u";
	for (size_t i = 0; i < COUNT(table); i++) {
		struct route r;
		struct err err = { 0 };

		assert_int_equal(route_choose(&conf, table[i].domain, NULL, &r, &err), 0);
		assert_string_equal(r.login, table[i].login);
		assert_int_equal(r.tls, table[i].tls);
		memcpy(keys[i], r.key, sizeof(r.key));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(keys[i], keys[k]); /* sessions are not shared */
		route_for_message(&r, ENVELOPE_TLS_OPTIONAL);
		assert_int_equal(r.tls, table[i].optional);
		assert_int_equal(r.lax, table[i].login[0] == '\0');
	}
}

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
		if ((route_choose(&conf, w->domain, NULL, &r, &err) == 0) != (w->host != NULL))
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
		assert_int_equal(route_choose(&conf, "x.test", NULL, &r, &err), 0);
		memcpy(key, r.key, sizeof(key));
		route_for_message(&r, table[i].flags);
		assert_int_equal(r.tls, table[i].after);
		assert_int_equal(r.checked, table[i].checked);
		assert_int_equal(strcmp(key, r.key) == 0, table[i].same_key);
	}
}

/* Which of several sections holds: by the recipient's domain first, then by the sender. */
static void
match(void **state)
{
	static char *part[] = { (char *)"*.corp.test" }, *two[] = { (char *)"a.test", (char *)"B.test" },
		    *bulk[] = { (char *)"news.test" }, *carol[] = { (char *)"carol@news.test" }, *null[] = { (char *)"<>" },
		    *a[] = { (char *)"a.test" };
	static struct conf_route list[] = {
		{ .name = (char *)"*" },
		{ .name = (char *)"below", .domain = { part, 1 } },
		{ .name = (char *)"two", .domain = { two, 2 } },
		{ .name = (char *)"bulk", .sender = { bulk, 1 } },
		{ .name = (char *)"carol", .sender = { carol, 1 } },
		{ .name = (char *)"reports", .sender = { null, 1 } },
		{ .name = (char *)"both", .domain = { a, 1 }, .sender = { bulk, 1 } },
		{ .name = (char *)"c.test" },
		{ .name = (char *)"carol again", .sender = { carol, 1 } },
	};
	static const struct {
		const char *domain, *sender, *is;
	} table[] = {
		{ "x.test", "u@y.test", "*" },
		{ "corp.test", "u@y.test", "*" },
		{ "x.CORP.test", "u@y.test", "below" },
		{ "b.test", "u@y.test", "two" },
		{ "x.test", "u@NEWS.test", "bulk" },
		{ "x.test", "u@sub.news.test", "*" },
		{ "x.test", "Carol@news.test", "carol" },
		{ "x.test", "", "reports" },
		{ "a.test", "u@news.test", "both" },
		{ "a.test", "u@y.test", "two" },
		{ "b.test", "carol@news.test", "two" },
		{ "c.test", "carol@news.test", "c.test" },
		{ "x.test", NULL, "*" },
		{ "a.test", NULL, "two" },
	};
	struct conf conf = { .route = list, .n_route = COUNT(list) };

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		const struct conf_route *r = route_match(&conf, table[i].domain, table[i].sender);

		if (r == NULL || strcmp(r->name, table[i].is) != 0)
			fail_msg("%s from %s: %s, not %s", table[i].domain, table[i].sender, r != NULL ? r->name : "none",
			    table[i].is);
	}
	conf.n_route = 0;
	assert_null(route_match(&conf, "x.test", "u@y.test"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(choice), cmocka_unit_test(logins), cmocka_unit_test(lmtp), cmocka_unit_test(for_messages), cmocka_unit_test(match) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
