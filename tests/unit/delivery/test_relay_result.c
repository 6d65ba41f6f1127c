/* Replies of peers as results: status, codes, words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "delivery/relay_caps.h"
#include "delivery/relay_result.h"

static void
feed(struct reply *r, const char *text)
{
	size_t used;

	reply_init(r);
	assert_int_equal(reply_feed(r, slice_of(text), &used), REPLY_DONE);
}

static const struct row {
	const char *reply;
	enum step_status status;
	unsigned code;
	const char *enhanced, *text;
} rows[] = {
	{ "250 2.0.0 Ok: queued as 1\r\n", STEP_OK, 250, "2.0.0", "Ok: queued as 1" },
	{ "250 Ok\r\n", STEP_OK, 250, "2.0.0", "Ok" },
	{ "250\r\n", STEP_OK, 250, "2.0.0", "" },
	{ "550 5.1.1 No such user\r\n", STEP_PERMANENT, 550, "5.1.1", "No such user" },
	{ "550-5.7.1 Line one\r\n550 5.7.1 line two\r\n", STEP_PERMANENT, 550, "5.7.1", "Line one line two" },
	{ "451 4.7.1 Greylisted\r\n", STEP_TEMPORARY, 451, "4.7.1", "Greylisted" },
	{ "451 later\r\n", STEP_TEMPORARY, 451, "4.0.0", "later" },
	{ "550 4.1.1 wrong class\r\n", STEP_PERMANENT, 550, "5.0.0", "4.1.1 wrong class" },
	{ "354 go on\r\n", STEP_TEMPORARY, 354, "4.0.0", "go on" },
	{ "550 a\x1b[2Jb\x80\xff\tc\r\n", STEP_PERMANENT, 550, "5.0.0", "a?[2Jb???c" },
};

static void
mapping(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct reply reply;
		struct result r;

		feed(&reply, rows[i].reply);
		result_from_reply(&r, &reply);
		if (r.status != rows[i].status || r.code != rows[i].code || strcmp(r.enhanced, rows[i].enhanced) != 0 ||
		    strcmp(r.text, rows[i].text) != 0)
			fail_msg("%s: %d %u %s \"%s\"", rows[i].reply, r.status, r.code, r.enhanced, r.text);
		reply_free(&reply);
	}
}

static void
long_replies_are_cut(void **state)
{
	char text[2000] = "550 ";
	struct reply reply;
	struct result r;

	(void)state;
	memset(text + 4, 'x', 1500);
	strcpy(text + 1504, "\r\n");
	feed(&reply, text);
	result_from_reply(&r, &reply);
	assert_int_equal(strlen(r.text), RESULT_TEXT - 1);
	reply_free(&reply);
}

static void
temporary_wins(void **state)
{
	static const struct {
		enum step_status have, next;
		bool kept;
	} pairs[] = { { STEP_OK, STEP_TEMPORARY, true }, { STEP_OK, STEP_PERMANENT, true }, { STEP_OK, STEP_OK, false },
		{ STEP_PERMANENT, STEP_TEMPORARY, true }, { STEP_TEMPORARY, STEP_PERMANENT, false },
		{ STEP_TEMPORARY, STEP_TEMPORARY, false }, { STEP_PERMANENT, STEP_PERMANENT, false } };

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct result have = { .status = pairs[i].have }, next = { .status = pairs[i].next };

		assert_int_equal(result_keep(&have, &next), pairs[i].kept);
		assert_int_equal(have.status, pairs[i].kept ? pairs[i].next : pairs[i].have);
	}
}

static void
capabilities(void **state)
{
	static const struct {
		const char *ehlo;
		unsigned set;
		uint64_t size;
	} table[] = {
		{ "250 sink.test\r\n", 0, 0 },
		{ "250-PIPELINING is only our name\r\n250 SIZE 1000\r\n", CAP_SIZE, 1000 },
		{ "250-x\r\n250-pipelining\r\n250-8bitmime\r\n250-starttls\r\n250-SMTPUTF8\r\n250 SIZE\r\n",
		    CAP_PIPELINING | CAP_8BITMIME | CAP_STARTTLS | CAP_SMTPUTF8 | CAP_SIZE, 0 },
		{ "250-x\r\n250 SIZE 99999999999999999999999\r\n", CAP_SIZE, 0 },
		{ "250-x\r\n250-PIPELININGS\r\n250 XSTARTTLS\r\n", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct reply reply;
		struct caps caps;

		feed(&reply, table[i].ehlo);
		caps_read(&caps, &reply);
		if (caps.set != table[i].set || caps.size != table[i].size)
			fail_msg("%s: %x %llu", table[i].ehlo, caps.set, (unsigned long long)caps.size);
		reply_free(&reply);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(mapping), cmocka_unit_test(long_replies_are_cut),
		cmocka_unit_test(temporary_wins), cmocka_unit_test(capabilities) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
