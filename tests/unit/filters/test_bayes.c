/* test_bayes - tokens, what is learned of them, and what the classifier makes of it */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "filters/bayes.h"
#include "tests/unit/storage/scratch.h"

static struct tokens one, other;

static bool
shares(const struct tokens *a, const struct tokens *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			if (a->at[i] == b->at[k])
				return true;
	return false;
}

/* The same words give the same tokens, however they are written. */
static void
test_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "\r\nhello\r\n", "\r\nHELLO.\r\n", true },
		{ "\r\nhello\r\n", "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n", true },
		{ "\r\nhello\r\n", "Content-Type: text/html\r\n\r\n<p class=x>hello</p>\r\n",
		    true },
		{ "\r\nhello\r\n", "Content-Type: text/html\r\n\r\n<style>hello</style>\r\n",
		    false },
		{ "\r\nhello\r\n", "Subject: hello\r\n\r\n", false },
		{ "Subject: hello\r\n\r\n", "Subject: =?utf-8?B?aGVsbG8=?=\r\n\r\n", true },
		{ "\r\nhttp://bad.example/x1\r\n",
		    "Content-Type: text/html\r\n\r\n<a href=\"https://BAD.example/y2\">\r\n",
		    true },
		{ "\r\n\xe8\xbf\xb7\xe6\x83\x91\xe3\x83\xa1\r\n",
		    "\r\n\xe3\x81\xae\xe8\xbf\xb7\xe6\x83\x91\r\n", true },
		{ "\r\nab\r\n", "\r\nab\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		tokens_of_message(slice_of(rows[i].a), &one);
		tokens_of_message(slice_of(rows[i].b), &other);
		if (shares(&one, &other) != rows[i].same)
			fail_msg("row %zu", i);
	}
}

static void
test_ceiling(void **state)
{
	static char text[200000];
	size_t n = 2;

	(void)state;
	memcpy(text, "\r\n", 2);
	for (int i = 0; i < 15000; i++)
		n += (size_t)sprintf(text + n, "w%06d ", i);
	tokens_of_message((struct slice){ text, n }, &one);
	assert_int_equal(one.n, SCORE_TOKENS_MAX);
}

static void
learn(struct score *s, enum score_class as, const char *words, int number, bool expect)
{
	struct err err = { 0 };
	char text[300];
	bool changed;

	snprintf(text, sizeof(text), "Message-ID: <%d@x>\r\n\r\n%s\r\n", number, words);
	tokens_of_message(slice_of(text), &one);
	assert_int_equal(score_learn(s, as, one.at, one.n, &changed, &err), 0);
	assert_int_equal(changed, expect);
}

static double
probability(struct score *s, const char *words, int expect)
{
	struct err err = { 0 };
	char text[300];
	double p = 0.5;

	snprintf(text, sizeof(text), "\r\n%s\r\n", words);
	tokens_of_message(slice_of(text), &one);
	assert_int_equal(bayes_probability(s, &one, &p, &err), expect);
	return p;
}

static void
test_learning(void **state)
{
	struct err err = { 0 };
	struct score_totals totals;
	struct score *s = score_open(DB_CREATE, &err);

	(void)state;
	assert_non_null(s);
	probability(s, "cheap pills", 0);
	for (int i = 0; i < BAYES_LEARNED_MIN; i++) {
		learn(s, SCORE_SPAM, "cheap pills casino winner", i, true);
		learn(s, SCORE_HAM, "project meeting minutes tuesday", 100 + i, true);
	}
	assert_true(probability(s, "cheap pills casino winner", 1) > 0.95);
	assert_true(probability(s, "project meeting minutes tuesday", 1) < 0.05);
	assert_true(probability(s, "cheap pills meeting minutes", 1) > 0.3);
	assert_true(probability(s, "cheap pills meeting minutes", 1) < 0.7);
	probability(s, "words never seen before", 0);
	learn(s, SCORE_SPAM, "cheap pills casino winner", 0, false);
	learn(s, SCORE_HAM, "cheap pills casino winner", 0, true);
	assert_int_equal(score_totals(s, true, &totals, &err), 0);
	assert_int_equal(totals.spam, BAYES_LEARNED_MIN - 1);
	assert_int_equal(totals.ham, BAYES_LEARNED_MIN + 1);
	assert_true(totals.tokens > 8);
	score_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_same),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test_setup_teardown(test_learning, scratch_enter, scratch_leave) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
