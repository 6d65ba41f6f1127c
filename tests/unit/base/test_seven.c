/* Messages for hosts that take less: what changes, to the byte; what is left alone; what cannot be done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/seven.h"

#define X100 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X100
#define X75 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define MIXED "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
#define EIGHT "Content-Transfer-Encoding: 8bit\r\n"
#define SEVEN "Content-Transfer-Encoding: 7bit\r\n"
#define QUOTED "Content-Transfer-Encoding: quoted-printable\r\n"
#define BASE64 "Content-Transfer-Encoding: base64\r\n"
#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"
#define GERMAN "Gr\xc3\xbc\xc3\x9f" "e aus der Stadt am Fluss\r\n"
#define GERMAN_QUOTED "Gr=C3=BC=C3=9Fe aus der Stadt am Fluss\r\n"
#define JAPANESE "\xe6\x89\x8b\xe7\xb4\x99"

/* All of what comes out. The status, SEVEN_MORE: memory is gone. */
static enum seven_status
convert(struct slice in, enum seven_target target, size_t step, struct buf *out, const char **enhanced)
{
	struct seven *s = seven_new(in, target);
	enum seven_status status;
	struct slice piece;

	assert_non_null(s);
	while ((status = seven_step(s, step)) == SEVEN_MORE)
		;
	buf_reset(out);
	if (status == SEVEN_CANNOT)
		assert_true(seven_why(s, enhanced)[0] != '\0');
	if (status == SEVEN_CHANGED) {
		seven_rewind(s, NULL, 0);
		while ((piece = seven_next(s)).len > 0)
			buf_slice(out, piece);
		assert_int_equal(out->len, seven_size(s));
	}
	seven_free(&s);
	return status;
}

