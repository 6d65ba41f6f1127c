/* test_dkim - signing with a fresh key, verifying with its record, and what must not pass */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters/dkim.h"
#include "filters/dkim_sign.h"
#include "tests/unit/filters/answers.h"
#include "tests/unit/storage/scratch.h"

#define HEADER "From: \"Al, ice\" (x) <alice@Example.Org>\r\nTo: b@c.example\r\nSubject: hi\r\n"
#define BODY "\r\nHello there.\r\n"

/* libopendkim forgets to free parts of Ed25519 keys; the sanitizer shall look for leaks of our own. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libopendkim\nleak:libcrypto\n";
}

struct pair {
	struct dkim_signer key;
	char selector[DKIM_SELECTOR_SIZE], record[DKIM_RECORD_SIZE], pem[8192], name[300];
};
static struct pair pairs[2];

static int
make_keys(void **state)
{
	struct err err = { 0 };

	if (scratch_enter(state) != 0 || mkdir(DKIM_KEYS_DIR, 0700) != 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		struct pair *p = &pairs[i];
		enum dkim_algorithm algorithm = i == 0 ? DKIM_RSA : DKIM_ED25519;
		char path[300];
		int fd;

		if (dkim_key_create("example.org", algorithm, DKIM_ACTIVE, p->selector, &err) == -1)
			return -1;
		snprintf(path, sizeof(path), DKIM_KEYS_DIR "/example.org.%s.pem", p->selector);
		fd = open(path, O_RDONLY);
		if (fd == -1 || dkim_key_record(fd, &algorithm, p->record, &err) == -1 ||
		    lseek(fd, 0, SEEK_SET) == -1 || read(fd, p->pem, sizeof(p->pem) - 1) <= 0)
			return -1;
		close(fd);
		snprintf(p->name, sizeof(p->name), "%s._domainkey.example.org", p->selector);
		p->key = (struct dkim_signer){ "example.org", p->selector, algorithm, p->pem };
	}
	return 0;
}

static enum dkim_result
verify(struct slice message, const struct dns_row *rows)
{
	struct dkim_signature sigs[DKIM_SIGNATURES_MAX];
	struct conf *conf = conf_defaults();
	struct facts facts = { .ip = "192.0.2.1",
		.helo = "",
		.from = "",
		.user = "",
		.rcpt = "",
		.now = INT64_C(1795499548000000),
		.message = message };
	struct judge *j = judge_new(&facts, conf, NULL);
	enum dkim_result r = DKIM_IS_NONE;
	int n;

	while ((n = dkim_evaluate(j, sigs)) == -1)
		answers_give(j, rows);
	for (int i = 0; i < n; i++)
		r = sigs[i].result;
	judge_free(&j);
	conf_free(&conf);
	return r;
}

static void
test_sign_and_verify(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct pair *p = &pairs[i];
		const struct dns_row good[] = { { p->name, RR_TXT, DNS_OK, p->record }, { 0 } };
		const struct dns_row none[] = { { 0 } },
				     down[] = { { p->name, RR_TXT, DNS_TEMPORARY, NULL }, { 0 } };
		const struct dns_row revoked[] = { { p->name, RR_TXT, DNS_OK,
						       i == 0 ? "v=DKIM1; k=rsa; p="
							      : "v=DKIM1; k=ed25519; p=" },
			{ 0 } };
		const struct dns_row twice[] = { good[0],
			{ p->name, RR_TXT, DNS_OK, "v=DKIM1; p=x" }, { 0 } };
		const struct {
			const char *head, *body;
			const struct dns_row *rows;
			enum dkim_result result;
		} rows[] = {
			{ HEADER, BODY, good, DKIM_IS_PASS },
			{ HEADER, "\r\nHello  there. \r\n\r\n", good, DKIM_IS_PASS }, /* relaxed */
			{ HEADER, "\r\nHello you.\r\n", good, DKIM_IS_FAIL },
			{ HEADER "From: evil@bank.example\r\n", BODY, good, DKIM_IS_FAIL },
			{ HEADER, BODY, none, DKIM_IS_PERMERROR },
			{ HEADER, BODY, down, DKIM_IS_TEMPERROR },
			{ HEADER, BODY, revoked, DKIM_IS_PERMERROR },
			{ HEADER, BODY, twice, DKIM_IS_PERMERROR },
		};
		struct err err = { 0 };
		struct buf field;

		buf_init(&field, 8192);
		assert_int_equal(dkim_sign_message(&p->key, SLICE("Received: x\r\n"),
				     SLICE(HEADER BODY), NULL, INT64_C(1795499500000000), &field, &err),
		    0);
		for (size_t k = 0; k < COUNT(rows); k++) {
			char message[12000];
			enum dkim_result r;

			snprintf(message, sizeof(message), "%s%s%s", buf_cstr(&field), rows[k].head,
			    rows[k].body);
			r = verify(slice_of(message), rows[k].rows);
			if (r != rows[k].result)
				fail_msg("key %d, row %zu: %s", i, k, dkim_result_name(r));
		}
		buf_free(&field);
	}
}

