/* report_read, unpack, report_mail: reports as reporters write them, and as nobody should */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "filters/report_mail.h"
#include "filters/report_read.h"
#include "filters/unpack.h"

#define PIECE 7 /* bytes at a time, so that every token is cut somewhere */

/* "" when it is read, else why not; *told is "org id domain begins-ends policy | row | row". */
static const char *
read_report(struct slice text, size_t piece, char *told, size_t size)
{
	static struct err err;
	struct pool *pool = pool_new(REPORT_POOL_MAX);
	struct report_reader *r = report_reader_new(pool);
	struct report report;
	int rc = 0;

	err = (struct err){ .kind = ERR_NONE };
	if (told != NULL)
		told[0] = '\0';
	for (size_t at = 0; at < text.len && rc == 0; at += piece)
		rc = report_reader_feed(r, slice_first(slice_skip(text, at), piece), &err);
	if (rc == 0)
		rc = report_reader_end(r, &report, &err);
	if (rc == 0 && told != NULL) {
		size_t n = (size_t)snprintf(told, size, "%s %s %s %lld-%lld %s", report.org, report.id,
		    report.domain, (long long)report.begins, (long long)report.ends, report.policy);

		for (size_t i = 0; i < report.n && n < size; i++) {
			n += (size_t)snprintf(told + n, size - n, " | %lld", (long long)report.rows[i].count);
			for (size_t t = 0; t < REPORT_TEXTS && n < size; t++)
				n += (size_t)snprintf(told + n, size - n, " %s",
				    *report.rows[i].text[t] != '\0' ? report.rows[i].text[t] : "-");
		}
	}
	report_reader_free(&r);
	pool_free(&pool);
	return rc == 0 ? "" : err.text;
}

#define META(org, id)                                                                              \
	"<report_metadata><org_name>" org "</org_name><email>a@b.test</email><report_id>" id       \
	"</report_id><date_range><begin>100</begin><end>200</end></date_range></report_metadata>"
#define POLICY "<policy_published><domain>a.test</domain><p>none</p></policy_published>"
#define ROW(ip, count)                                                                             \
	"<record><row><source_ip>" ip "</source_ip><count>" count "</count><policy_evaluated>"     \
	"<disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>" \
	"<identifiers><header_from>a.test</header_from></identifiers><auth_results/></record>"
#define FACTS "- a.test - - -"

