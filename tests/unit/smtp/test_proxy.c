/* test_proxy - PROXY headers of both versions: whole, cut at every byte, followed by more, and wrong in every field */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/proto/proxy.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define S(text) { text, sizeof(text) - 1 }
#define V4 "\xc0\x00\x02\x07" "\xc0\x00\x02\x01" "\xc8\x22" "\x00\x19"
#define V6                                                                                         \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"                                               \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"                                               \
	"\xc8\x22" "\x00\x19"
#define MAPPED                                                                                     \
	"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07"                                             \
	"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"                                             \
	"\xc8\x22" "\x00\x19"

static const struct {
	struct slice in;
	enum proxy_source source;
	const char *ip;
	unsigned port;
} good[] = {
	{ S("PROXY TCP4 192.0.2.7 192.0.2.1 51234 25\r\n"), PROXY_CLIENT, "192.0.2.7", 51234 },
	{ S("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), PROXY_CLIENT,
	    "255.255.255.255", 65535 },
	{ S("PROXY TCP6 2001:db8::7 2001:db8::1 0 25\r\n"), PROXY_CLIENT, "2001:db8::7", 0 },
	{ S("PROXY TCP6 2001:0DB8:0:0:0:0:0:7 ::1 1 25\r\n"), PROXY_CLIENT, "2001:db8::7", 1 },
	{ S("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 25\r\n"), PROXY_CLIENT, "192.0.2.7", 1 },
	{ S("PROXY UNKNOWN\r\n"), PROXY_UNNAMED, "", 0 },
	{ S("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), PROXY_UNNAMED, "", 0 },
	{ S(SIG "\x21\x11\x00\x0c" V4), PROXY_CLIENT, "192.0.2.7", 51234 },
	{ S(SIG "\x21\x11\x00\x11" V4 "\x04\x00\x02xx"), PROXY_CLIENT, "192.0.2.7", 51234 },
	{ S(SIG "\x21\x21\x00\x24" V6), PROXY_CLIENT, "2001:db8::7", 51234 },
	{ S(SIG "\x21\x21\x00\x24" MAPPED), PROXY_CLIENT, "192.0.2.7", 51234 },
	{ S(SIG "\x20\x11\x00\x0c" V4), PROXY_ITSELF, "", 0 },
	{ S(SIG "\x20\x00\x00\x00"), PROXY_ITSELF, "", 0 },
	{ S(SIG "\x21\x00\x00\x00"), PROXY_UNNAMED, "", 0 },
	{ S(SIG "\x21\x31\x00\x06" "/run/x"), PROXY_UNNAMED, "", 0 },
};

static const struct slice bad[] = {
	S("EHLO client.example\r\n"),
	S("proxy TCP4 192.0.2.7 192.0.2.1 51234 25\r\n"),
	S("PROXY\r\n"),
	S("PROXY \r\n"),
	S("PROXY TCP4\r\n"),
	S("PROXY TCP4 192.0.2.7 192.0.2.1 51234 25\n"),
	S("PROXY TCP4 192.0.2.7 192.0.2.1 51234\r\n"),
	S("PROXY TCP4 192.0.2.7 192.0.2.1 51234 25 \r\n"),
	S("PROXY TCP4 192.0.2.7 192.0.2.1 51234 25 26\r\n"),
	S("PROXY  TCP4 192.0.2.7 192.0.2.1 51234 25\r\n"),
	S("PROXY TCP4 192.0.2.7  192.0.2.1 51234 25\r\n"),
	S("PROXY TCP4 2001:db8::7 2001:db8::1 51234 25\r\n"),
	S("PROXY TCP6 192.0.2.7 192.0.2.1 51234 25\r\n"),
	S("PROXY TCP4 192.0.2.07 192.0.2.1 51234 25\r\n"),
	S("PROXY TCP4 192.0.2.256 192.0.2.1 51234 25\r\n"),
	S("PROXY TCP4 192.0.2.7 nowhere 51234 25\r\n"),
	S("PROXY TCP4 192.0.2.7 192.0.2.1 65536 25\r\n"),
	S("PROXY TCP4 192.0.2.7 192.0.2.1 -1 25\r\n"),
	S("PROXY TCP4 192.0.2.7 192.0.2.1 051 25\r\n"),
	S("PROXY TCP4 192.0.2.7 192.0.2.1 51 99999999999999999999\r\n"),
	S("PROXY TCP4 192.0.2.7\0 192.0.2.1 51234 25\r\n"),
	S("PROXY TCP4 192.0.2.7 192.0.2.1 51234 25\r\r\n"),
	S("PROXY TCP4 192.0.2.7\r192.0.2.1 51234 25\r\n"),
	S("PROXY UDP4 192.0.2.7 192.0.2.1 51234 25\r\n"),
	S("PROXY UNKNOWN012345678901234567890123456789012345678901234567890123456789012345678901234567890"
	  "1234567890123456789\r\n"),
	S("PROXY UNKNOWNX\r\n"),
	S(SIG "\x11\x11\x00\x0c" V4),
	S(SIG "\x31\x11\x00\x0c" V4),
	S(SIG "\x22\x11\x00\x0c" V4),
	S(SIG "\x21\x12\x00\x0c" V4),
	S(SIG "\x21\x22\x00\x24" V6),
	S(SIG "\x21\x10\x00\x0c" V4),
	S(SIG "\x21\x41\x00\x0c" V4),
	S(SIG "\x21\x11\x00\x0b" V4),
	S(SIG "\x21\x11\x00\x00"),
	S(SIG "\x21\x21\x00\x23" V6),
	S(SIG "\x21\x11\xff\xff" V4),
	S(SIG "\x20\x00\x07\xf1"),
	S("\r\n\r\n\0\r\nQUIT\r\n"),
	S("\r\nEHLO x\r\n"),
};

static void
test_good(void **state)
{
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct slice in = good[i].in;
		char more[600];

		for (size_t n = 0; n < in.len; n++)
			if (proxy_read(slice_first(in, n), &h) != PROXY_MORE)
				fail_msg("row %zu: not MORE after %zu bytes", i, n);
		memcpy(more, in.at, in.len);
		memcpy(more + in.len, "EHLO x\r\n", 8);
		for (size_t extra = 0; extra <= 8; extra += 8) {
			assert_int_equal(
			    proxy_read((struct slice){ more, in.len + extra }, &h), PROXY_DONE);
			assert_int_equal(h.source, good[i].source);
			assert_int_equal(h.length, in.len);
			if (h.source == PROXY_CLIENT) {
				assert_string_equal(h.ip, good[i].ip);
				assert_int_equal(h.port, good[i].port);
			}
		}
	}
}

static void
test_bad(void **state)
{
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (proxy_read(bad[i], &h) != PROXY_BAD)
			fail_msg("row %zu: %.*s", i, SLICE_ARG(bad[i]));
}

static void
test_ceilings(void **state)
{
	char in[PROXY_MAX + 100] = "PROXY UNKNOWN ";
	struct proxy_header h;

	(void)state;
	/* a line without an end */
	memset(in + 14, 'x', 200);
	assert_int_equal(proxy_read((struct slice){ in, 106 }, &h), PROXY_MORE);
	assert_int_equal(proxy_read((struct slice){ in, 107 }, &h), PROXY_BAD);
	memcpy(in + 105, "\r\n", 2);
	assert_int_equal(proxy_read((struct slice){ in, 107 }, &h), PROXY_DONE);
	assert_int_equal(proxy_read((struct slice){ in, 300 }, &h), PROXY_DONE);
	/* the longest that is taken */
	memset(in, 0, sizeof(in));
	memcpy(in, SIG "\x20\x00", 14);
	in[14] = (PROXY_MAX - 16) >> 8;
	in[15] = (char)((PROXY_MAX - 16) & 255);
	assert_int_equal(proxy_read((struct slice){ in, PROXY_MAX - 1 }, &h), PROXY_MORE);
	assert_int_equal(proxy_read((struct slice){ in, PROXY_MAX }, &h), PROXY_DONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_ceilings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
