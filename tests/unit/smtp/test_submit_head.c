/* submit_head: From and Bcc of a header; cuts merged */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "smtp/submit_head.h"

static const struct {
	const char *message, *left; /* without the cuts */
	unsigned from;
	const char *author;
} rows[] = {
	{ "From: a\r\nTo: b\r\n\r\nBcc: x\r\n", "From: a\r\nTo: b\r\n\r\nBcc: x\r\n", 1, " a\r\n" },
	{ "Bcc: x\r\nFrom: a\r\n\r\n", "From: a\r\n\r\n", 1, " a\r\n" },
	{ "From: a\r\nBCC : x,\r\n\ty,\r\n \r\n z\r\nbcc:\r\nTo: b\r\nResent-Bcc: q\r\n\r\nx",
	    "From: a\r\nTo: b\r\n\r\nx", 1, " a\r\n" },
	{ "From: a\r\n b\r\nBcc: x", "From: a\r\n b\r\n", 1, " a\r\n b\r\n" },
	{ "from: a\r\nFROM : b\r\nX-From: c\r\n\r\nFrom: d\r\n",
	    "from: a\r\nFROM : b\r\nX-From: c\r\n\r\nFrom: d\r\n", 2, " a\r\n" },
	{ " orphan\r\nFrom: a\r\nBcc: x\r\n\r\n", " orphan\r\nFrom: a\r\n\r\n", 1, " a\r\n" },
	{ "Subject: x\r\nno field\r\nFrom: a\r\nBcc: x\r\n",
	    "Subject: x\r\nno field\r\nFrom: a\r\nBcc: x\r\n", 0, "" },
	{ "\r\nFrom: a\r\n", "\r\nFrom: a\r\n", 0, "" },
	{ "Bcc: x\r\nbody\r\n", "body\r\n", 0, "" },
	{ "XBcc: x\r\nBccc: x\r\n", "XBcc: x\r\nBccc: x\r\n", 0, "" },
	{ "", "", 0, "" },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct slice message = slice_of(rows[i].message), piece;
		struct submit_head h;
		char left[300] = "";
		uint64_t pos = 0;

		submit_head_read(&h, message);
		while ((piece = cuts_next(message, h.bcc, h.n_bcc, &pos)).len > 0)
			strncat(left, piece.at, piece.len);
		if (strcmp(left, rows[i].left) != 0 || !h.complete || h.too_many)
			fail_msg("row %zu: %s", i, left);
		assert_int_equal(h.from, rows[i].from);
		assert_int_equal(h.n_claims, rows[i].from);
		if (h.n_claims > 0)
			assert_true(slice_eq(h.claims[0].value, slice_of(rows[i].author)));
	}
}

static void
test_claims(void **state)
{
	static const struct claim want[] = { { "Resent-From", false, { " a, b\r\n", 7 } },
		{ "From", false, { " c\r\n", 4 } }, { "Sender", true, { "\r\n d\r\n", 6 } },
		{ "Sender", true, { " e\r\n", 4 } }, { "Resent-Sender", true, { "f\r\n", 3 } } };
	struct submit_head h;
	char many[1000] = "";

	(void)state;
	submit_head_read(&h,
	    SLICE("resent-from : a, b\r\nFrom: c\r\nX-Sender: x\r\nSender:\r\n d\r\nSENDER: e\r\n"
		  "Senders: x\r\nResent-Sender:f\r\nResent-To: x\r\n\r\nSender: x\r\n"));
	assert_int_equal(h.n_claims, COUNT(want));
	for (size_t i = 0; i < COUNT(want); i++) {
		assert_string_equal(h.claims[i].field, want[i].field);
		assert_int_equal(h.claims[i].single, want[i].single);
		assert_true(slice_eq(h.claims[i].value, want[i].value));
	}
	assert_int_equal(h.from, 1);
	assert_int_equal(h.sender, 2);
	for (int i = 0; i < SUBMIT_CLAIMS_MAX; i++)
		strcat(many, "Resent-From: a\r\n");
	submit_head_read(&h, slice_of(many));
	assert_false(h.too_many_claims);
	strcat(many, "From: a\r\n");
	submit_head_read(&h, slice_of(many));
	assert_true(h.too_many_claims);
	assert_int_equal(h.from, 1);
	assert_int_equal(h.n_claims, SUBMIT_CLAIMS_MAX);
}