static const struct {
	const char *text, *told; /* told NULL: refused, and why holds `why` */
	const char *why;
} rows[] = {
	/* the usual one: no namespace, blanks around */
	{ "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\r\n<feedback>\r\n" META("r.test", "1") POLICY
	    ROW(" 192.0.2.1\n", " 5 ") "</feedback>\r\n",
	    "r.test 1 a.test 100-200 p=none | 5 192.0.2.1 none pass fail " FACTS, NULL },
	/* RFC 9990: its namespace, tags of its own, "pass" as disposition */
	{ "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\"><version>1.0</version>" META("r.test", "2")
	    "<policy_published><domain>A.Test.</domain><discovery_method>treewalk</discovery_method><p>reject</p>"
	    "<sp>none</sp><np>reject</np><testing>n</testing></policy_published>"
	    "<record><row><source_ip>2001:DB8::1</source_ip><count>1</count><policy_evaluated>"
	    "<disposition>pass</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row>"
	    "<identifiers><header_from>A.test</header_from><envelope_from>b.a.test</envelope_from></identifiers>"
	    "<auth_results><dkim><domain>a.test</domain><selector>s</selector><result>pass</result>"
	    "<human_result>x</human_result></dkim><spf><domain>b.a.test</domain><scope>mfrom</scope>"
	    "<result>pass</result></spf></auth_results></record>"
	    "<extension><x>1</x></extension></feedback>",
	    "r.test 2 a.test 100-200 p=reject sp=none np=reject t=n | 1 2001:db8::1 none pass pass - a.test b.a.test "
	    "a.test/s=pass b.a.test=pass", NULL },
	/* a prefix for every name, reasons, several signatures, results in capitals, order turned */
	{ "<ns2:feedback xmlns:ns2=\"http://dmarc.org/dmarc-xml/0.1\"><ns2:record><ns2:auth_results>"
	    "<ns2:dkim><ns2:result>fail</ns2:result><ns2:domain>a.test</ns2:domain></ns2:dkim>"
	    "<ns2:dkim><ns2:result>pass</ns2:result><ns2:domain>l.test</ns2:domain></ns2:dkim></ns2:auth_results>"
	    "<ns2:row><ns2:count>2</ns2:count><ns2:source_ip>::ffff:192.0.2.9</ns2:source_ip><ns2:policy_evaluated>"
	    "<ns2:disposition>QUARANTINE</ns2:disposition><ns2:dkim>FAIL</ns2:dkim><ns2:spf>Pass</ns2:spf>"
	    "<ns2:reason><ns2:type>forwarded</ns2:type><ns2:comment>c</ns2:comment></ns2:reason>"
	    "<ns2:reason><ns2:type>mailing_list</ns2:type></ns2:reason></ns2:policy_evaluated></ns2:row></ns2:record>"
	    META("<![CDATA[R &amp; Co]]>", "3&lt;x&gt;") POLICY "</ns2:feedback>",
	    "R &amp; Co 3<x> a.test 100-200 p=none | 2 192.0.2.9 quarantine fail pass forwarded, mailing_list - - "
	    "a.test=fail, l.test=pass -", NULL },
	/* an empty line before the declaration; a record of no message is none; another encoding */
	{ "\n\n<?xml version='1.0' encoding='iso-8859-1'?><feedback>" META("\351t\351", "4") POLICY
	    ROW("192.0.2.1", "0") ROW("192.0.2.2", "1") "</feedback>",
	    "\303\251t\303\251 4 a.test 100-200 p=none | 1 192.0.2.2 none pass fail " FACTS, NULL },
	/* control characters and marks of direction are not kept */
	{ "<feedback>" META("a&#x1b;b", "5") POLICY ROW("192.0.2.1", "1") "</feedback>", NULL, "XML is broken" },
	{ "<feedback>" META("a&#x202e;b&#x85;", "5") POLICY ROW("192.0.2.1", "1") "</feedback>",
	    "a?b? 5 a.test 100-200 p=none | 1 192.0.2.1 none pass fail " FACTS, NULL },

	/* numbers */
	{ "<feedback>" META("r", "1") POLICY ROW("192.0.2.1", "-1") "</feedback>", NULL, "count of a record" },
	{ "<feedback>" META("r", "1") POLICY ROW("192.0.2.1", "99999999999999999999") "</feedback>", NULL, "count" },
	{ "<feedback>" META("r", "1") POLICY ROW("192.0.2.1", "1000000000001") "</feedback>", NULL, "count" },
	{ "<feedback>" META("r", "1") POLICY ROW("192.0.2.1", "1e3") "</feedback>", NULL, "count" },
	{ "<feedback>" META("r", "1") POLICY ROW("192.0.2.1", "") "</feedback>", NULL, "count" },
	/* what must be there */
	{ "<feedback>" META("r", "1") POLICY ROW("192.0.2", "1") "</feedback>", NULL, "record 1 has no address" },
	{ "<feedback>" META("r", "1") POLICY "</feedback>", NULL, "no record" },
	{ "<feedback>" META("r", "1") ROW("192.0.2.1", "1") "</feedback>", NULL, "which domain" },
	{ "<feedback>" META(" ", "1") POLICY ROW("192.0.2.1", "1") "</feedback>", NULL, "who made it" },
	{ "<feedback>" META("r", "") POLICY ROW("192.0.2.1", "1") "</feedback>", NULL, "its own id" },
	{ "<feedback><report_metadata><org_name>r</org_name><report_id>1</report_id></report_metadata>" POLICY
	    ROW("192.0.2.1", "1") "</feedback>", NULL, "which time" },
	{ "<feedback>" META("r", "1") "<policy_published><domain>a/../b</domain></policy_published>"
	    ROW("192.0.2.1", "1") "</feedback>", NULL, "no domain" },
	/* attacks and accidents */
	{ "<!DOCTYPE f [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><feedback>&b;</feedback>", NULL, "DOCTYPE" },
	{ "<!DOCTYPE f SYSTEM \"http://evil.test/\"><feedback/>", NULL, "DOCTYPE" },
	{ "<feedback>&nbsp;</feedback>", NULL, "XML is broken" },
	{ "<feedback><record></feedback>", NULL, "XML is broken at line 1" },
	{ "<feedback>" META("r", "1") POLICY ROW("192.0.2.1", "1"), NULL, "XML is broken" },
	{ "<feedback>\377\376</feedback>", NULL, "XML is broken" },
	{ "<?xml version='1.0' encoding='x-klingon'?><feedback/>", NULL, "encoding" },
	{ "<html><body>No</body></html>", NULL, "first element is not <feedback>" },
	{ "PK\003\004 an archive inside", NULL, "neither XML" },
	{ "   \n ", NULL, "nothing in it" },
	{ "", NULL, "nothing in it" },

	/* TLS: RFC 8460 appendix B, in short */
	{ "{\"organization-name\":\"Company-X\",\"date-range\":{\"start-datetime\":\"1970-01-02T00:00:00Z\","
	    "\"end-datetime\":\"1970-01-03T01:00:00+01:00\"},\"contact-info\":\"c@x.test\",\"report-id\":\"5\","
	    "\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: testing\"],"
	    "\"policy-domain\":\"A.test\",\"mx-host\":[\"*.mail.a.test\",\"b.a.test\"]},\"summary\":"
	    "{\"total-successful-session-count\":5326,\"total-failure-session-count\":303},\"failure-details\":["
	    "{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"2001:db8:abcd:0012::1\","
	    "\"receiving-mx-hostname\":\"mx1.a.test\",\"failed-session-count\":100},"
	    "{\"result-type\":\"starttls-not-supported\",\"receiving-ip\":\"203.0.113.56\",\"failed-session-count\":200,"
	    "\"additional-information\":\"https:\\/\\/x.test\\u002fa\\ud83d\\ude00\"}]}]}",
	    "Company-X 5 a.test 86400-172800  | 5326 sts a.test *.mail.a.test, b.a.test - - - - - -"
	    " | 100 sts a.test *.mail.a.test, b.a.test certificate-expired 2001:db8:abcd:12::1 mx1.a.test - - -"
	    " | 200 sts a.test *.mail.a.test, b.a.test starttls-not-supported - - 203.0.113.56 - https://x.test/a"
	    "\360\237\230\200"
	    " | 3 sts a.test *.mail.a.test, b.a.test not-told - - - - -", NULL },
	/* mx-host a text, failures before the policy, two policies, a mark of byte order, null */
	{ "\357\273\277 {\"report-id\":\"6\",\"organization-name\":\"Y\",\"date-range\":{\"end-datetime\":"
	    "\"1970-01-03T00:00:00.000Z\",\"start-datetime\":\"1970-01-02T00:00:00Z\"},\"policies\":[{\"failure-details\":"
	    "[{\"failed-session-count\":1,\"result-type\":\"validation-failure\"}],\"summary\":{},\"policy\":"
	    "{\"policy-domain\":\"a.test\",\"mx-host\":\"mx.a.test\",\"policy-type\":\"tlsa\"}},"
	    "{\"policy\":{\"policy-domain\":\"b.test\",\"policy-type\":\"no-policy-found\"},\"summary\":"
	    "{\"total-successful-session-count\":7},\"failure-details\":[],\"x\":null,\"y\":[true,-1.5e3]}]}",
	    "Y 6 a.test 86400-172800  | 0 tlsa a.test mx.a.test - - - - - -"
	    " | 1 tlsa a.test mx.a.test validation-failure - - - - -"
	    " | 7 no-policy-found b.test - - - - - - -", NULL },
	{ "{", NULL, "JSON is broken" },
	{ "{}", NULL, "who made it" },
	{ "{} {}", NULL, "JSON is broken at byte 3" },
	{ "{\"a\":}", NULL, "JSON is broken" },
	{ "{\"a\":1,}", NULL, "JSON is broken" },
	{ "{\"a\":\"\n\"}", NULL, "JSON is broken" },
	{ "{\"a\":\"\\u0000\"}", NULL, "JSON is broken" },
	{ "{\"a\":\"\\ud800x\"}", NULL, "JSON is broken" },
	{ "{\"a\":\"\\udc00\"}", NULL, "JSON is broken" },
	{ "{\"a\":\"\\x\"}", NULL, "JSON is broken" },
	{ "{\"a\":\"\300\200\"}", NULL, "JSON is broken" },
	{ "{'a':1}", NULL, "JSON is broken" },
	{ "{\"a\":tru}", NULL, "JSON is broken" },
	{ "{\"policies\":[{\"summary\":{\"total-successful-session-count\":-3}}]}", NULL, "count of sessions" },
	{ "{\"policies\":[{\"summary\":{\"total-failure-session-count\":99999999999999999999}}]}", NULL, "count" },
	{ "{\"policies\":[{\"summary\":{\"total-failure-session-count\":1.5}}]}", NULL, "count of sessions" },
	{ "{\"policies\":[{}]}", NULL, "of no domain" },
	{ "{\"date-range\":{\"start-datetime\":\"yesterday\"}}", NULL, "its time" },
	{ "{\"date-range\":{\"start-datetime\":\"2026-13-01T00:00:00Z\"}}", NULL, "its time" },
};

