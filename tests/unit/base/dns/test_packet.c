/* Packets as a friend and as an enemy would send them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/dns/client.h"
#include "base/dns/packet.h"
#include "base/wire.h"

/* Bytes of a packet as a string literal, so that each row reads like a dump. */
#define HEAD(rcode, answers) "\x12\x34\x81" rcode "\0\1\0" answers "\0\0\0\0"
#define Q_A "\1a\4test\0\0\1\0\1"			/* a.test at offset 12 */
#define RR(type, len) "\0" type "\0\1\0\0\0\x3c\0" len	/* type, IN, ttl 60 */
#define PTR_Q "\xc0\x0c"

static const struct row {
	const char *name;
	const char *packet;
	size_t len;
	unsigned type;
	enum dns_status status;
	size_t n;
	const char *text;	/* canonical name, or part of the reason */
	const char *first;	/* first rdata */
	size_t first_len;
} rows[] = {
#define P(lit) lit, sizeof(lit) - 1
	{ "one address", P(HEAD("\0", "\1") Q_A PTR_Q RR("\1", "\4") "\xc0\0\2\1"), DNS_A, DNS_OK, 1, "a.test",
	    P("\xc0\0\2\1") },
	{ "other type only", P(HEAD("\0", "\1") Q_A PTR_Q RR("\x10", "\2") "\1x"), DNS_A, DNS_NO_DATA, 0, "a.test", P("") },
	{ "no such name", P(HEAD("\3", "\0") Q_A), DNS_A, DNS_NXDOMAIN, 0, "a.test", P("") },
	{ "no data", P(HEAD("\0", "\0") Q_A), DNS_A, DNS_NO_DATA, 0, "a.test", P("") },
	{ "servfail", P(HEAD("\2", "\0") Q_A), DNS_A, DNS_TEMPORARY, 0, "SERVFAIL", P("") },
	{ "refused", P(HEAD("\5", "\0") Q_A), DNS_A, DNS_TEMPORARY, 0, "REFUSED", P("") },
	{ "mx with a pointer", P(HEAD("\0", "\1") Q_A PTR_Q RR("\x0f", "\6") "\0\x0a\1M\xc0\x0e"), DNS_MX, DNS_OK, 1, "a.test",
	    P("\0\x0a\1m\4test\0") },
	{ "null mx", P(HEAD("\0", "\1") Q_A PTR_Q RR("\x0f", "\3") "\0\0\0"), DNS_MX, DNS_OK, 1, "a.test", P("\0\0\0") },
	{ "cname followed", P(HEAD("\0", "\2") Q_A PTR_Q RR("\5", "\4") "\1b\xc0\x0e" "\1B\xc0\x0e" RR("\1", "\4") "\1\2\3\4"),
	    DNS_A, DNS_OK, 1, "b.test", P("\1\2\3\4") },
	{ "cname to nowhere", P(HEAD("\3", "\1") Q_A PTR_Q RR("\5", "\4") "\1b\xc0\x0e"), DNS_A, DNS_NXDOMAIN, 0, "b.test",
	    P("") },
	{ "cname asked for", P(HEAD("\0", "\1") Q_A PTR_Q RR("\5", "\4") "\1b\xc0\x0e"), DNS_CNAME, DNS_OK, 1, "a.test",
	    P("\1b\4test\0") },
	{ "record of somebody else", P(HEAD("\0", "\1") Q_A "\1z\xc0\x0e" RR("\1", "\4") "\1\2\3\4"), DNS_A, DNS_NO_DATA, 0,
	    "a.test", P("") },
	{ "class chaos", P(HEAD("\0", "\1") Q_A PTR_Q "\0\1\0\3\0\0\0\x3c\0\4\1\2\3\4"), DNS_A, DNS_NO_DATA, 0, "a.test", P("") },

	{ "empty", P(""), DNS_A, DNS_TEMPORARY, 0, "usable", P("") },
	{ "short header", P("\x12\x34\x81\0\0\1"), DNS_A, DNS_TEMPORARY, 0, "usable", P("") },
	{ "truncated flag", P("\x12\x34\x83\0\0\1\0\0\0\0\0\0" Q_A), DNS_A, DNS_TEMPORARY, 0, "too large", P("") },
	{ "no question", P("\x12\x34\x81\0\0\0\0\0\0\0\0\0"), DNS_A, DNS_TEMPORARY, 0, "question", P("") },
	{ "question cut off", P(HEAD("\0", "\0") "\1a\4te"), DNS_A, DNS_TEMPORARY, 0, "malformed", P("") },
	{ "record cut off", P(HEAD("\0", "\1") Q_A PTR_Q "\0\1\0\1\0"), DNS_A, DNS_TEMPORARY, 0, "malformed", P("") },
	{ "rdata cut off", P(HEAD("\0", "\1") Q_A PTR_Q RR("\1", "\4") "\1\2\3"), DNS_A, DNS_TEMPORARY, 0, "malformed", P("") },
	{ "fewer records than said", P(HEAD("\0", "\2") Q_A PTR_Q RR("\1", "\4") "\1\2\3\4"), DNS_A, DNS_TEMPORARY, 0,
	    "malformed", P("") },
	{ "too many records", P("\x12\x34\x81\0\0\1\xff\xff\0\0\0\0" Q_A), DNS_A, DNS_TEMPORARY, 0, "too many", P("") },
	{ "pointer to itself", P(HEAD("\0", "\0") "\xc0\x0c\0\1\0\1"), DNS_A, DNS_TEMPORARY, 0, "malformed", P("") },
	{ "pointer forward", P(HEAD("\0", "\1") Q_A "\xc0\xff" RR("\1", "\4") "\1\2\3\4"), DNS_A, DNS_TEMPORARY, 0, "malformed",
	    P("") },
	{ "pointer loop by two", P(HEAD("\0", "\1") Q_A "\1x\xc0\x18" RR("\1", "\4") "\1\2\3\4"), DNS_A, DNS_TEMPORARY, 0,
	    "malformed", P("") },
	{ "pointer cut off", P(HEAD("\0", "\1") Q_A "\xc0"), DNS_A, DNS_TEMPORARY, 0, "malformed", P("") },
	{ "reserved label kind", P(HEAD("\0", "\0") "\x41" "a\0\0\1\0\1"), DNS_A, DNS_TEMPORARY, 0, "malformed", P("") },
	{ "cname loop", P(HEAD("\0", "\2") Q_A PTR_Q RR("\5", "\4") "\1b\xc0\x0e" "\1b\xc0\x0e" RR("\5", "\2") "\xc0\x0c"), DNS_A,
	    DNS_TEMPORARY, 0, "chain", P("") },
	{ "cname longer than its record", P(HEAD("\0", "\1") Q_A PTR_Q RR("\5", "\1") "\1b\xc0\x0e"), DNS_A, DNS_TEMPORARY, 0,
	    "CNAME", P("") },
	{ "mx without a name", P(HEAD("\0", "\1") Q_A PTR_Q RR("\x0f", "\2") "\0\x0a"), DNS_MX, DNS_TEMPORARY, 0, "malformed",
	    P("") },
	{ "mx of one byte", P(HEAD("\0", "\1") Q_A PTR_Q RR("\x0f", "\1") "\0"), DNS_MX, DNS_TEMPORARY, 0, "malformed", P("") },
	{ "mx with bytes behind", P(HEAD("\0", "\1") Q_A PTR_Q RR("\x0f", "\5") "\0\x0a\xc0\x0c!"), DNS_MX, DNS_TEMPORARY, 0,
	    "malformed", P("") },
	{ "second record is bad", P(HEAD("\0", "\2") Q_A PTR_Q RR("\x0f", "\4") "\0\x0a\xc0\x0c" PTR_Q RR("\x0f", "\1") "\0"),
	    DNS_MX, DNS_TEMPORARY, 0, "malformed", P("") },
};