/* What only some readers see. */
static void
test_twofold(void **state)
{
	static const struct {
		const char *message, *field;
	} twofold[] = {
		{ "From: a\r\nno field\r\nFrom: b\r\n\r\n", "From" },
		{ "From: a\r\nno field\r\nX: y\r\nsender\t: b\r\n\r\n", "Sender" },
		{ "From: a\r\nno field\r\n folded\r\nResent-From: b", "Resent-From" },
		{ "From: a\r\nno field\r\nBcc: b\r\n", "Bcc" },
		{ "From: a\r\nFrom\r\n : b\r\n\r\n", "From" },
		{ "From: a\r\nFrom\v: b\r\n\r\n", "From" },
		{ "From\xa0: b\r\nFrom: a\r\n\r\n", "From" },
		{ "\xef\xbb\xbf"
		  "From: b\r\nFrom: a\r\n\r\n",
		    "From" },
		{ "From: a\r\nBc c: b\r\n\r\n", "Bcc" },
		{ "From: a\r\nResent-\fBcc: b\r\n\r\n", "Resent-Bcc" },
		{ "From: a\r\nno field\r\nTo: b\r\n\r\nFrom: c\r\n", NULL },
		{ "From: a\r\nno field\r\n From: b\r\n\r\n", NULL },
		{ "From: a\r\nno field\r\nFrom here on\r\n\r\n", NULL },
		{ "From: a\r\nFROM\t : b\r\n\r\nno field\r\nFrom: c", NULL },
		{ "From: a\r\n\r\nno field\r\nFrom: c\r\n", NULL },
		{ "From: a\r\n\xc3\xa4: b\r\n\r\n", NULL },
	};
	struct submit_head h;

	(void)state;
	for (size_t i = 0; i < COUNT(twofold); i++) {
		const char *want = twofold[i].field;

		submit_head_read(&h, slice_of(twofold[i].message));
		if (want == NULL ? h.twofold != NULL
				 : h.twofold == NULL || strcmp(h.twofold, want) != 0)
			fail_msg("row %zu: %s", i, h.twofold != NULL ? h.twofold : "none");
	}
}

static void
test_ceilings(void **state)
{
	size_t len = SUBMIT_HEAD_MAX + 100;
	char *text = malloc(len);
	struct submit_head h;

	(void)state;
	/* a header that ends too late */
	memset(text, 'x', len);
	memcpy(text, "X: ", 3);
	submit_head_read(&h, (struct slice){ text, len });
	assert_false(h.complete);
	memcpy(text + SUBMIT_HEAD_MAX - 4, "\r\n\r\n", 4);
	submit_head_read(&h, (struct slice){ text, len });
	assert_true(h.complete);
	/* Bcc, other, Bcc, other ... */
	len = 0;
	for (int i = 0; i <= ENVELOPE_CUTS_MAX; i++, len += 14)
		memcpy(text + len, "Bcc: x\r\nA: x\r\n", 14);
	submit_head_read(&h, (struct slice){ text, len });
	assert_true(h.too_many);
	submit_head_read(&h, (struct slice){ text, len - 14 });
	assert_false(h.too_many);
	assert_int_equal(h.n_bcc, ENVELOPE_CUTS_MAX);
	free(text);
}

static void
test_merge(void **state)
{
	static const struct {
		struct cut a[3], b[3], want[4];
	} merges[] = {
		{ { { 0, 5 } }, { { 0, 0 } }, { { 0, 5 } } },
		{ { { 10, 5 } }, { { 0, 5 }, { 20, 1 } }, { { 0, 5 }, { 10, 5 }, { 20, 1 } } },
		{ { { 0, 10 } }, { { 5, 10 } }, { { 0, 15 } } },
		{ { { 0, 10 } }, { { 2, 3 } }, { { 0, 10 } } },
		{ { { 0, 10 }, { 10, 5 } }, { { 15, 1 } }, { { 0, 16 } } },
	};
	struct cut all[ENVELOPE_CUTS_MAX], many[ENVELOPE_CUTS_MAX];
	const struct cut far = { 1000000, 1 };
	size_t n;

	(void)state;
	for (size_t i = 0; i < COUNT(merges); i++) {
		size_t a = 0, b = 0, want = 0;

		while (a < 3 && merges[i].a[a].len > 0)
			a++;
		while (b < 3 && merges[i].b[b].len > 0)
			b++;
		while (want < 4 && merges[i].want[want].len > 0)
			want++;
		assert_int_equal(cuts_merge(merges[i].a, a, merges[i].b, b, all, &n), 0);
		assert_int_equal(n, want);
		assert_memory_equal(all, merges[i].want, n * sizeof(*all));
		assert_int_equal(cuts_merge(merges[i].b, b, merges[i].a, a, all, &n), 0);
		assert_int_equal(n, want);
		assert_memory_equal(all, merges[i].want, n * sizeof(*all));
	}
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = (struct cut){ 10 * i, 1 };
	assert_int_equal(cuts_merge(many, COUNT(many), NULL, 0, all, &n), 0);
	assert_int_equal(cuts_merge(many, COUNT(many), &far, 1, all, &n), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows),
		cmocka_unit_test(test_twofold), cmocka_unit_test(test_ceilings),
		cmocka_unit_test(test_claims), cmocka_unit_test(test_merge) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
