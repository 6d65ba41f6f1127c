/* srs: there and back, through other hands, forged, old, and what cannot be rewritten */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "storage/srs.h"

#define DAY INT64_C(86400000000)
#define NOW (INT64_C(20000) * DAY + 12345)

static const unsigned char key[SRS_KEY_LEN] = "0123456789abcdef0123456789abcde", other[SRS_KEY_LEN] = "another key of the same length..";

static struct slice
local_of(const char *address)
{
	return slice_first(slice_of(address), (size_t)slice_find_last(slice_of(address), '@'));
}

static void
test_there_and_back(void **state)
{
	static const char *const senders[] = { "bob@peer.test", "Bob.Smith+tag=x@Peer.Test",
		"bounces+1234567-abcd-user=example.org@em1234.a-rather-long-name.example", "x@[192.0.2.1]", "=@a.test",
		"srs0@peer.test", "SRS2=a=b@peer.test" };
	char there[SRS_ADDRESS_SIZE], back[SRS_ADDRESS_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		assert_true(srs_forward(key, NOW, slice_of(senders[i]), "ours.test", there));
		assert_true(strncmp(there, "SRS0=", 5) == 0 && strstr(there, "@ours.test") != NULL);
		assert_true(srs_is(local_of(there)));
		assert_int_equal(srs_reverse(key, NOW + 20 * DAY, local_of(there), back), SRS_OK);
		assert_string_equal(back, senders[i]);
		/* a server on the way that changes case */
		for (char *c = there; *c != '\0'; c++)
			*c = (char)tolower((unsigned char)*c);
		assert_int_equal(srs_reverse(key, NOW, local_of(there), back), SRS_OK);
	}
}

static void
test_through_other_hands(void **state)
{
	char one[SRS_ADDRESS_SIZE], two[SRS_ADDRESS_SIZE], three[SRS_ADDRESS_SIZE], back[SRS_ADDRESS_SIZE];

	(void)state;
	assert_true(srs_forward(key, NOW, slice_of("bob@peer.test"), "first.test", one));
	assert_true(srs_forward(other, NOW, slice_of(one), "second.test", two));
	assert_true(strncmp(two, "SRS1=", 5) == 0 && strstr(two, "=first.test==") != NULL);
	assert_true(srs_forward(key, NOW, slice_of(two), "third.test", three));
	/* it does not grow from hop to hop */
	assert_int_equal(strlen(two), strlen(three) + 1);
	assert_int_equal(srs_reverse(key, NOW, local_of(three), back), SRS_OK);
	assert_string_equal(back, one);
	assert_int_equal(srs_reverse(other, NOW, local_of(two), back), SRS_OK);
	assert_string_equal(back, one);
	/* somebody else's, with another separator */
	assert_true(srs_forward(key, NOW, slice_of("SRS0+abcd=xy=peer.test=bob@first.test"), "second.test", two));
	assert_int_equal(srs_reverse(key, NOW, local_of(two), back), SRS_OK);
	assert_string_equal(back, "SRS0+abcd=xy=peer.test=bob@first.test");
}

static void
test_forged(void **state)
{
	char there[SRS_ADDRESS_SIZE], back[SRS_ADDRESS_SIZE];
	size_t len;

	(void)state;
	assert_true(srs_forward(key, NOW, slice_of("bob@peer.test"), "ours.test", there));
	assert_int_equal(srs_reverse(other, NOW, local_of(there), back), SRS_FORGED);
	len = local_of(there).len;
	for (size_t i = 4; i < len; i++) { /* any letter changed */
		char was = there[i];

		there[i] = was == 'x' ? 'y' : 'x';
		assert_int_equal(srs_reverse(key, NOW, slice_first(slice_of(there), len), back), SRS_FORGED);
		there[i] = was;
	}
	for (size_t i = 0; i < len; i++) /* or cut */
		assert_int_equal(srs_reverse(key, NOW, slice_first(slice_of(there), i), back), SRS_FORGED);
	static const char *const bad[] = { "SRS0=", "SRS0======", "SRS1=AAAAAA=", "SRS1=AAAAAA=x=", "SRS0=AAAAAA=AA==",
		"SRS0+AAAAAA+AA+x+y", "srs9=a=b=c=d", "" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(srs_reverse(key, NOW, slice_of(bad[i]), back), SRS_FORGED);
}

static void
test_old(void **state)
{
	static const struct {
		int days;
		enum srs_status is;
	} rows[] = { { 0, SRS_OK }, { 21, SRS_OK }, { 22, SRS_OLD }, { 500, SRS_OLD }, { 1022, SRS_OLD }, { -1, SRS_OK },
		{ -3, SRS_OLD } };
	char there[SRS_ADDRESS_SIZE], back[SRS_ADDRESS_SIZE];

	(void)state;
	for (int64_t start = NOW; start < NOW + 1100 * DAY; start += 97 * DAY) {
		assert_true(srs_forward(key, start, slice_of("bob@peer.test"), "ours.test", there));
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			assert_int_equal(srs_reverse(key, start + rows[i].days * DAY, local_of(there), back), rows[i].is);
	}
}

static void
test_cannot(void **state)
{
	static const char *const senders[] = { "", "bob", "@peer.test", "bob@", "\"a b\"@peer.test", "bob@pe=er.test" };
	char there[SRS_ADDRESS_SIZE], longer[400];

	(void)state;
	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++)
		assert_false(srs_forward(key, NOW, slice_of(senders[i]), "ours.test", there));
	memset(longer, 'a', sizeof(longer));
	for (size_t n = 100; n < 390; n += 10) {
		snprintf(longer + n, sizeof(longer) - n, "@b.test");
		if (srs_forward(key, NOW, slice_of(longer), "ours.test", there))
			assert_true(local_of(there).len <= SRS_LOCAL_MAX && strlen(there) < 320);
		else
			assert_true(n > 160);
		memset(longer, 'a', sizeof(longer));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_through_other_hands),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_old),
		cmocka_unit_test(test_cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