static void
test_texts(void **state)
{
	static char told[8000];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct slice text = slice_of(rows[i].text);

		/* how much one knows of the first piece may differ, what comes of it not */
		for (size_t piece = rows[i].told != NULL ? PIECE : 4000; piece <= 4000; piece += 3993) {
			const char *why = read_report(text, piece, told, sizeof(told));

			if (rows[i].told != NULL && (*why != '\0' || strcmp(told, rows[i].told) != 0))
				fail_msg("row %zu: %s\n got %s\nwant %s", i, why, told, rows[i].told);
			if (rows[i].told == NULL && (*why == '\0' || strstr(why, rows[i].why) == NULL))
				fail_msg("row %zu: \"%s\", not \"%s\"", i, why, rows[i].why);
		}
	}
}

static void
test_utf16(void **state)
{
	static const char text[] = "\xff\xfe<\0f\0e\0e\0d\0b\0a\0c\0k\0/\0>";

	(void)state;
	assert_non_null(strstr(read_report((struct slice){ text, sizeof(text) }, 4000, NULL, 0), "who made it"));
}

/* -- sizes: each of them made of a piece that repeats */

static const char *
read_long(const char *begin, const char *again, size_t times, const char *end)
{
	static struct buf b;
	const char *why;

	buf_init(&b, 40u << 20);
	buf_text(&b, begin);
	for (size_t i = 0; i < times; i++)
		buf_text(&b, again);
	buf_text(&b, end);
	assert_false(b.failed);
	why = read_report(buf_all(&b), UNPACK_PIECE, NULL, 0);
	buf_free(&b);
	return why;
}