static const struct row {
	const char *in, *out; /* out NULL: as it is */
	enum seven_target target;
} rows[] = {
	/* nothing to do */
	{ "", NULL, SEVEN_FOR_7BIT },
	{ "A: 1\r\n", NULL, SEVEN_FOR_7BIT },
	{ "A: 1\r\n\r\nhello\r\n", NULL, SEVEN_FOR_7BIT },
	{ TEXT EIGHT "\r\nhello\r\n", NULL, SEVEN_FOR_7BIT },
	{ "Subject: \xc3\xbc\r\n\r\nhello\r\n", NULL, SEVEN_FOR_7BIT },
	{ TEXT EIGHT "\r\n" GERMAN, NULL, SEVEN_FOR_8BIT },
	/* one part */
	{ "MIME-Version: 1.0\r\n" TEXT EIGHT "\r\n" GERMAN,
	    "MIME-Version: 1.0\r\n" TEXT QUOTED "\r\n" GERMAN_QUOTED, SEVEN_FOR_7BIT },
	{ "MIME-Version: 1.0\r\n" EIGHT TEXT "content-transfer-encoding:\r\n 8bit\r\nZ: 1\r\n\r\n" GERMAN,
	    "MIME-Version: 1.0\r\n" QUOTED TEXT "Z: 1\r\n\r\n" GERMAN_QUOTED, SEVEN_FOR_7BIT },
	{ "mime-version: 1.0\r\n" TEXT EIGHT "\r\n" JAPANESE "\r\n",
	    "mime-version: 1.0\r\n" TEXT BASE64 "\r\n5omL57SZDQo=\r\n", SEVEN_FOR_7BIT },
	{ "MIME-Version: 1.0\r\nContent-Type: image/x; a=\"text/;\"\r\n\r\n" GERMAN,
	    "MIME-Version: 1.0\r\nContent-Type: image/x; a=\"text/;\"\r\n" BASE64
	    "\r\nR3LDvMOfZSBhdXMgZGVyIFN0YWR0IGFtIEZsdXNzDQo=\r\n", SEVEN_FOR_7BIT },
	/* no MIME */
	{ "Subject: x\r\n\r\n" GERMAN,
	    "Subject: x\r\nMIME-Version: 1.0\r\n" TEXT QUOTED "\r\n" GERMAN_QUOTED, SEVEN_FOR_7BIT },
	{ "Subject: x\r\n\r\nGr\xfc\xdf" "e aus der Stadt am Fluss\r\n",
	    "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n" QUOTED
	    "\r\nGr=FC=DFe aus der Stadt am Fluss\r\n", SEVEN_FOR_7BIT },
	{ "\r\n" GERMAN, "MIME-Version: 1.0\r\n" TEXT QUOTED "\r\n" GERMAN_QUOTED, SEVEN_FOR_7BIT },
	{ GERMAN, "MIME-Version: 1.0\r\n" TEXT QUOTED "\r\n" GERMAN_QUOTED, SEVEN_FOR_7BIT },
	{ TEXT "\r\n" GERMAN, TEXT "MIME-Version: 1.0\r\n" QUOTED "\r\n" GERMAN_QUOTED, SEVEN_FOR_7BIT },
	/* lines */
	{ "MIME-Version: 1.0\r\n" TEXT "\r\n.\xc3\xbc \r\nFrom me\t\r\n.\r\na = b; this is long enough for that\r\n",
	    "MIME-Version: 1.0\r\n" TEXT QUOTED "\r\n=2E=C3=BC=20\r\n=46rom me=09\r\n=2E\r\n"
	    "a =3D b; this is long enough for that\r\n", SEVEN_FOR_7BIT },
	{ "MIME-Version: 1.0\r\n" TEXT "\r\n" GERMAN X75 "x\r\n" X75 "xx\r\n" X75 "=\r\n" X75 "x",
	    "MIME-Version: 1.0\r\n" TEXT QUOTED "\r\n" GERMAN_QUOTED X75 "x\r\n" X75 "=\r\nxx\r\n" X75 "=\r\n=3D\r\n" X75
	    "=\r\nx=\r\n", SEVEN_FOR_7BIT },
	/* parts */
	{ MIXED EIGHT "\r\n--b\r\n" TEXT EIGHT "\r\n" GERMAN "--b\r\n\r\nplain\r\n--b\r\n" EIGHT "\r\nplain\r\n--b--\r\n",
	    MIXED SEVEN "\r\n--b\r\n" TEXT QUOTED "\r\n" "Gr=C3=BC=C3=9Fe aus der Stadt am Fluss\r\n--b\r\n\r\nplain\r\n--b\r\n" SEVEN
	    "\r\nplain\r\n--b--\r\n", SEVEN_FOR_7BIT },
	{ MIXED "\r\npre " JAPANESE "\r\n--b\r\n\r\nplain\r\n--b--\r\npost " JAPANESE "\r\n",
	    MIXED "\r\n--b\r\n\r\nplain\r\n--b--\r\n", SEVEN_FOR_7BIT },
	{ MIXED "\r\n--b\r\nContent-Type: multipart/alternative; boundary=\"b b\"\r\n\r\n--b b \r\n\r\n" GERMAN "--b\r\n\r\n" GERMAN,
	    MIXED "\r\n--b\r\nContent-Type: multipart/alternative; boundary=\"b b\"\r\n\r\n--b b \r\n" QUOTED
	    "\r\n" GERMAN_QUOTED "--b\r\n" QUOTED "\r\n" GERMAN_QUOTED, SEVEN_FOR_7BIT },
	{ MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n" EIGHT "\r\nSubject: x\r\n\r\n" GERMAN "--b--\r\n",
	    MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n" SEVEN "\r\nSubject: x\r\nMIME-Version: 1.0\r\n" TEXT QUOTED
	    "\r\n" GERMAN_QUOTED "--b--\r\n", SEVEN_FOR_7BIT },
	{ "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\n" GERMAN "--b--",
	    "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\nMIME-Version: 1.0\r\n" TEXT
	    QUOTED "\r\n" GERMAN_QUOTED "--b--", SEVEN_FOR_7BIT },
	/* what is signed stays as it is when it can; the rest is changed around it */
	{ MIXED "\r\n--b\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n" EIGHT "\r\nplain\r\n--s--\r\n--b\r\n\r\n"
	    GERMAN "--b--\r\n",
	    MIXED "\r\n--b\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n" EIGHT "\r\nplain\r\n--s--\r\n--b\r\n" QUOTED "\r\n"
	    GERMAN_QUOTED "--b--\r\n", SEVEN_FOR_7BIT },
	/* it says that it is encoded, but is not all so */
	{ "MIME-Version: 1.0\r\n" TEXT QUOTED "\r\n\xc3\xbc=3D=c3=\r\nx \t\r\n = \r\n==41=\r\n",
	    "MIME-Version: 1.0\r\n" TEXT QUOTED "\r\n=C3=BC=3D=c3=\r\nx \t\r\n =\r\n=3D=41=\r\n", SEVEN_FOR_7BIT },
	{ "MIME-Version: 1.0\r\n" TEXT BASE64 "\r\nR3LD\xc3\xbcvMOf\r\nZQ==\r\n",
	    "MIME-Version: 1.0\r\n" TEXT BASE64 "\r\nR3LDvMOfZQ==\r\n", SEVEN_FOR_7BIT },
	/* binary */
	{ "MIME-Version: 1.0\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\n\0", NULL, SEVEN_FOR_8BIT },
	{ MIXED "Content-Transfer-Encoding: binary\r\n\r\n--b\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\r\n--b\r\n"
	    "Content-Transfer-Encoding: binary\r\n\r\n" JAPANESE "\r\n--b--\r\n",
	    MIXED EIGHT "\r\n--b\r\nContent-Type: a/b\r\n" BASE64 "\r\nYQpi\r\n--b\r\n" EIGHT "\r\n" JAPANESE "\r\n--b--\r\n",
	    SEVEN_FOR_8BIT },
};

static void
changes(void **state)
{
	static const size_t steps[] = { 1, 7, 100000 };
	struct buf out;
	const char *enhanced;

	(void)state;
	buf_init(&out, 100000);
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t k = 0; k < COUNT(steps); k++) {
			const struct row *r = &rows[i];
			enum seven_status status;

			status = convert(slice_of(r->in), r->target, steps[k], &out, &enhanced);
			if (status == SEVEN_CHANGED && r->out != NULL)
				assert_string_equal(buf_cstr(&out), r->out);
			if (status != (r->out != NULL ? SEVEN_CHANGED : SEVEN_AS_IS))
				fail_msg("row %zu: status %d", i, status);
		}
	}
	buf_free(&out);
}

