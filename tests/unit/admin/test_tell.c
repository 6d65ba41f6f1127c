/* test_tell - XML that no name breaks, files that fit, mails that hold them */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#include "admin/tell.h"

static const struct reporter by = { "mx.example.test", "postmaster@example.test" };

static struct dmarc_seen
row(const char *from)
{
	return (struct dmarc_seen){ .ip = "192.0.2.1",
		.disposition = "none",
		.dkim = "fail",
		.spf = "fail",
		.reasons = "local_policy\tsaid <so> & \"so\"\n",
		.header_from = from,
		.envelope_from = "",
		.results = "spf\tx.test\tmfrom\tfail\t\ndkim\td'<>.test\ts\"&\tpass\t\n",
		.messages = 3 };
}

static void
test_escapes(void **state)
{
	struct dmarc_seen one = row("</header_from><x>&\"'\x01\xff.test");
	struct dmarc_report r = { .start = 86400,
		.until = 2 * 86400,
		.domain = "a&b.test",
		.policy = "none quarantine reject r s y",
		.dropped = 2,
		.rows = &one,
		.n = 1 };
	static const char *const parts[] = { "<domain>a&amp;b.test</domain>", "<begin>86400</begin>",
		"<end>172799</end>", "<p>none</p>", "<sp>quarantine</sp>", "<np>reject</np>",
		"<adkim>r</adkim>", "<aspf>s</aspf>", "<testing>y</testing>", "<count>3</count>",
		"<error>2 more messages", "<type>local_policy</type>",
		"<comment>said &lt;so&gt; &amp; &quot;so&quot;</comment>",
		"<header_from>&lt;/header_from&gt;&lt;x&gt;&amp;&quot;&apos;??.test</header_from>",
		"<envelope_from></envelope_from>", "<domain>d&apos;&lt;&gt;.test</domain>",
		"<selector>s&quot;&amp;</selector>", "<scope>mfrom</scope>" };
	struct buf out;
	const char *text;

	(void)state;
	buf_init(&out, TELL_XML_MAX);
	assert_int_equal(tell_dmarc_xml(&out, &by, &r, 1, "id1"), 0);
	text = buf_cstr(&out);
	for (size_t i = 0; i < COUNT(parts); i++)
		if (strstr(text, parts[i]) == NULL)
			fail_msg("no %s in:\n%s", parts[i], text);
	/* signatures stand before SPF, whatever came first */
	assert_true(strstr(text, "<dkim>\n") < strstr(text, "<spf>\n"));
	buf_free(&out);
}

/* Rows that hardly get smaller: as many as fit, and one always does. */
static void
test_fits(void **state)
{
	struct dmarc_seen rows[DMARC_REPORT_ROWS_MAX];
	struct dmarc_report r = { .domain = "a.test", .policy = "none none none r r n", .rows = rows,
		.n = COUNT(rows) };
	static char names[DMARC_REPORT_ROWS_MAX][254];
	struct buf out;
	struct err err;
	size_t n;
	unsigned dice = 1;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t k = 0; k < 253; k++) {
			dice = dice * 1103515245u + 12345u;
			names[i][k] = (char)('!' + (dice >> 16) % 90);
		}
		rows[i] = row(names[i]);
	}
	buf_init(&out, TELL_XML_MAX + TELL_XML_MAX / 64);
	assert_int_equal(tell_dmarc_file(&out, &by, &r, "id1", &n, &err), 0);
	assert_true(n >= 1 && n < COUNT(rows));
	assert_true(out.len <= TELL_FILE_MAX);
	buf_free(&out);
}

static void
test_gzip(void **state)
{
	static const char text[] = "some text, some text, some text";
	char back[100];
	struct buf out, again;
	z_stream z = { 0 };

	(void)state;
	buf_init(&out, 1000);
	buf_init(&again, 1000);
	assert_int_equal(tell_gzip(&out, SLICE(text)), 0);
	assert_int_equal(tell_gzip(&again, SLICE(text)), 0);
	assert_true(slice_eq(buf_all(&out), buf_all(&again)));
	assert_int_equal(inflateInit2(&z, 31), Z_OK);
	z.next_in = (unsigned char *)out.at;
	z.avail_in = (unsigned)out.len;
	z.next_out = (unsigned char *)back;
	z.avail_out = sizeof(back);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_true(slice_eq((struct slice){ back, z.total_out }, SLICE(text)));
	inflateEnd(&z);
	buf_free(&out);
	buf_free(&again);
}