static void
test_sizes(void **state)
{
	static const struct {
		const char *begin, *again;
		size_t times;
		const char *end, *why;
	} longs[] = {
		{ "<feedback>" META("r", "1") POLICY, ROW("192.0.2.1", "1"), REPORT_ROWS_MAX, "</feedback>", "" },
		{ "<feedback>" META("r", "1") POLICY, ROW("192.0.2.1", "1"), REPORT_ROWS_MAX + 1, "</feedback>",
		    "more than 20000 records" },
		{ "<feedback>", "<a>", 100000, "", "nested too deep" },
		{ "<feedback ", "aaaaaaaaaaaaaaaa", 100000, "='1'/>", "longer than 256 KiB" },
		{ "<feedback><!--", ">>>>>>>>>>>>>>>>", 100000, "--></feedback>", "longer than 256 KiB" },
		{ "<feedback><", "bbbbbbbbbb", 60, "/></feedback>", "names are too long" },
		{ "<feedback><org>", "text that goes on ", 100000, "</org></feedback>", "who made it" },
		{ "{\"a\":", "[", 100000, "", "nested too deep" },
		{ "{\"a\":\"", "aaaaaaaaaaaaaaaa", 100000, "\"}", "who made it" },
		{ "{\"", "aaaaaaaaaaaaaaaa", 100, "\":1}", "name in it is too long" },
		{ "{\"a\":\"", "aaaaaaaaaaaaaaaa", 600000, "\"}", "larger than 8 MiB" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(longs); i++) {
		const char *why = read_long(longs[i].begin, longs[i].again, longs[i].times, longs[i].end);

		if (strstr(why, longs[i].why) == NULL || (*longs[i].why == '\0') != (*why == '\0'))
			fail_msg("row %zu: \"%s\", not \"%s\"", i, why, longs[i].why);
	}
}

/* Names that are all different take expat's memory; that has a ceiling, and is free again. */
static void
test_many_names(void **state)
{
	struct buf b;

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		buf_init(&b, 40u << 20);
		buf_text(&b, "<feedback>");
		for (unsigned i = 0; i < 1000000; i++)
			buf_printf(&b, "<n%u/>", i);
		buf_text(&b, "</feedback>");
		assert_non_null(strstr(read_report(buf_all(&b), UNPACK_PIECE, NULL, 0), "more memory"));
		buf_free(&b);
	}
	assert_string_equal(read_report(slice_of(rows[0].text), UNPACK_PIECE, NULL, 0), "");
}

