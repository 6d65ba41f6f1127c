#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "conf/told.h"

struct ears {
	struct conf *c;
	unsigned pairs, refused;
	bool heard_key;
};

static void
hear(void *arg, const char *path, const char *value)
{
	struct ears *e = arg;

	e->pairs++;
	e->heard_key |= strstr(path, "tls.key") != NULL;
	if (conf_hear(e->c, path, value, NULL) == -1)
		e->refused++;
}

static const char *const said[][2] = {
	{ "hostname", "mx.test" },
	{ "tls.key", "/secret" },
	{ "relay.retry", "" },
	{ "relay.retry", "1000" },
	{ "relay.connect_timeout", "1500" },
	{ "route.peer.test.host", "127.0.0.1:2626" },
	{ "route.peer.test.tls", "none" },
	{ "route.*.host", "192.0.2.1" },
	{ "spam.dnsbl.bl.example.weight", "-1500" },
	{ "delivery.subaddress_separator", "" },
	{ "trusted_networks", "192.0.2.0/24" },
};

/* What one process says, another understands. */
static void
there_and_back(void **state)
{
	struct conf *from = conf_defaults();
	struct ears relay = { .c = conf_defaults() }, smtpd = { .c = conf_defaults() };

	(void)state;
	for (size_t i = 0; i < COUNT(said); i++)
		assert_int_equal(conf_hear(from, said[i][0], said[i][1], NULL), 0);
	assert_int_equal(from->spam.dnsbl[0].weight, -1500);
	assert_string_equal(from->spam.dnsbl[0].name, "bl.example");
	assert_string_equal(from->delivery.subaddress_separator, "");

	conf_tell(from, ROLE_RELAY, hear, &relay);
	assert_int_equal(relay.refused, 0);
	assert_false(relay.heard_key);
	assert_string_equal(relay.c->hostname, "mx.test");
	assert_int_equal(relay.c->relay.connect_timeout, 1500);
	assert_int_equal(relay.c->n_route, 2);
	assert_string_equal(relay.c->route[0].name, "peer.test");
	assert_string_equal(relay.c->route[0].host, "127.0.0.1:2626");
	assert_int_equal(relay.c->route[0].tls, TLS_NONE);
	assert_string_equal(relay.c->route[1].name, "*");
	assert_int_equal(relay.c->n_listen, 0);

	conf_tell(from, ROLE_SMTPD, hear, &smtpd);
	assert_int_equal(smtpd.refused, 0);
	assert_false(smtpd.heard_key);
	assert_int_equal(smtpd.c->trusted_networks.n, 1);
	conf_free(&from);
	conf_free(&relay.c);
	conf_free(&smtpd.c);
}

static void
every_role(void **state)
{
	(void)state;
	for (int role = 0; role < ROLE_COUNT; role++) {
		struct conf *c = conf_defaults();
		struct ears e = { .c = conf_defaults() };

		conf_tell(c, (enum role)role, hear, &e);
		assert_int_equal(e.refused, 0);
		assert_false(e.heard_key);
		assert_true(role == ROLE_TEGAMID || e.pairs > 0);
		conf_free(&c);
		conf_free(&e.c);
	}
}

static void
nonsense(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" }, { "nothing", "1" }, { "listen", "x" }, { "listen.", "x" }, { "listen.x", "x" },
		{ "listen.x.y", "x" }, { "listen..kind", "mx" }, { "limits.recipients", "x" },
		{ "limits.recipients", "" }, { "listen.x.kind", "nix" }, { "relay.retry", "1m" },
		{ "spam.dnsbl.weight", "1" },
	};
	struct conf *c = conf_defaults();

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct err err = { .text = "" };

		if (conf_hear(c, pairs[i][0], pairs[i][1], &err) == 0)
			fail_msg("%s = %s", pairs[i][0], pairs[i][1]);
		assert_true(err.text[0] != '\0');
	}
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(every_role),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
