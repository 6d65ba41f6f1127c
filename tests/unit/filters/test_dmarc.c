/* test_dmarc - records, the tree walk, alignment, and what is demanded */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/check.h"
#include "filters/dmarc_record.h"
#include "filters/verdict.h"
#include "tests/unit/filters/answers.h"

/* -- records */

enum { NO_RECORD, RECORD, BROKEN };
static const struct {
	const char *text;
	int what;
	enum dmarc_policy p, sp, np;
	bool testing;
} records[] = {
	{ "v=DMARC1; p=reject", RECORD, DMARC_REJECT, DMARC_REJECT, DMARC_REJECT, false },
	{ "v=DMARC1;p=none;sp=quarantine;np=reject;", RECORD, DMARC_NONE, DMARC_QUARANTINE,
	    DMARC_REJECT, false },
	{ "v = DMARC1 ; P = Reject ; SP = NONE ", RECORD, DMARC_REJECT, DMARC_NONE, DMARC_NONE,
	    false },
	{ "v=DMARC1; p=reject; t=y", RECORD, DMARC_REJECT, DMARC_REJECT, DMARC_REJECT, true },
	{ "v=DMARC1; p=reject; pct=0", RECORD, DMARC_REJECT, DMARC_REJECT, DMARC_REJECT, true },
	{ "v=DMARC1; p=reject; pct=0; t=n", RECORD, DMARC_REJECT, DMARC_REJECT, DMARC_REJECT,
	    false },
	{ "v=DMARC1; p=reject; pct=50; ri=86400; rf=afrf", RECORD, DMARC_REJECT, DMARC_REJECT,
	    DMARC_REJECT, false },
	{ "v=DMARC1; p=reject; p=none", RECORD, DMARC_REJECT, DMARC_REJECT, DMARC_REJECT, false },
	{ "v=DMARC1; rua=mailto:a@b.example", RECORD, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "v=DMARC1; p=rejct; rua=mailto:a@b.example", RECORD, DMARC_NONE, DMARC_NONE, DMARC_NONE,
	    false },
	{ "v=DMARC1; p=rejct", BROKEN, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "v=DMARC1; p=reject; sp=x", BROKEN, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "v=DMARC1", BROKEN, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "v=DMARC1; ;=;p;;p=reject;junk", BROKEN, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "v=DMARC1; ;=; x=y ;p=reject;junk", RECORD, DMARC_REJECT, DMARC_REJECT, DMARC_REJECT,
	    false },
	{ "v=DMARC2; p=reject", NO_RECORD, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "v=dmarc1; p=reject", NO_RECORD, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "v=DMARC1 p=reject", NO_RECORD, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ " v=DMARC1; p=reject", NO_RECORD, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "p=reject; v=DMARC1", NO_RECORD, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "v=spf1 -all", NO_RECORD, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
	{ "", NO_RECORD, DMARC_NONE, DMARC_NONE, DMARC_NONE, false },
};

static void
test_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(records); i++) {
		struct dmarc_record r;
		bool is = dmarc_record_read(slice_of(records[i].text), &r);

		if (is != (records[i].what != NO_RECORD) ||
		    r.broken != (records[i].what == BROKEN) || r.p != records[i].p ||
		    r.sp != records[i].sp || r.np != records[i].np ||
		    r.testing != records[i].testing)
			fail_msg("%s: %d p=%d sp=%d np=%d t=%d broken=%d", records[i].text, is, r.p,
			    r.sp, r.np, r.testing, r.broken);
	}
}

/* -- messages */