/* -- archives */

static struct buf
packed(struct slice in, int window)
{
	struct buf out;
	z_stream z = { 0 };

	buf_init(&out, 8u << 20);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)in.at;
	z.avail_in = (uInt)in.len;
	z.next_out = (Bytef *)buf_room(&out, in.len / 100 + 4096);
	z.avail_out = (uInt)(in.len / 100 + 4096);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_wrote(&out, z.total_out);
	deflateEnd(&z);
	return out;
}

/* "" when it is unpacked (into *out), else why not. */
static const char *
unpacked(struct slice in, struct buf *out)
{
	static struct err err;
	struct unpack *u = unpack_new(in, &err);
	struct slice piece;
	int rc = -1;

	buf_init(out, UNPACK_MAX);
	while (u != NULL && (rc = unpack_next(u, &piece, &err)) == 1)
		buf_slice(out, piece);
	unpack_free(&u);
	return rc == 0 ? "" : err.text;
}

static void
put16(struct buf *b, unsigned v)
{
	buf_char(b, (char)v);
	buf_char(b, (char)(v >> 8));
}

static void
put32(struct buf *b, uint32_t v)
{
	put16(b, v & 0xffff);
	put16(b, v >> 16);
}

struct zip { /* what an archive says of itself; 0: as it is */
	unsigned method, flags, entries, disk, name_len;
	uint32_t size, local, crc, directory, directory_size;
	const char *name;
};

