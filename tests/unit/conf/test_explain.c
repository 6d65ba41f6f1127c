#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/explain.h"
#include "tests/unit/conf/file.h"

static const struct {
	const char *path, *holds;
} asked[] = {
	{ "limits.recipients", "limits.recipients (number)" },
	{ "limits.recipients", "default: 1000, range: 1 to 10000" },
	{ "listen.mx.kind", "mx | submission | submissions | lmtp | local" },
	{ "relay.retry", "default: {5m, 15m" },
	{ "limits", "limits.hops" },
	{ "spam.dnsbl", "spam.dnsbl.ZONE.weight" },
	{ "hostname", "hostname (host name)" },
	{ NULL, "relay.lifetime" },
};

static void
explains(void **state)
{
	struct err err;
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < COUNT(asked); i++) {
		buf_reset(&out);
		assert_int_equal(conf_explain(asked[i].path, &out, &err), 0);
		if (!strstr(buf_cstr(&out), asked[i].holds))
			fail_msg("%s: %s", asked[i].path, buf_cstr(&out));
	}
	assert_int_equal(conf_explain("limits.recipient", &out, &err), -1);
	assert_non_null(strstr(err.text, "did you mean limits.recipients?"));
	assert_int_equal(conf_explain("recipients", &out, &err), -1);
	assert_non_null(strstr(err.text, "limits.recipients?"));
	buf_free(&out);
}

/* The sample is right as it stands; and with every option uncommented each name in it is known. */
static void
sample(void **state)
{
	struct buf out;
	struct err err;
	struct conf *c;
	char *text;

	(void)state;
	buf_init(&out, 1 << 20);
	conf_sample("mx.example.org", "/var/lib/tegami", "/c", "/k", &out);
	if (!(c = read_text(buf_cstr(&out), &err)))
		fail_msg("%s", err.text);
	assert_string_equal(c->tls.key.at[0], "/k");
	conf_free(&c);
	text = buf_take(&out, NULL);
	for (char *p = text; *p; p++) /* "#name" is an option, "# word" a comment */
		if (*p == '#' && p[1] != ' ' && (p == text || p[-1] == '\n' || p[-1] == '\t'))
			*p = ' ';
	c = read_text(text, &err);
	assert_null(c); /* placeholders stand in it */
	if (strstr(err.text, "there is no option") || strstr(err.text, "never closed"))
		fail_msg("%s\n%s", err.text, text);
	free(text);
}

struct seen {
	unsigned n, changed;
};

static void
see(void *arg, const char *path, const char *value, bool changed)
{
	struct seen *s = arg;

	s->n++;
	s->changed += changed;
	if (strcmp(path, "relay.retry") == 0)
		assert_string_equal(value, "{1m, 5m}");
	if (strcmp(path, "hostname") == 0)
		assert_string_equal(value, "\"mx.example.test\"");
}

static void
each(void **state)
{
	struct err err;
	struct seen s = { 0, 0 };
	struct conf *c = read_text(FIVE_LINES "relay { retry = {1m, 5m} }", &err);

	(void)state;
	assert_non_null(c);
	conf_each(c, see, &s);
	assert_true(s.n > 50);
	/* hostname, state_dir, mail_dir, tls x 2, retry; kind, proxy_protocol and address of four listeners */
	assert_int_equal(s.changed, 6 + 12);
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(explains),
		cmocka_unit_test(sample),
		cmocka_unit_test(each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