static const struct dns_row zone[] = {
	{ "_dmarc.plain.example", RR_TXT, DNS_OK, "v=DMARC1; p=reject" },
	{ "_dmarc.plain.example", RR_TXT, DNS_OK, "some other text" },
	{ "_dmarc.strict.example", RR_TXT, DNS_OK, "v=DMARC1; p=reject; adkim=s; aspf=s" },
	{ "_dmarc.soft.example", RR_TXT, DNS_OK, "v=DMARC1; p=quarantine" },
	{ "_dmarc.watch.example", RR_TXT, DNS_OK, "v=DMARC1; p=none" },
	{ "_dmarc.test.example", RR_TXT, DNS_OK, "v=DMARC1; p=reject; t=y" },
	{ "_dmarc.sub.example", RR_TXT, DNS_OK, "v=DMARC1; p=reject; sp=none; np=quarantine" },
	{ "there.sub.example", RR_A, DNS_OK, "192.0.2.1" },
	{ "mail.sub.example", RR_MX, DNS_OK, "10 mx.example" },
	/* a name with nothing but names below it is there */
	{ "between.sub.example", RR_A, DNS_NO_DATA, NULL },
	{ "_dmarc.twice.example", RR_TXT, DNS_OK, "v=DMARC1; p=reject" },
	{ "_dmarc.twice.example", RR_TXT, DNS_OK, "v=DMARC1; p=none" },
	{ "_dmarc.down.example", RR_TXT, DNS_TEMPORARY, NULL },
	{ "_dmarc.slow.plain.example", RR_TXT, DNS_TEMPORARY, NULL },
	{ "_dmarc.broken.example", RR_TXT, DNS_OK, "v=DMARC1; p=rejct" },
	/* a public suffix that says so */
	{ "_dmarc.psd.example", RR_TXT, DNS_OK, "v=DMARC1; p=reject; psd=y; np=quarantine" },
	{ "_dmarc.org.psd.example", RR_TXT, DNS_OK, "v=DMARC1; p=quarantine" },
	/* a part of an organization that goes alone */
	{ "_dmarc.alone.plain.example", RR_TXT, DNS_OK, "v=DMARC1; p=reject; psd=n" },
	/* its own record goes before the organization's */
	{ "_dmarc.own.plain.example", RR_TXT, DNS_OK, "v=DMARC1; p=none" },
	/* names in the middle of a long one are passed over */
	{ "_dmarc.d.e.f.g.h.i.long", RR_TXT, DNS_OK, "v=DMARC1; p=none" },
	{ "_dmarc.g.h.i.long", RR_TXT, DNS_OK, "v=DMARC1; p=reject" },
	/* a country that publishes a record, and a company's own top-level domain */
	{ "_dmarc.land", RR_TXT, DNS_OK, "v=DMARC1; p=reject" },
	{ "_dmarc.brand", RR_TXT, DNS_OK, "v=DMARC1; p=reject; psd=n" },
	{ "_dmarc.xn--mller-kva.example", RR_TXT, DNS_OK, "v=DMARC1; p=reject" },
	{ 0 },
};

