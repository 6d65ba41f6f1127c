/* test_tags - tag lists, base64, and the forms that are hashed */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "filters/canon.h"
#include "filters/tags.h"

static void
test_lists(void **state)
{
	static const struct {
		const char *text;
		bool good;
		const char *b; /* NULL: not there */
	} rows[] = {
		{ "a=1;b=2", true, "2" },
		{ " a = 1 ;\r\n\tb = x y \t; ", true, "x y" },
		{ "b=", true, "" },
		{ "b=x=y;c=1", true, "x=y" },
		{ "a=1", true, NULL },
		{ "B=1", true, NULL },
		{ "", false, NULL },
		{ ";", false, NULL },
		{ "a=1;;b=2", false, NULL },
		{ "a=1;b", false, NULL },
		{ "a=1;a=2", false, NULL },
		{ "=1", false, NULL },
		{ "1a=1", false, NULL },
		{ "a b=1", false, NULL },
		{ "a=\x01", false, NULL },
		{ "a=\x7f", false, NULL },
		{ "a=\xc3\xa4", true, NULL }, { "\xc3\xa4=1", false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tags tags;
		bool good = tags_read(slice_of(rows[i].text), &tags);

		if (good != rows[i].good)
			fail_msg("\"%s\"", rows[i].text);
		if (!good)
			continue;
		assert_int_equal(tags_have(&tags, "b"), rows[i].b != NULL);
		if (rows[i].b != NULL)
			assert_true(slice_eq(tags_get(&tags, "b"), slice_of(rows[i].b)));
	}
}

static void
test_too_many(void **state)
{
	char text[4 * (TAGS_MAX + 1) + 1] = "";
	struct tags tags;

	(void)state;
	for (int i = 0; i <= TAGS_MAX; i++) {
		char one[] = { (char)('a' + i % 26), (char)('a' + i / 26), '=', ';', '\0' };

		strcat(text, one);
	}
	assert_false(tags_read(slice_of(text), &tags));
	text[4 * TAGS_MAX] = '\0';
	assert_true(tags_read(slice_of(text), &tags));
}

static void
test_base64(void **state)
{
	static const struct {
		const char *text;
		int n;
		const char *bytes;
	} rows[] = {
		{ "YWJj", 3, "abc" },
		{ "YW\r\n Jj ZA==", 4, "abcd" },
		{ "YWJjZA", 4, "abcd" },
		{ "YWJjZGU=", 5, "abcde" },
		{ "", -1, NULL },
		{ "  ", -1, NULL },
		{ "Y", -1, NULL },
		{ "YWJj=", -1, NULL },
		{ "YW=J", -1, NULL },
		{ "YW*j", -1, NULL },
		{ "YWJjZGVmZ2hp", -1, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		unsigned char out[8];
		ptrdiff_t n = tags_base64(slice_of(rows[i].text), out, sizeof(out));

		if (n != rows[i].n)
			fail_msg("\"%s\": %td", rows[i].text, n);
		if (n > 0)
			assert_memory_equal(out, rows[i].bytes, (size_t)n);
	}
}

/* The hash of a form is that of the text we expect it to be. */
static void
assert_hash(EVP_MD_CTX *ctx, const char *expected, const char *name)
{
	unsigned char got[32], want[32];

	EVP_DigestFinal_ex(ctx, got, NULL);
	EVP_Digest(expected, strlen(expected), want, NULL, EVP_sha256(), NULL);
	if (memcmp(got, want, sizeof(got)) != 0)
		fail_msg("%s is not \"%s\"", name, expected);
}

static void
test_forms(void **state)
{
	static const struct {
		enum { FIELD, SIGNATURE, BODY } what;
		enum canon canon;
		const char *text, *form;
	} rows[] = {
		/* examples of RFC 6376 3.4.5 */
		{ FIELD, CANON_RELAXED, "A: X\r\n", "a:X\r\n" },
		{ FIELD, CANON_RELAXED, "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n" },
		{ FIELD, CANON_SIMPLE, "B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n" },
		{ BODY, CANON_RELAXED, " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n" },
		{ BODY, CANON_SIMPLE, " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n" },
		{ BODY, CANON_RELAXED, "", "" },
		{ BODY, CANON_RELAXED, "\r\n \r\n", "" },
		{ BODY, CANON_SIMPLE, "", "\r\n" },
		{ BODY, CANON_SIMPLE, "\r\n\r\n", "\r\n" },
		{ BODY, CANON_RELAXED, "a\r\n \r\nb", "a\r\n\r\nb\r\n" },
		{ FIELD, CANON_RELAXED, "A:\r\n", "a:\r\n" },
		{ FIELD, CANON_RELAXED, "A: \r\n \r\n\tx\r\n", "a:x\r\n" },
		{ SIGNATURE, CANON_RELAXED, "S: a=1; b=ab\r\n cd ; bh=x\r\n", "s:a=1; b=; bh=x" },
		{ SIGNATURE, CANON_RELAXED, "S: bh=b=; b =\tabcd\r\n", "s:bh=b=; b =" },
		{ SIGNATURE, CANON_SIMPLE, "S: b= abcd; c=d\r\n", "S: b=; c=d" },
	};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct slice text = slice_of(rows[i].text);

		EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
		if (rows[i].what == FIELD)
			canon_field(ctx, text, rows[i].canon, true);
		else if (rows[i].what == SIGNATURE)
			canon_signature(ctx, text, rows[i].canon);
		else
			canon_body(ctx, text, rows[i].canon);
		assert_hash(ctx, rows[i].form, rows[i].text);
	}
	EVP_MD_CTX_free(ctx);
}

/* -- the digest of a body does not depend on where it is cut */

static void
cut_digest(struct slice body, enum canon canon, size_t step, unsigned char out[static 32])
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	struct canon_body b;

	assert_int_equal(EVP_DigestInit_ex(hash, EVP_sha256(), NULL), 1);
	canon_body_begin(&b, hash, canon);
	for (; body.len > 0; body = slice_skip(body, step))
		canon_body_add(&b, slice_first(body, step));
	canon_body_end(&b);
	assert_int_equal(EVP_DigestFinal_ex(hash, out, NULL), 1);
	EVP_MD_CTX_free(hash);
}

