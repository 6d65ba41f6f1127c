#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/conf.h"

static const struct {
	const char *text, *host;
	uint16_t port;		/* 0: refused */
} host_ports[] = {
	{ "127.0.0.1:2525", "127.0.0.1", 2525 },
	{ "127.0.0.1", "127.0.0.1", 7 },
	{ ":25", "", 25 },
	{ "[::1]:25", "::1", 25 },
	{ "[::1]", "::1", 7 },
	{ "::1", "::1", 7 },
	{ "mx.test:65535", "mx.test", 65535 },
	{ "mx.test:65536", "", 0 },
	{ "mx.test:", "", 0 },
	{ "mx.test:2x", "", 0 },
	{ "[]:25", "", 0 },
	{ "[::1:25", "", 0 },
	{ "[::1]25", "", 0 },
	{ "", "", 0 },
};

static void
host_port(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(host_ports); i++) {
		char host[256];
		uint16_t port;
		bool ok = conf_host_port(host_ports[i].text, 7, host, &port);

		if (ok != (host_ports[i].port != 0))
			fail_msg("%s", host_ports[i].text);
		if (!ok)
			continue;
		assert_string_equal(host, host_ports[i].host);
		assert_int_equal(port, host_ports[i].port);
	}
}

static const struct {
	const char *network, *ip;
	bool in;
} nets[] = {
	{ "192.0.2.0/24", "192.0.2.255", true },
	{ "192.0.2.0/24", "192.0.3.0", false },
	{ "192.0.2.0/23", "192.0.3.0", true },
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.2", false },
	{ "0.0.0.0/0", "203.0.113.9", true },
	{ "0.0.0.0/0", "::1", false },
	{ "192.0.2.0/24", "::ffff:192.0.2.7", true },
	{ "2001:db8::/33", "2001:db8:7fff::1", true },
	{ "2001:db8::/33", "2001:db8:8000::1", false },
	{ "::/0", "192.0.2.1", false },
	{ "192.0.2.0/24", "", false },
	{ "192.0.2.0/24", "no address", false },
	{ "192.0.2.0/", "192.0.2.0", false },
	{ "192.0.2.0/-1", "192.0.2.0", false },
};

static void
networks(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(nets); i++) {
		char *one[] = { (char *)(uintptr_t)nets[i].network };
		const struct conf_strings list = { one, 1 };

		if (conf_networks_hold(&list, nets[i].ip) != nets[i].in)
			fail_msg("%s in %s", nets[i].ip, nets[i].network);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_port),
		cmocka_unit_test(networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
