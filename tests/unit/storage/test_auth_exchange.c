/* auth_exchange: PLAIN and LOGIN, with and without initial response, good form and bad */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "storage/auth_exchange.h"

#define S(lit)                                                                                     \
	{                                                                                          \
		lit, sizeof(lit) - 1                                                               \
	}
#define USER "alice@example.test"

static const struct scram_bindings no_bindings;

static const struct row {
	const char *mechanism;
	bool initial;
	struct slice in[3];       /* what the client sends, one after the other */
	const char *challenge[3]; /* what comes back before each but the last */
	enum exchange_state end;
} rows[] = {
	{ "PLAIN", true, { S("\0" USER "\0secret") }, { NULL }, EXCHANGE_ASKED },
	{ "plain", true, { S(USER "\0" USER "\0secret") }, { NULL }, EXCHANGE_ASKED },
	{ "PLAIN", true, { S("ALICE@example.test\0" USER "\0secret") }, { NULL }, EXCHANGE_ASKED },
	{ "PLAIN", false, { S("\0" USER "\0secret") }, { "" }, EXCHANGE_ASKED },
	{ "PLAIN", true, { S("bob@example.test\0" USER "\0secret") }, { NULL }, EXCHANGE_BAD },
	{ "PLAIN", true, { S("\0" USER "\0") }, { NULL }, EXCHANGE_BAD },
	{ "PLAIN", true, { S("\0\0secret") }, { NULL }, EXCHANGE_BAD },
	{ "PLAIN", true, { S("") }, { NULL }, EXCHANGE_BAD }, /* "=" */
	{ "LOGIN", true, { S("") }, { NULL }, EXCHANGE_BAD },
	{ "SCRAM-SHA-256", true, { S("") }, { NULL }, EXCHANGE_BAD },
	{ "SCRAM-SHA-256", false, { S("n,,n=" USER ",r=abc") }, { "" }, EXCHANGE_NAMED },
	{ "scram-sha-256", true, { S("n,,n=" USER ",r=abc") }, { NULL }, EXCHANGE_NAMED },
	{ "SCRAM-SHA-256-PLUS", true, { S("n,,n=" USER ",r=abc") }, { NULL }, EXCHANGE_BAD },
	{ "PLAIN", true, { S("\0" USER) }, { NULL }, EXCHANGE_BAD },
	{ "PLAIN", true, { S(USER) }, { NULL }, EXCHANGE_BAD },
	{ "PLAIN", true, { S("\0" USER "\0secret\0more") }, { NULL }, EXCHANGE_BAD },
	{ "LOGIN", false, { S(USER), S("secret") }, { "Username:", "Password:" }, EXCHANGE_ASKED },
	{ "LOGIN", true, { S(USER), S("secret") }, { NULL, "Password:" }, EXCHANGE_ASKED },
	{ "LOGIN", false, { S(""), S("secret") }, { "Username:" }, EXCHANGE_BAD },
	{ "LOGIN", false, { S(USER), S("") }, { "Username:", "Password:" }, EXCHANGE_BAD },
	{ "LOGIN", false, { S("alice\0@example.test"), S("secret") }, { "Username:" },
	    EXCHANGE_BAD },
	{ "LOGIN", false, { S(USER), S("secret\0x") }, { "Username:", "Password:" }, EXCHANGE_BAD },
};

static void
play(const struct row *r)
{
	struct buf out;
	struct err err;
	struct exchange *x = exchange_new(r->mechanism, &no_bindings, &err);
	enum exchange_state state;
	unsigned i = 0;

	assert_non_null(x);
	buf_init(&out, 4096);
	state = exchange_start(x, r->initial, r->in[0], &out);
	if (r->initial)
		i++;
	while (state == EXCHANGE_MORE && r->in[i].at != NULL) {
		assert_string_equal(buf_cstr(&out), r->challenge[i] ? r->challenge[i] : "");
		state = exchange_step(x, r->in[i++], &out);
	}
	if (state != r->end)
		fail_msg("row %td: %d", r - rows, state);
	if (state == EXCHANGE_ASKED) {
		assert_string_equal(exchange_user(x), USER);
		assert_string_equal(exchange_password(x), "secret");
	}
	buf_free(&out);
	exchange_free(&x);
	assert_null(x);
}

static void
test_rows(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		play(&rows[i]);
}

static void
test_not_offered(void **state)
{
	static const char *const names[] = { "CRAM-MD5", "GSSAPI", "ANONYMOUS", "EXTERNAL",
		"DIGEST-MD5", "", "PLAIN LOGIN", "SECURID" };
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		assert_null(exchange_new(names[i], &no_bindings, &err));
		assert_int_equal(err.kind, ERR_USAGE);
	}
}

static void
test_too_long(void **state)
{
	char input[EXCHANGE_INPUT_MAX + 1];
	struct buf out;
	struct err err;
	struct exchange *x = exchange_new("PLAIN", &no_bindings, &err);

	(void)state;
	memset(input, 'x', sizeof(input));
	buf_init(&out, 4096);
	assert_int_equal(
	    exchange_start(x, true, (struct slice){ input, sizeof(input) }, &out), EXCHANGE_BAD);
	buf_free(&out);
	exchange_free(&x);
}

static int
setup(void **state)
{
	struct err err;

	(void)state;
	return exchange_setup(&err);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows),
		cmocka_unit_test(test_not_offered), cmocka_unit_test(test_too_long) };

	return cmocka_run_group_tests(tests, setup, NULL);
}
