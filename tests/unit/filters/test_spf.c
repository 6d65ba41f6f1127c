/* test_spf - the grammar of records, and whole evaluations on tables of DNS answers */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/spf.h"
#include "filters/spf_record.h"
#include "tests/unit/filters/answers.h"

static void
test_grammar(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: it is malformed */
	} rows[] = {
		{ "v=spf1 -all", "v=spf1 -all" },
		{ "v=spf1  ~all  ", "v=spf1 ~all" },
		{ "v=spf1 a/24 -all", "v=spf1 +exists:%{d}.0._term -all" },
		{ "v=spf1 redirect=b.example a", 
		    "v=spf1 +exists:%{d}.0._term ?exists:x.1._term redirect=b.example" },
		{ "v=spf1 -all redirect=b.example mx", "v=spf1 -all" },
		{ "v=spf1 ip4:192.0.2.0/24 -all", "v=spf1 +all" },
		{ "v=spf1 ?ip4:0.0.0.0/0 -all", "v=spf1 ?all" },
		{ "v=spf1 ip4:198.51.100.7 ip6:::/0 -all", "v=spf1 -all" },
		{ "v=spf1 include:%{d2}.x.example exp=e.example x=%{c} -all",
		    "v=spf1 +include:%{d2}.x.example -all" },
		{ "v=spf1 exists:%{ir}.%{l1r+-}._spf.%{d}",
		    "v=spf1 +exists:%{ir}.%{l1r+-}._spf.%{d}.0._term" },
		{ "v=spf1 a:b.example.", "v=spf1 +exists:b.example.0._term" },
		{ "v=spf1 a:", NULL },
		{ "v=spf1 a:b", NULL },
		{ "v=spf1 a:111.222.33.44", NULL },
		{ "v=spf1 a:b.example:80", NULL },
		{ "v=spf1 a/33", NULL },
		{ "v=spf1 a/024", NULL },
		{ "v=spf1 a//129", NULL },
		{ "v=spf1 ip4:1.2.3", NULL },
		{ "v=spf1 ip4:192.0.2.1/", NULL },
		{ "v=spf1 exists", NULL },
		{ "v=spf1 include", NULL },
		{ "v=spf1 all:x", NULL },
		{ "v=spf1 nothing", NULL },
		{ "v=spf1 -redirect=b.example", NULL },
		{ "v=spf1 redirect=b.example redirect=c.example", NULL },
		{ "v=spf1 exp=a.example exp=b.example", NULL },
		{ "v=spf1 redirect=", NULL },
		{ "v=spf1 a:%{x}", NULL },
		{ "v=spf1 a:%{d0}.example", NULL },
		{ "v=spf1 a:%{c}.example", NULL },
		{ "v=spf1 a:%(d).example", NULL },
		{ "v=spf1 a:%{d", NULL },
		{ "v=spf1 a:b.example%", NULL },
		{ "v=spf1 \x07", NULL },
		{ "v=spf1 a:\xc3\xa4.example", NULL },
		{ "v=spf1 -all mistake", NULL },
	};
	struct spf_terms terms;
	struct ip ip;

	(void)state;
	assert_true(ip_parse("192.0.2.1", &ip));
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;
		const char *why;
		int rc;

		buf_init(&out, 4096);
		terms.n = 0;
		rc = spf_record_translate(slice_of(rows[i].in), &ip, &terms, &out, &why);
		if (rc != (rows[i].out == NULL ? -1 : 0) ||
		    (rc == 0 && strcmp(buf_cstr(&out), rows[i].out) != 0))
			fail_msg("%s: %d %s", rows[i].in, rc, rc == 0 ? buf_cstr(&out) : why);
		buf_free(&out);
	}
}