static const struct {
	const char *in, *enhanced;
	enum seven_target target;
} bad[] = {
	{ "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" GERMAN "--b--\r\n", "5.6.2", SEVEN_FOR_7BIT },
	{ "Content-Type: multipart/encrypted; boundary=b\r\n\r\n" GERMAN "--b\r\n\r\nx\r\n--b--\r\n", "5.6.2", SEVEN_FOR_7BIT },
	{ "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nA: 1\r\n\r\n" GERMAN, "5.6.2",
	    SEVEN_FOR_7BIT },
	{ "Content-Type: message/partial\r\n\r\n" GERMAN, "5.6.3", SEVEN_FOR_7BIT },
	{ "Content-Type: message/delivery-status\r\n\r\n" GERMAN, "5.6.3", SEVEN_FOR_7BIT },
	{ "Content-Type: multipart/mixed\r\n\r\n" GERMAN, "5.6.3", SEVEN_FOR_7BIT },
	{ "Content-Type: multipart/mixed; boundary=b\r\n" BASE64 "\r\n--b\r\n\r\n" GERMAN, "5.6.3", SEVEN_FOR_7BIT },
	{ "Content-Transfer-Encoding: x-uuencode\r\n\r\n" GERMAN, "5.6.3", SEVEN_FOR_7BIT },
	{ "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na\nb\r\n--b--\r\n", "5.6.2", SEVEN_FOR_8BIT },
	{ EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT "\r\n" GERMAN, "5.6.3", SEVEN_FOR_7BIT },
};

static void
refusals(void **state)
{
	struct buf out;
	const char *enhanced;

	(void)state;
	buf_init(&out, 100000);
	for (size_t i = 0; i < COUNT(bad); i++) {
		enhanced = "";
		if (convert(slice_of(bad[i].in), bad[i].target, 50, &out, &enhanced) != SEVEN_CANNOT)
			fail_msg("row %zu is not refused", i);
		assert_string_equal(enhanced, bad[i].enhanced);
	}
	buf_free(&out);
}

/* Lines that are too long, and so many parts in parts that nobody looks into them any more. */
static void
much(void **state)
{
	struct buf in, out;
	const char *enhanced;
	struct slice line, rest;

	(void)state;
	buf_init(&in, 1000000);
	buf_init(&out, 1000000);
	buf_text(&in, "A: 1\r\n\r\n" X1000 "\r\nx\r\n");
	assert_int_equal(convert(buf_all(&in), SEVEN_FOR_7BIT, 1000, &out, &enhanced), SEVEN_CHANGED);
	assert_int_equal(convert(buf_all(&in), SEVEN_FOR_8BIT, 1000, &out, &enhanced), SEVEN_CHANGED);
	for (rest = buf_all(&out); slice_line(&rest, &line);)
		assert_true(line.len <= 76);
	buf_reset(&in);
	for (int i = 0; i < 100; i++)
		buf_text(&in, "Content-Type: message/rfc822\r\n\r\n");
	buf_text(&in, "\r\n" GERMAN);
	assert_int_equal(convert(buf_all(&in), SEVEN_FOR_7BIT, 1000, &out, &enhanced), SEVEN_CANNOT);
	buf_reset(&in);
	buf_text(&in, MIXED "\r\n");
	for (int i = 0; i < 9000; i++)
		buf_text(&in, "--b\r\n\r\n" JAPANESE "\r\n");
	assert_int_equal(convert(buf_all(&in), SEVEN_FOR_7BIT, 1000, &out, &enhanced), SEVEN_CANNOT);
	buf_free(&in);
	buf_free(&out);
}

/* Cuts are left out of what is given out. */
static void
cut_out(void **state)
{
	static const char in[] = "Bcc: x\r\nMIME-Version: 1.0\r\n" TEXT EIGHT "Bcc: y\r\n\r\n" GERMAN;
	const size_t second = strstr(in, "Bcc: y") - in;
	const struct cut cuts[] = { { 0, 8 }, { second, 8 } };
	struct seven *s = seven_new(slice_of(in), SEVEN_FOR_7BIT);
	struct buf out;
	struct slice piece;

	(void)state;
	buf_init(&out, 1000);
	while (seven_step(s, 10) == SEVEN_MORE)
		;
	for (int i = 0; i < 2; i++) {
		buf_reset(&out);
		seven_rewind(s, cuts, 2);
		while ((piece = seven_next(s)).len > 0)
			buf_slice(&out, piece);
		assert_string_equal(buf_cstr(&out), "MIME-Version: 1.0\r\n" TEXT QUOTED "\r\n" GERMAN_QUOTED);
		assert_int_equal(out.len, seven_size(s) - 16);
	}
	buf_free(&out);
	seven_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes),
		cmocka_unit_test(refusals),
		cmocka_unit_test(much),
		cmocka_unit_test(cut_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