static const struct {
	const char *from, *spf, *dkim; /* "?" before a name: DNS did not answer for it */
	const char *result;
	enum verdict demand;
} rows[] = {
	/* nothing proven */
	{ "a@plain.example", NULL, NULL, "fail", VERDICT_REFUSE },
	{ "a@soft.example", NULL, NULL, "fail", VERDICT_JUNK },
	{ "a@watch.example", NULL, NULL, "fail", VERDICT_ACCEPT },
	{ "a@test.example", NULL, NULL, "fail", VERDICT_JUNK },
	{ "a@no.example", NULL, NULL, "none", VERDICT_ACCEPT },
	{ "a@twice.example", NULL, NULL, "none", VERDICT_ACCEPT },
	{ "a@broken.example", NULL, NULL, "permerror", VERDICT_ACCEPT },
	{ "a@down.example", NULL, NULL, "temperror", VERDICT_ACCEPT },
	{ "a@m\xc3\xbcller.example", NULL, NULL, "fail", VERDICT_REFUSE },
	/* relaxed */
	{ "a@plain.example", "plain.example", NULL, "pass", VERDICT_ACCEPT },
	{ "a@plain.example", NULL, "PLAIN.Example", "pass", VERDICT_ACCEPT },
	{ "a@plain.example", "bounce.plain.example", NULL, "pass", VERDICT_ACCEPT },
	{ "a@news.plain.example", "plain.example", NULL, "pass", VERDICT_ACCEPT },
	{ "a@news.plain.example", NULL, "mail.plain.example", "pass", VERDICT_ACCEPT },
	{ "a@plain.example", "other.example", "evil.example", "fail", VERDICT_REFUSE },
	{ "a@plain.example", "notplain.example", NULL, "fail", VERDICT_REFUSE },
	{ "a@plain.example", "plain.example.evil.example", NULL, "fail", VERDICT_REFUSE },
	{ "a@plain.example", "example", NULL, "fail", VERDICT_REFUSE },
	/* strict */
	{ "a@strict.example", "strict.example", NULL, "pass", VERDICT_ACCEPT },
	{ "a@strict.example", "x.strict.example", "y.strict.example", "fail", VERDICT_REFUSE },
	/* subdomains */
	{ "a@sub.example", NULL, NULL, "fail", VERDICT_REFUSE },
	{ "a@there.sub.example", NULL, NULL, "fail", VERDICT_ACCEPT },
	{ "a@mail.sub.example", NULL, NULL, "fail", VERDICT_ACCEPT },
	{ "a@between.sub.example", NULL, NULL, "fail", VERDICT_ACCEPT },
	{ "a@gone.sub.example", NULL, NULL, "fail", VERDICT_JUNK },
	{ "a@own.plain.example", NULL, NULL, "fail", VERDICT_ACCEPT },
	{ "a@x.own.plain.example", NULL, NULL, "fail", VERDICT_REFUSE },
	/* organizations */
	{ "a@x.org.psd.example", NULL, "org.psd.example", "pass", VERDICT_ACCEPT },
	{ "a@x.org.psd.example", NULL, NULL, "fail", VERDICT_JUNK },
	{ "a@one.psd.example", NULL, "two.psd.example", "fail", VERDICT_JUNK },
	{ "a@one.psd.example", NULL, "psd.example", "fail", VERDICT_JUNK },
	{ "a@one.psd.example", NULL, "x.one.psd.example", "pass", VERDICT_ACCEPT },
	{ "a@psd.example", NULL, NULL, "fail", VERDICT_REFUSE },
	{ "a@plain.example", NULL, "alone.plain.example", "fail", VERDICT_REFUSE },
	{ "a@alone.plain.example", NULL, "plain.example", "fail", VERDICT_REFUSE },
	{ "a@x.alone.plain.example", NULL, "alone.plain.example", "pass", VERDICT_ACCEPT },
	{ "a@one.land", NULL, "two.land", "fail", VERDICT_REFUSE },
	{ "a@one.land", NULL, "x.one.land", "pass", VERDICT_ACCEPT },
	{ "a@one.brand", NULL, "two.brand", "pass", VERDICT_ACCEPT },
	/* the middle of a long name is never asked */
	{ "a@a.b.c.d.e.f.g.h.i.long", NULL, NULL, "fail", VERDICT_REFUSE },
	{ "a@a.b.c.d.e.f.g.h.i.long", "g.h.i.long", NULL, "pass", VERDICT_ACCEPT },
	/* not known now */
	{ "a@plain.example", "?plain.example", NULL, "temperror", VERDICT_DEFER },
	{ "a@plain.example", "?evil.example", NULL, "fail", VERDICT_REFUSE },
	{ "a@plain.example", "?plain.example", "plain.example", "pass", VERDICT_ACCEPT },
	{ "a@watch.example", "?watch.example", NULL, "temperror", VERDICT_ACCEPT },
	{ "a@plain.example", "slow.plain.example", NULL, "temperror", VERDICT_DEFER },
	/* From */
	{ "a@plain.example, b@plain.example", "plain.example", NULL, "permerror", VERDICT_REFUSE },
	{ "a@plain.example\r\nFrom: b@evil.example", "evil.example", NULL, "permerror",
	    VERDICT_REFUSE },
	{ "nobody", NULL, NULL, "permerror", VERDICT_REFUSE },
	{ "a@[192.0.2.1]", NULL, NULL, "permerror", VERDICT_REFUSE },
};