static struct buf
zip(struct slice text, const struct zip *z)
{
	struct buf data = packed(text, -MAX_WBITS), b;
	uint32_t directory, size;
	const char *name = z->name != NULL ? z->name : "r.xml";

	buf_init(&b, 8u << 20);
	buf_slice(&b, (struct slice){ "PK\003\004\024\0\0\0\010\0\0\0\0\0", 14 });
	for (int i = 0; i < 3; i++)
		put32(&b, 0); /* crc and sizes: the directory counts */
	put16(&b, (unsigned)strlen(name));
	put16(&b, 0);
	buf_text(&b, name);
	buf_slice(&b, buf_all(&data));
	directory = (uint32_t)b.len;
	buf_slice(&b, (struct slice){ "PK\001\002\024\0\024\0", 8 });
	put16(&b, z->flags);
	put16(&b, z->method > 0 ? z->method : 8);
	put32(&b, 0);
	put32(&b, z->crc > 0 ? z->crc : (uint32_t)crc32(0, (const Bytef *)text.at, (uInt)text.len));
	put32(&b, z->size > 0 ? z->size : (uint32_t)data.len);
	put32(&b, (uint32_t)text.len);
	put16(&b, z->name_len > 0 ? z->name_len : (unsigned)strlen(name));
	for (int i = 0; i < 4; i++)
		put16(&b, 0);
	put32(&b, 0);
	put32(&b, z->local);
	buf_text(&b, name);
	size = (uint32_t)b.len - directory;
	buf_slice(&b, (struct slice){ "PK\005\006", 4 });
	put16(&b, z->disk);
	put16(&b, 0);
	put16(&b, z->entries > 0 ? z->entries : 1);
	put16(&b, z->entries > 0 ? z->entries : 1);
	put32(&b, z->directory_size > 0 ? z->directory_size : size);
	put32(&b, z->directory > 0 ? z->directory : directory);
	put16(&b, 0);
	buf_free(&data);
	return b;
}