/* libopendkim reads past the end of a field with a NUL (seen by the sanitizer): it gets none. */
static void
test_nul_in_field(void **state)
{
	const struct dns_row key[] = {
		{ "s1._domainkey.b.example", RR_TXT, DNS_OK, pairs[0].record }, { 0 }
	};
	struct err err = { 0 };
	struct buf field;

	(void)state;
	assert_int_equal(verify(SLICE("DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=s1; "
				      "h=from; bh=AAAA; b=BBBB\r\nFrom: b@\0\0\0\0\0\0\0\0e\r\n\r\nx\r\n"),
			     key),
	    DKIM_IS_PERMERROR);
	buf_init(&field, 8192);
	assert_int_equal(dkim_sign_message(&pairs[0].key, SLICE(""),
			     SLICE("From: a@example.org\r\nSubject: \0\0\0\0\0\0\0\0x\r\n\r\nx\r\n"), NULL,
			     INT64_C(1795499500000000), &field, &err),
	    0);
	buf_free(&field);
}

static void
test_author(void **state)
{
	static const struct {
		const char *prefix, *message, *author; /* NULL: none */
	} rows[] = {
		{ "", "From: A.Lice@B.Example\r\n\r\nFrom: c@d.example\r\n", "A.Lice@b.example" },
		{ "From: a@b.example\r\n", "To: x\r\n\r\n", "a@b.example" },
		{ "From: a@b.example\r\n", "From: c@d.example\r\n\r\n", NULL },
		{ "", "From: a@b.example, c@d.example\r\n\r\n", NULL },
		{ "", "From: <a@b.example> <c@d.example>\r\n\r\n", NULL },
		{ "", "From: <a@b.example> c@d.example\r\n\r\n", NULL },
		{ "", "From: \"x <c@d.example>\" <a@b.example>\r\n\r\n", "a@b.example" },
		{ "", "From: c@d.example <a@b.example>\r\n\r\n", "a@b.example" },
		{ "", "From: \"c@d.example\"\r\n <a@b.example> (e)\r\n\r\n", "a@b.example" },
		{ "", "From: (c@d.example) a@b.example (\\) (x) <c@d.example>)\r\n\r\n", "a@b.example" },
		{ "", "From: \"c\\\"@d.example, x\"@b.example\r\n\r\n",
		    "\"c\\\"@d.example, x\"@b.example" },
		{ "", "From: <\"c@d.example>\"@b.example>\r\n\r\n", "\"c@d.example>\"@b.example" },
		{ "", "From: \"c@d.example\r\n\r\n", NULL },
		{ "", "From: a@b.example (c\r\n\r\n", NULL },
		{ "", "From: <a@b.example\r\n\r\n", NULL },
		{ "", "From: a\\@b.example\r\n\r\n", NULL },
		{ "", "From: group: a@b.example;\r\n\r\n", NULL },
		{ "", "From: nobody\r\n\r\n", NULL },
		{ "", "From: nobody@\r\n\r\n", NULL },
		{ "", "To: a@b.example\r\n\r\n", NULL },
	};
	char author[DKIM_AUTHOR_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		bool ok =
		    dkim_sign_author(slice_of(rows[i].prefix), slice_of(rows[i].message), author);

		if (ok != (rows[i].author != NULL) || (ok && strcmp(author, rows[i].author) != 0))
			fail_msg("row %zu: %s", i, ok ? author : "none");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sign_and_verify),
		cmocka_unit_test(test_nul_in_field), cmocka_unit_test(test_author) };

	return cmocka_run_group_tests(tests, make_keys, scratch_leave);
}