static struct conf *
configured(void)
{
	struct conf *c = conf_defaults();

	free(c->hostname);
	c->hostname = strdup("mx.our.example");
	c->spf.enabled = c->dkim.enabled = c->spam.enabled = c->antivirus.enabled = false;
	return c;
}

static void
prove(struct judge *j, const char *by, const char *name)
{
	if (name != NULL)
		judge_prove(j, by, name + (name[0] == '?'), name[0] == '?');
}

static struct judge *
judged(const struct conf *c, const char *ip, char *message, const char *spf, const char *dkim)
{
	struct facts facts = { .qid = 1,
		.kind = LISTEN_MX,
		.ip = ip,
		.helo = "x.example",
		.from = "a@b.example",
		.user = "",
		.rcpt = "c@d.example",
		.now = 1,
		.message = slice_of(message) };
	struct judge *j = judge_new(&facts, c, NULL);

	prove(j, "spf", spf);
	prove(j, "dkim", dkim);
	answers_run(j, zone);
	return j;
}

static void
test_messages(void **state)
{
	struct conf *c = configured();
	char message[400];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct judge *j;
		const struct hit *h;
		struct ruling r;

		snprintf(message, sizeof(message), "From: %s\r\n\r\nx\r\n", rows[i].from);
		j = judged(c, "192.0.2.9", message, rows[i].spf, rows[i].dkim);
		h = answers_hit(j, "dmarc");
		ruling_make(j, &r);
		if (strcmp(h->result, rows[i].result) != 0 || r.verdict != rows[i].demand)
			fail_msg("row %zu, %s spf %s dkim %s: %s %d %s", i, rows[i].from,
			    rows[i].spf == NULL ? "-" : rows[i].spf,
			    rows[i].dkim == NULL ? "-" : rows[i].dkim, h->result, r.verdict,
			    h->text);
		assert_true(strstr(r.authentication_results, rows[i].result) != NULL);
		ruling_free(&r);
		judge_free(&j);
	}
	conf_free(&c);
}

static void
test_exceptions(void **state)
{
	static const struct {
		const char *ip, *dkim;
		enum verdict verdict;
	} tries[] = { { "192.0.2.9", NULL, VERDICT_REFUSE },
		{ "198.51.100.7", NULL, VERDICT_ACCEPT },
		{ "192.0.2.9", "lists.friend.example", VERDICT_ACCEPT },
		{ "192.0.2.9", "notfriend.example", VERDICT_REFUSE },
		{ "192.0.2.9", "?friend.example", VERDICT_REFUSE } };
	struct conf *c = configured();
	char message[] = "From: a@plain.example\r\n\r\nx\r\n";

	(void)state;
	c->dmarc.allow_networks.at = calloc(1, sizeof(char *));
	c->dmarc.allow_networks.at[0] = strdup("198.51.100.0/24");
	c->dmarc.allow_networks.n = 1;
	c->dmarc.allow_domains.at = calloc(1, sizeof(char *));
	c->dmarc.allow_domains.at[0] = strdup("friend.example");
	c->dmarc.allow_domains.n = 1;
	for (size_t i = 0; i < COUNT(tries); i++) {
		struct judge *j = judged(c, tries[i].ip, message, NULL, tries[i].dkim);
		struct ruling r;

		ruling_make(j, &r);
		assert_int_equal(r.verdict, tries[i].verdict);
		assert_true(strstr(r.authentication_results, "dmarc=fail") != NULL);
		ruling_free(&r);
		judge_free(&j);
	}
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_exceptions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