static void
test_zip(void **state)
{
	static const struct {
		struct zip zip;
		const char *why;
	} zips[] = {
		{ { 0 }, "" },
		{ { .method = 12 }, "in a way that is not read" },
		{ { .flags = 1 }, "encrypted" },
		{ { .disk = 1 }, "part of several" },
		{ { .entries = 2 }, "does not fit" },
		{ { .entries = 65535 }, "does not fit" },
		{ { .name_len = 65535 }, "does not fit" },
		{ { .size = 0xffffffff }, "does not fit" },
		{ { .size = 5 }, "cut off before its end" },
		{ { .local = 0xffffffff }, "does not fit" },
		{ { .local = 3 }, "does not fit" },
		{ { .crc = 1 }, "check sum" },
		{ { .directory = 0xfffffff0 }, "does not fit" },
		{ { .directory = 2 }, "does not fit" },
		{ { .directory_size = 0xfffffff0 }, "does not fit" },
		{ { .directory_size = 10 }, "does not fit" },
		{ { .name = "folder/" }, "holds no file" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(zips); i++) {
		struct buf b = zip(SLICE("<feedback/>"), &zips[i].zip), out;
		const char *why = unpacked(buf_all(&b), &out);

		if (strstr(why, zips[i].why) == NULL || (*why == '\0') != (*zips[i].why == '\0'))
			fail_msg("row %zu: \"%s\", not \"%s\"", i, why, zips[i].why);
		if (*why == '\0')
			assert_true(slice_eq(buf_all(&out), SLICE("<feedback/>")));
		buf_free(&out);
		/* cut off anywhere it is refused, too */
		for (size_t n = 0; *why == '\0' && n < b.len; n++) {
			assert_string_not_equal(unpacked(slice_first(buf_all(&b), n), &out), n < 4 && n > 0 ? "x" : "");
			buf_free(&out);
			if (n == 0)
				n = 3; /* shorter than its mark it is no archive at all */
		}
		buf_free(&b);
	}
}

static void
test_gzip(void **state)
{
	struct buf one = packed(SLICE("<feed"), 16 + MAX_WBITS), two = packed(SLICE("back/>"), 16 + MAX_WBITS), out;

	(void)state;
	buf_slice(&one, buf_all(&two)); /* several members are one file */
	buf_text(&one, "\r\n");
	assert_string_equal(unpacked(buf_all(&one), &out), "");
	assert_true(slice_eq(buf_all(&out), SLICE("<feedback/>")));
	buf_free(&out);
	for (size_t n = 2; n < two.len; n++) {
		assert_non_null(strstr(unpacked(slice_first(buf_all(&two), n), &out), "archive is"));
		buf_free(&out);
	}
	two.at[two.len - 5] ^= 1;
	assert_non_null(strstr(unpacked(buf_all(&two), &out), "broken"));
	buf_free(&out);
	buf_free(&one);
	buf_free(&two);
	assert_non_null(strstr(unpacked(SLICE("BZh91AY"), &out), "no standard"));
	assert_non_null(strstr(unpacked(SLICE(""), &out), "empty"));
}

/* Zeros: a MiB may be; 8 MiB end at the ceiling of the ratio, and 1 GiB, packed badly, at that of the size. */
static void
test_bomb(void **state)
{
	static const struct {
		unsigned mib;
		int level;
		const char *why;
	} bombs[] = { { 1, 9, "" }, { 8, 9, "a bomb" }, { 1024, 1, "larger than 32 MiB, unpacked" } };
	static char zeros[1 << 20];

	(void)state;
	for (size_t i = 0; i < COUNT(bombs); i++) {
		struct buf b, out;
		z_stream z = { 0 };
		const char *why;

		buf_init(&b, 16u << 20);
		assert_int_equal(deflateInit2(&z, bombs[i].level, Z_DEFLATED, 16 + MAX_WBITS, 9,
		    Z_DEFAULT_STRATEGY), Z_OK);
		z.next_out = (Bytef *)buf_room(&b, 16u << 20);
		z.avail_out = 16u << 20;
		for (unsigned n = 1; n <= bombs[i].mib; n++) {
			z.next_in = (Bytef *)zeros;
			z.avail_in = sizeof(zeros);
			assert_int_equal(deflate(&z, n < bombs[i].mib ? Z_NO_FLUSH : Z_FINISH),
			    n < bombs[i].mib ? Z_OK : Z_STREAM_END);
		}
		buf_wrote(&b, z.total_out);
		deflateEnd(&z);
		why = unpacked(buf_all(&b), &out);
		if (strstr(why, bombs[i].why) == NULL || (*why == '\0') != (*bombs[i].why == '\0'))
			fail_msg("%u MiB: \"%s\"", bombs[i].mib, why);
		buf_free(&out);
		buf_free(&b);
	}
}

/* -- mail */

static void
test_mail(void **state)
{
	static const char message[] =
	    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	    "--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
	    "--b\r\nContent-Type: APPLICATION/gzip; name=\"a!x.test!1!2.xml.gz\"\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n"
	    "--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=B.ZIP\r\n\r\n"
	    "raw\r\nbytes\r\n"
	    "--b\r\nContent-Type: application/octet-stream; name=x.exe\r\n\r\nno\r\n"
	    "--b\r\nContent-Type: text/xml\r\n\r\n<a/>\r\n"
	    "--b\r\nContent-Type: application/json\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{=7D\r\n"
	    "--b\r\nContent-Type: text/xml\r\n\r\nleft\r\n--b--\r\n";
	static const struct {
		const char *file, *domain;
	} names[] = { { "a!x.test!1!2.xml.gz", "x.test" }, { "a!x.test!1!2!unique.xml", "x.test" },
		{ "report.xml", "" }, { "a!<b>.test!1!2", "" }, { "a!x.test", "" }, { "!!", "" } };
	struct report_mail m;
	char domain[256];

	(void)state;
	report_mail_find(slice_of(message), &m);
	assert_int_equal(m.n, 4);
	assert_int_equal(m.left, 1);
	assert_string_equal(m.part[0].file, "a!x.test!1!2.xml.gz");
	assert_string_equal(buf_cstr(&m.part[0].bytes), "hello");
	assert_string_equal(buf_cstr(&m.part[1].bytes), "raw\r\nbytes\r\n");
	assert_string_equal(buf_cstr(&m.part[2].bytes), "<a/>\r\n");
	assert_string_equal(buf_cstr(&m.part[3].bytes), "{}\n");
	report_mail_free(&m);
	for (size_t i = 0; i < COUNT(names); i++) {
		report_mail_domain(names[i].file, domain);
		assert_string_equal(domain, names[i].domain);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_texts), cmocka_unit_test(test_utf16),
		cmocka_unit_test(test_sizes), cmocka_unit_test(test_many_names), cmocka_unit_test(test_zip),
		cmocka_unit_test(test_gzip), cmocka_unit_test(test_bomb), cmocka_unit_test(test_mail) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