static const struct dns_row zone[] = {
	{ "plain.example", RR_TXT, DNS_OK, "v=spf1 a mx ip6:2001:db8::/32 -all" },
	{ "plain.example", RR_A, DNS_OK, "192.0.2.10" },
	{ "plain.example", RR_MX, DNS_OK, "10 m1.plain.example" },
	{ "plain.example", RR_MX, DNS_OK, "20 m2.plain.example" },
	{ "m1.plain.example", RR_A, DNS_OK, "192.0.2.20" },
	{ "m2.plain.example", RR_A, DNS_OK, "192.0.2.21" },
	{ "any4.example", RR_TXT, DNS_OK, "v=spf1 a:plain.example/0 -all" },
	{ "loop.example", RR_TXT, DNS_OK, "v=spf1 include:loop.example -all" },
	{ "two.example", RR_TXT, DNS_OK, "v=spf1 -all" },
	{ "two.example", RR_TXT, DNS_OK, "v=spf1 +all" },
	{ "other.example", RR_TXT, DNS_OK, "something else" },
	{ "down.example", RR_TXT, DNS_TEMPORARY, NULL },
	{ "later.example", RR_TXT, DNS_OK, "v=spf1 a:down.example -all" },
	{ "down.example", RR_A, DNS_TEMPORARY, NULL },
	{ "void.example", RR_TXT, DNS_OK,
	    "v=spf1 a:n1.example a:n2.example a:n3.example ip4:192.0.2.1 -all" },
	{ "eleven.example", RR_TXT, DNS_OK,
	    "v=spf1 a:p.example a:p.example a:p.example a:p.example a:p.example a:p.example "
	    "a:p.example a:p.example "
	    "a:p.example a:p.example a:p.example ip4:192.0.2.1 -all" },
	{ "p.example", RR_A, DNS_OK, "203.0.113.1" },
	{ "included.example", RR_TXT, DNS_OK, "v=spf1 include:plain.example ~all" },
	{ "missing.example", RR_TXT, DNS_OK, "v=spf1 include:nothing.example ~all" },
	{ "macro.example", RR_TXT, DNS_OK, "v=spf1 exists:%{ir}.%{v}.%{l}.%{d} -all" },
	{ "1.2.0.192.in-addr.joe.macro.example", RR_A, DNS_OK, "127.0.0.2" },
	{ "ptr.example", RR_TXT, DNS_OK, "v=spf1 ptr -all" },
	{ "1.2.0.192.in-addr.arpa", RR_PTR, DNS_OK, "mail.ptr.example" },
	{ "mail.ptr.example", RR_A, DNS_OK, "192.0.2.1" },
	{ "local.example", RR_TXT, DNS_OK, "v=spf1 -all" },
	{ "says.example", RR_TXT, DNS_OK,
	    "v=spf1 include:quiet.example exp=%{h}.why.%{d2} redirect=more.example" },
	{ "quiet.example", RR_TXT, DNS_OK, "v=spf1 exp=wrong.example redirect=local.example" },
	{ "more.example", RR_TXT, DNS_OK, "v=spf1 include:quiet.example exp=why.%{d} -all" },
	{ "why.more.example", RR_TXT, DNS_OK,
	    "%{i}%_of %{p} %{C} wrote as %{L} %{l2r-} %{d} to %{r}%%" },
	{ "far.example", RR_TXT, DNS_OK, "v=spf1 -all exp=%{s}.%{s}.%{s}.%{s}.%{s}.%{s}.end.example" },
	{ "two-texts.example", RR_TXT, DNS_OK, "v=spf1 -all exp=two.example" },
	{ "dark.example", RR_TXT, DNS_OK, "v=spf1 -all exp=down.example" },
	{ "odd.example", RR_TXT, DNS_OK, "v=spf1 -all exp=odd-why.example" },
	{ "odd-why.example", RR_TXT, DNS_OK, "%{z}" },
	{ 0 },
};