static void
plain_digest(const char *text, unsigned char out[static 32])
{
	assert_int_equal(EVP_Digest(text, strlen(text), out, NULL, EVP_sha256(), NULL), 1);
}

static const struct {
	const char *body, *simple, *relaxed;
} cut_rows[] = {
	{ "", "\r\n", "" },
	{ "\r\n\r\n", "\r\n", "" },
	{ " \t\r\n", " \t\r\n", "" },
	{ "a", "a\r\n", "a\r\n" },
	{ "a \r\n", "a \r\n", "a\r\n" },
	{ " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n" },
	{ "\r\n\r\na\r\n \r\nb\r\n\r\n", "\r\n\r\na\r\n \r\nb\r\n", "\r\n\r\na\r\n\r\nb\r\n" },
	{ "a\rb \r c\r\n", "a\rb \r c\r\n", "a\rb \r c\r\n" },
	{ "a\r\r\nb\r\n", "a\r\r\nb\r\n", "a\r\r\nb\r\n" },
	{ "a \r", "a \r\n", "a\r\n" },
	{ "a\nb\n\n", "a\r\nb\r\n", "a\r\nb\r\n" },
};

static void
test_cut_bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cut_rows); i++)
		for (size_t step = 1; step < 8; step++) {
			unsigned char got[32], want[32];

			cut_digest(slice_of(cut_rows[i].body), CANON_SIMPLE, step, got);
			plain_digest(cut_rows[i].simple, want);
			if (memcmp(got, want, 32) != 0)
				fail_msg("row %zu, simple, in steps of %zu", i, step);
			cut_digest(slice_of(cut_rows[i].body), CANON_RELAXED, step, got);
			plain_digest(cut_rows[i].relaxed, want);
			if (memcmp(got, want, 32) != 0)
				fail_msg("row %zu, relaxed, in steps of %zu", i, step);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_cut_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