static void
test_mail(void **state)
{
	static char file[TELL_FILE_MAX];
	struct tell_mail m = { .by = &by,
		.to = "a@b.test",
		.subject = "Report Domain: b.test\r\n Submitter: mx.example.test",
		.msgid = "<1@mx.example.test>",
		.fields = "X-One: 1\r\n",
		.multipart = "mixed",
		.text = "words\r\n",
		.type = "application/gzip",
		.name = "x.xml.gz",
		.file = { file, sizeof(file) },
		.now = 0 };
	struct buf out;
	struct slice rest, line;

	(void)state;
	buf_init(&out, 32 * 1024);
	tell_mail_write(&out, &m);
	assert_false(out.failed); /* the largest file fits into a frame */
	rest = buf_all(&out);
	assert_true(slice_starts(rest, SLICE("From: postmaster@example.test\r\nTo: a@b.test\r\n")));
	assert_non_null(strstr(buf_cstr(&out), "\r\nX-One: 1\r\n"));
	while (slice_line(&rest, &line))
		assert_true(line.len <= 998 && memchr(line.at, '\r', line.len) == NULL);
	buf_free(&out);
}

static void
test_tls(void **state)
{
	struct tls_count rows[] = {
		{ .type = "sts", .lines = "version: STSv1\nmode: enforce\nmx: *.a.test\nmx: mx.b.test\n", .host = "",
		    .ip = "", .own_ip = "", .result = "", .why = "", .sessions = 7 },
		{ .type = "sts", .lines = "version: STSv1\nmode: enforce\nmx: *.a.test\nmx: mx.b.test\n",
		    .host = "mx\"\\\x01.test", .ip = "192.0.2.1", .own_ip = "192.0.2.2",
		    .result = "certificate-expired", .why = "it \"ended\"", .sessions = 2 },
		{ .type = "tlsa", .lines = "3 1 1 00ff", .host = "", .ip = "", .own_ip = "", .result = "",
		    .why = "", .sessions = 1 },
	};
	struct tls_report r = { .start = 86400, .until = 2 * 86400, .domain = "a.test", .rows = rows,
		.n = COUNT(rows) };
	static const char *const parts[] = { "\"start-datetime\": \"1970-01-02T00:00:00Z\"",
		"\"end-datetime\": \"1970-01-02T23:59:59Z\"", "\"policy-type\": \"sts\"",
		"\"policy-type\": \"tlsa\"", "\"mode: enforce\"", "\"*.a.test\"", "\"mx.b.test\"",
		"\"total-successful-session-count\": 7", "\"total-failure-session-count\": 2",
		"\"result-type\": \"certificate-expired\"", "\"receiving-mx-hostname\": \"mx\\\"\\\\\\u0001.test\"",
		"\"failed-session-count\": 2", "it \\\"ended\\\"", "\"3 1 1 00ff\"" };
	struct buf out;
	struct err err;

	(void)state;
	buf_init(&out, TELL_XML_MAX);
	assert_int_equal(tell_tls_json(&out, &by, &r, 10, 10, "id1"), 0);
	for (size_t i = 0; i < COUNT(parts); i++)
		if (strstr(buf_cstr(&out), parts[i]) == NULL)
			fail_msg("no %s in:\n%s", parts[i], buf_cstr(&out));
	buf_reset(&out);
	assert_int_equal(tell_tls_json(&out, &by, &r, 1, 0, "id1"), 0); /* counts stay whole */
	assert_non_null(strstr(buf_cstr(&out), "\"total-failure-session-count\": 2"));
	assert_null(strstr(buf_cstr(&out), "certificate-expired"));
	assert_null(strstr(buf_cstr(&out), "tlsa"));
	assert_int_equal(tell_tls_file(&out, &by, &r, "id1", &err), 0);
	buf_free(&out);
}

/* Failures that hardly get smaller: as many as fit are told. */
static void
test_tls_fits(void **state)
{
	static struct tls_count rows[TLS_REPORT_ROWS_MAX];
	static char why[TLS_REPORT_ROWS_MAX][200];
	struct tls_report r = { .domain = "a.test", .rows = rows, .n = COUNT(rows) };
	unsigned dice = 1;
	struct buf out;
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t k = 0; k < sizeof(why[i]) - 1; k++) {
			dice = dice * 1103515245u + 12345u;
			why[i][k] = (char)('!' + (dice >> 16) % 90);
		}
		rows[i] = (struct tls_count){ .type = "no-policy-found", .lines = "", .host = "mx.a.test",
			.ip = "192.0.2.1", .own_ip = "192.0.2.2", .result = "validation-failure",
			.why = why[i], .sessions = 1 };
	}
	buf_init(&out, TELL_XML_MAX + TELL_XML_MAX / 64);
	assert_int_equal(tell_tls_file(&out, &by, &r, "id1", &err), 0);
	assert_true(out.len > 1000 && out.len <= TELL_FILE_MAX);
	buf_free(&out);
}

static void
test_id(void **state)
{
	char a[TELL_ID_TEXT], b[TELL_ID_TEXT];

	(void)state;
	tell_id(a, "mx.example.test", 1795478400, 'r', 17);
	tell_id(b, "mx.example.test", 1795478400, 'r', 17);
	assert_string_equal(a, b);
	tell_id(b, "mx2.example.test", 1795478400, 'r', 17);
	assert_string_not_equal(a, b);
	for (const char *c = a; *c != '\0'; c++)
		assert_true((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z'));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_tls_fits),
		cmocka_unit_test(test_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