static void
check_row(const struct row *row)
{
	struct dns_reply reply;
	struct wire in;

	dns_packet_read((struct slice){ row->packet, row->len }, row->type, &reply);
	if (reply.status != row->status || reply.n != row->n || strstr(reply.text, row->text) == NULL)
		fail_msg("%s: status %d, %zu records, \"%s\"", row->name, reply.status, reply.n, reply.text);
	wire_init(&in, buf_all(&reply.rdata));
	if (row->n > 0) {
		struct slice first = wire_bytes(&in);

		if (!slice_eq(first, (struct slice){ row->first, row->first_len }))
			fail_msg("%s: first record differs (%zu bytes)", row->name, first.len);
		assert_int_equal(reply.ttl, 60);
	}
	assert_int_equal(wire_end(&in), 0);
	dns_reply_free(&reply);
}

static void
packets(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check_row(&rows[i]);
}

/* Every prefix of a good packet, and every byte of it turned, must be survived (the sanitizers watch). */
static void
damaged_packets(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char copy[512];

		for (size_t at = 0; at < rows[i].len * 3; at++) {
			static const unsigned char masks[] = { 0xff, 0xc0, 0x01 };
			struct dns_reply reply;
			size_t len = rows[i].len;

			memcpy(copy, rows[i].packet, len);
			copy[at / 3] = (char)(copy[at / 3] ^ masks[at % 3]);
			dns_packet_read((struct slice){ copy, len }, rows[i].type, &reply);
			dns_reply_free(&reply);
			dns_packet_read((struct slice){ rows[i].packet, at / 3 }, rows[i].type, &reply);
			dns_reply_free(&reply);
		}
	}
}

/* 1000 records that decompress to far more than a frame. */
static void
huge_answer(void **state)
{
	static char packet[65535];
	struct dns_reply reply;
	size_t at = 12;

	(void)state;
	memcpy(packet, "\x12\x34\x81\0\0\1\x03\xe8\0\0\0\0", 12);
	for (int i = 0; i < 3; i++, at += 64)
		packet[at] = 63, memset(packet + at + 1, 'x', 63);
	packet[at++] = 0;
	memcpy(packet + at, "\0\x0f\0\1", 4);
	at += 4;
	for (int i = 0; i < 1000; i++, at += 16)
		memcpy(packet + at, PTR_Q RR("\x0f", "\4") "\0\x0a\xc0\x0c", 16);
	dns_packet_read((struct slice){ packet, at }, DNS_MX, &reply);
	assert_int_equal(reply.status, DNS_TEMPORARY);
	assert_int_equal(reply.n, 0);
	assert_non_null(strstr(reply.text, "too large"));
	dns_reply_free(&reply);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(packets), cmocka_unit_test(damaged_packets),
		cmocka_unit_test(huge_answer) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
