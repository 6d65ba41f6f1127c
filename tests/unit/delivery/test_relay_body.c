/* A message on the wire: prefix, cuts, doubled dots, the end; and which addresses a stranger may name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "delivery/relay_address.h"
#include "delivery/relay_body.h"

static const struct row {
	const char *prefix, *body;
	struct cut cuts[2];
	size_t n_cuts;
	const char *wire;
	uint64_t size;
} rows[] = {
	{ "", "", { { 0 } }, 0, ".\r\n", 0 },
	{ "P: 1\r\n", "A: 1\r\n\r\nhi\r\n", { { 0 } }, 0, "P: 1\r\nA: 1\r\n\r\nhi\r\n.\r\n", 18 },
	{ "", ".\r\n..\r\na.b\r\n", { { 0 } }, 0, "..\r\n...\r\na.b\r\n.\r\n", 12 },
	{ "P: 1\r\n", ".x\r\n", { { 0 } }, 0, "P: 1\r\n..x\r\n.\r\n", 10 },
	{ "", "no end", { { 0 } }, 0, "no end\r\n.\r\n", 6 },
	{ "", ".", { { 0 } }, 0, "..\r\n.\r\n", 1 },
	{ "", "A: 1\r\nBcc: x\r\nC: 2\r\n", { { 6, 8 } }, 1, "A: 1\r\nC: 2\r\n.\r\n", 12 },
	{ "", "Bcc: x\r\nC: 2\r\nBcc: y\r\n", { { 0, 8 }, { 14, 8 } }, 2, "C: 2\r\n.\r\n", 6 },
	{ "", "A: 1\r\nXXXX.b\r\n", { { 6, 4 } }, 1, "A: 1\r\n..b\r\n.\r\n", 10 },
};

static void
wire_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct row *w = &rows[i];
		struct relay_body b;
		struct buf out;
		struct slice piece;

		buf_init(&out, 4096);
		relay_body_start(&b, slice_of(w->prefix), slice_of(w->body), w->cuts, w->n_cuts);
		while ((piece = relay_body_next(&b)).len > 0)
			buf_slice(&out, piece);
		assert_string_equal(buf_cstr(&out), w->wire);
		assert_int_equal(relay_body_size(&b), w->size);
		assert_int_equal(relay_body_next(&b).len, 0);
		buf_free(&out);
	}
}

/* For BDAT not a byte is added, and bare CR, LF and NUL stay. */
static void
raw_form(void **state)
{
	static const char body[] = ".\r\n..x\nbare\rcr\0nul";
	const struct cut cut = { 3, 2 };
	struct relay_body b;
	struct slice piece;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	relay_body_start(&b, SLICE("P: 1\r\n"), (struct slice){ body, sizeof(body) - 1 }, &cut, 1);
	b.raw = true;
	while ((piece = relay_body_next(&b)).len > 0)
		buf_slice(&out, piece);
	assert_int_equal(out.len, relay_body_size(&b));
	assert_true(slice_eq(buf_all(&out), SLICE("P: 1\r\n.\r\nx\nbare\rcr\0nul")));
	buf_free(&out);
}

static void
headers_beyond_ascii(void **state)
{
	static const struct {
		const char *prefix, *body;
		bool utf8;
	} table[] = {
		{ "", "", false },
		{ "P: 1\r\n", "A: 1\r\n\r\n\xc3\x9f\r\n", false },
		{ "P: 1\r\n", "A: \xc3\x9f\r\n\r\nx\r\n", true },
		{ "P: \xc3\x9f\r\n", "A: 1\r\n\r\nx\r\n", true },
		{ "P: 1\r\n", "\r\n\xc3\x9f\r\n", false },
		{ "P: 1\r\n", "A: 1\r\nXX\xc3\x9fXX\r\n\r\n", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct relay_body b;

		relay_body_start(&b, slice_of(table[i].prefix), slice_of(table[i].body), NULL, 0);
		assert_int_equal(relay_body_utf8_header(&b), table[i].utf8);
	}
	/* what is cut out does not count */
	const struct cut cut = { 6, 6 };
	struct relay_body b;

	relay_body_start(&b, SLICE(""), SLICE("A: 1\r\nXX\xc3\x9fXX\r\n"), &cut, 1);
	assert_false(relay_body_utf8_header(&b));
}

static void
pieces_are_small(void **state)
{
	static char body[100000];
	struct relay_body b;
	struct slice piece;
	size_t total = 0;

	(void)state;
	memset(body, 'x', sizeof(body));
	relay_body_start(&b, SLICE(""), (struct slice){ body, sizeof(body) }, NULL, 0);
	while ((piece = relay_body_next(&b)).len > 0) {
		assert_true(piece.len <= RELAY_BODY_PIECE);
		total += piece.len;
	}
	assert_int_equal(total, sizeof(body) + 5);
}

static void
addresses(void **state)
{
	static const struct {
		const char *text;
		bool ok, inside, nobody;
	} table[] = { { "192.0.2.1", true, false, false }, { "127.0.0.1", true, true, false }, { "127.9.9.9", true, true, false },
		{ "10.1.2.3", true, true, false }, { "172.16.0.1", true, true, false }, { "172.31.255.255", true, true, false },
		{ "172.32.0.1", true, false, false }, { "192.168.0.1", true, true, false }, { "169.254.1.1", true, true, false },
		{ "100.64.0.1", true, true, false }, { "100.128.0.1", true, false, false }, { "0.0.0.0", true, false, true },
		{ "224.0.0.1", true, false, true }, { "255.255.255.255", true, false, true }, { "::1", true, true, false },
		{ "::", true, false, true }, { "fe80::1", true, true, false }, { "fd00::1", true, true, false },
		{ "ff02::1", true, false, true }, { "2001:db8::1", true, false, false }, { "::ffff:127.0.0.1", true, true, false },
		{ "::ffff:7f00:1", true, true, false }, { "64:ff9b::7f00:1", true, true, false },
		{ "64:ff9b::c000:201", true, false, false }, { "64:ff9b::", true, false, true }, { "1.2.3", false, false, false },
		{ "", false, false, false }, { "host", false, false, false } };

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct address a;

		if (address_parse(table[i].text, 25, &a) != table[i].ok)
			fail_msg("%s", table[i].text);
		if (table[i].ok &&
		    (address_is_inside(&a) != table[i].inside || address_is_nobody(&a) != table[i].nobody))
			fail_msg("%s: inside %d nobody %d", table[i].text, address_is_inside(&a), address_is_nobody(&a));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(wire_form), cmocka_unit_test(raw_form),
		cmocka_unit_test(headers_beyond_ascii), cmocka_unit_test(pieces_are_small),
		cmocka_unit_test(addresses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
