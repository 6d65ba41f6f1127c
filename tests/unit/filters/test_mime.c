/* test_mime - header fields, encoded words, parameters, parts and their text */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "filters/mime.h"

static void
test_words(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ " plain\r\n\ttext ", "plain text" },
		{ "=?utf-8?B?aGVsbG8=?=", "hello" },
		{ "=?utf-8?Q?a_b=3Dc?= x", "a b=c x" },
		{ "=?utf-8?B?YQ==?=\r\n =?utf-8?B?Yg==?=", "ab" },
		{ "x =?utf-8?B?YQ==?= y", "x a y" },
		{ "=?utf-8?X?YQ==?=", "=?utf-8?X?YQ==?=" },
		{ "=?broken", "=?broken" },
		{ "a=b", "a=b" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;

		buf_init(&out, 1000);
		mime_decode_words(slice_of(rows[i].in), &out);
		assert_string_equal(buf_cstr(&out), rows[i].out);
		buf_free(&out);
	}
}

static void
test_params(void **state)
{
	static const struct {
		const char *in, *name, *out;
	} rows[] = {
		{ "multipart/mixed; boundary=abc", "boundary", "abc" },
		{ "multipart/mixed; BOUNDARY = \"a b;c\" ; x=y", "boundary", "a b;c" },
		{ "a/b; name=\"q\\\"q\"", "name", "q\"q" },
		{ "a/b; filename*=utf-8''x.exe", "filename", "utf-8''x.exe" },
		{ "a/b; filename*0=\"x.\"; filename*1=exe", "filename", "x." },
		{ "a/b; other=1", "name", NULL },
		{ "a/b;;;", "name", NULL },
		{ "a/b", "name", NULL },
	};
	char out[100];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(mime_param(slice_of(rows[i].in), rows[i].name, out, sizeof(out)),
		    rows[i].out != NULL);
		assert_string_equal(out, rows[i].out == NULL ? "" : rows[i].out);
	}
}

struct seen {
	char text[2000], types[500];
};

static void
on_part(void *arg, const struct mime_part *part)
{
	struct seen *s = arg;

	strncat(s->types, part->type, 100);
	strcat(s->types, " ");
}

static void
on_text(void *arg, const struct mime_part *part, struct slice bytes)
{
	struct seen *s = arg;

	(void)part;
	strncat(s->text, bytes.at, bytes.len);
}

static void
test_parts(void **state)
{
	static const struct {
		const char *in, *types, *text;
	} rows[] = {
		{ "Subject: x\r\n\r\nhello\r\n", "text/plain ", "hello\n" },
		{ "\r\nhello", "text/plain ", "hello\n" },
		{ "", "text/plain ", "" },
		{ "Content-Type: text/html\r\nContent-Transfer-Encoding: "
		  "quoted-printable\r\n\r\na=3Db=\r\nc\r\n",
		    "text/html ", "a=bc\n" },
		{ "Content-Transfer-Encoding: BASE64\r\n\r\naGVs\r\nbG8=\r\n", "text/plain ",
		    "hello" },
		{ "Content-Type: multipart/mixed; "
		  "boundary=\"b\"\r\n\r\npreamble\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: "
		  "image/png\r\n\r\n"
		  "xxx\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: "
		  "attachment\r\n\r\nhidden\r\n--b--\r\nepilogue\r\n",
		    "multipart/mixed text/plain image/png text/plain ", "one\n" },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: "
		  "multipart/alternative; boundary=bb\r\n\r\n--bb\r\n\r\n"
		  "in\r\n--bb--\r\n--b\r\n\r\nout\r\n--b--\r\n",
		    "multipart/mixed multipart/alternative text/plain text/plain ", "in\nout\n" },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: "
		  "message/rfc822\r\n\r\nSubject: y\r\n\r\ninner\r\n--b--\r\n",
		    "multipart/mixed message/rfc822 text/plain ", "inner\n" },
		/* an outer boundary closes all inner parts; a header may end at a boundary */
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: "
		  "multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--b\r\n"
		  "X: y\r\n--b\r\n\r\nz\r\n",
		    "multipart/mixed multipart/mixed text/plain text/plain text/plain ", "x\nz\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct seen s = { "", "" };
		struct mime_sink sink = { .arg = &s, .part = on_part, .text = on_text };
		struct mime_facts facts;

		mime_read(slice_of(rows[i].in), &sink, &facts);
		assert_string_equal(s.types, rows[i].types);
		assert_string_equal(s.text, rows[i].text);
	}
}

static void
test_ceilings(void **state)
{
	static char message[400000];
	struct mime_sink none = { 0 };
	struct mime_facts facts;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		n += (size_t)sprintf(message + n,
		    "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	mime_read((struct slice){ message, n }, &none, &facts);
	assert_true(facts.cut && facts.depth <= MIME_DEPTH_MAX + 1);
	n = (size_t)sprintf(message, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (int i = 0; i < 3000; i++)
		n += (size_t)sprintf(message + n, "--b\r\n\r\nx\r\n");
	mime_read((struct slice){ message, n }, &none, &facts);
	assert_true(facts.cut && facts.parts <= MIME_PARTS_MAX);
	memset(message, 'x', sizeof(message));
	mime_read((struct slice){ message, sizeof(message) }, &none, &facts);
	assert_int_equal(facts.parts, 1);
}

static void
test_fields(void **state)
{
	struct slice rest = SLICE("A: b\r\n c\r\nno field\r\nX-Y :z\r\n: w\r\n\r\nbody: x\r\n");
	static const char *const names[] = { "A", "", "X-Y", "" };
	struct mime_field f;

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_true(mime_field_next(&rest, &f));
		assert_true(slice_eq(f.name, slice_of(names[i])));
	}
	assert_false(mime_field_next(&rest, &f));
	assert_true(slice_eq(rest, SLICE("body: x\r\n")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_words),
		cmocka_unit_test(test_params), cmocka_unit_test(test_parts),
		cmocka_unit_test(test_ceilings), cmocka_unit_test(test_fields) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