static void
test_evaluate(void **state)
{
	static const struct {
		const char *ip, *sender;
		enum spf_result result;
	} rows[] = {
		{ "192.0.2.10", "a@plain.example", SPF_IS_PASS },
		{ "192.0.2.21", "a@plain.example", SPF_IS_PASS },
		{ "::ffff:192.0.2.21", "a@Plain.Example", SPF_IS_PASS },
		{ "2001:db8::5", "a@plain.example", SPF_IS_PASS },
		{ "192.0.2.1", "a@plain.example", SPF_IS_FAIL },
		{ "203.0.113.99", "a@any4.example", SPF_IS_PASS },
		{ "192.0.2.1", "a@loop.example", SPF_IS_PERMERROR },
		{ "192.0.2.1", "a@two.example", SPF_IS_PERMERROR },
		{ "192.0.2.1", "a@other.example", SPF_IS_NONE },
		{ "192.0.2.1", "a@nothing.example", SPF_IS_NONE },
		{ "192.0.2.1", "a@down.example", SPF_IS_TEMPERROR },
		{ "192.0.2.1", "a@later.example", SPF_IS_TEMPERROR },
		{ "192.0.2.1", "a@void.example", SPF_IS_PERMERROR },
		{ "192.0.2.1", "a@eleven.example", SPF_IS_PERMERROR },
		{ "192.0.2.21", "a@included.example", SPF_IS_PASS },
		{ "192.0.2.1", "a@included.example", SPF_IS_SOFTFAIL },
		{ "192.0.2.1", "a@missing.example", SPF_IS_PERMERROR },
		{ "192.0.2.1", "joe@macro.example", SPF_IS_PASS },
		{ "192.0.2.1", "jim@macro.example", SPF_IS_FAIL },
		{ "192.0.2.1", "a@ptr.example", SPF_IS_PASS },
		{ "127.0.0.1", "a@local.example", SPF_IS_FAIL },
		{ "::1", "a@local.example", SPF_IS_FAIL },
		{ "192.0.2.1", "a@localhost", SPF_IS_NONE },
		{ "192.0.2.1", "a@[192.0.2.1]", SPF_IS_NONE },
	};
	struct conf *conf = conf_defaults();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct facts facts = { .ip = rows[i].ip,
			.helo = "h.example",
			.from = rows[i].sender,
			.user = "",
			.rcpt = "",
			.message = SLICE("\r\n") };
		struct judge *j = judge_new(&facts, conf, NULL);
		enum spf_result r;
		const char *why;
		struct ip ip;

		assert_true(ip_parse(rows[i].ip, &ip));
		while (
		    (r = spf_evaluate(j, &ip, "h.example", rows[i].sender, &why)) == SPF_IS_WAITING)
			answers_give(j, zone);
		if (r != rows[i].result)
			fail_msg("%s from %s: %s %s", rows[i].sender, rows[i].ip,
			    spf_result_name(r), why);
		judge_free(&j);
	}
	conf_free(&conf);
}

/* What a domain says to those whom it refuses: of its own record and those redirected to, no other. */
static void
test_explain(void **state)
{
	static const struct {
		const char *sender, *text;
	} rows[] = {
		{ "a-b&c@says.example",
		    "192.0.2.1 of mail.ptr.example 192.0.2.1 wrote as a-b%26c b&c.a more.example to "
		    "mx.example%" },
		{ "a@quiet.example", "" },
		{ "a@far.example", "" },
		{ "a@two-texts.example", "" },
		{ "a@dark.example", "" },
		{ "a@odd.example", "" },
	};
	struct conf *conf = conf_defaults();

	(void)state;
	free(conf->hostname);
	conf->hostname = strdup("mx.example");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct facts facts = { .ip = "192.0.2.1",
			.helo = "h.example",
			.from = rows[i].sender,
			.user = "",
			.rcpt = "",
			.message = SLICE("\r\n") };
		struct judge *j = judge_new(&facts, conf, NULL);
		enum spf_result r;
		const char *why;
		struct ip ip;

		assert_true(ip_parse("192.0.2.1", &ip));
		while (
		    (r = spf_evaluate(j, &ip, "h.example", rows[i].sender, &why)) == SPF_IS_WAITING)
			answers_give(j, zone);
		assert_int_equal(r, SPF_IS_FAIL);
		assert_string_equal(why, rows[i].text);
		judge_free(&j);
	}
	conf_free(&conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_evaluate), cmocka_unit_test(test_explain) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
