#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "conf/value.h"

#define NO INT64_MIN

static const struct {
	const char *path, *text;
	int64_t want;		/* NO: refused */
	const char *printed;	/* as in a file; NULL: as it was */
} rows[] = {
	{ "limits.message_size", "25M", 25 << 20, NULL },
	{ "limits.message_size", "1G", 1 << 30, NULL },
	{ "limits.message_size", "10k", 10 << 10, "10K" },
	{ "limits.message_size", "1048576", 1 << 20, "1M" },
	{ "limits.message_size", "1048577", 1048577, NULL },
	{ "limits.message_size", "25MB", NO, NULL },
	{ "limits.message_size", "M", NO, NULL },
	{ "limits.message_size", "", NO, NULL },
	{ "limits.message_size", "-1M", NO, NULL },
	{ "limits.message_size", "9223372036854775807G", NO, NULL },
	{ "limits.message_size", "99999999999999999999", NO, NULL },
	{ "limits.message_size", "3G", NO, NULL },
	{ "relay.lifetime", "30s", 30000, NULL },
	{ "relay.lifetime", "5m", 300000, NULL },
	{ "relay.lifetime", "2h", 7200000, NULL },
	{ "relay.lifetime", "5d", 432000000, NULL },
	{ "relay.lifetime", "1w", 604800000, NULL },
	{ "relay.lifetime", "60s", 60000, "1m" },
	{ "relay.lifetime", "30", NO, NULL },
	{ "relay.lifetime", "30 s", NO, NULL },
	{ "relay.lifetime", "1y", NO, NULL },
	{ "relay.lifetime", "0", NO, NULL },
	{ "relay.warn_after", "0", 0, NULL },
	{ "spam.junk_score", "5", 5000, NULL },
	{ "spam.junk_score", "2.5", 2500, NULL },
	{ "spam.junk_score", ".125", 125, "0.125" },
	{ "spam.junk_score", "1.0001", NO, NULL },
	{ "spam.junk_score", ".", NO, NULL },
	{ "spam.junk_score", "-", NO, NULL },
	{ "spam.junk_score", "-1", NO, NULL },
	{ "limits.recipients", "1000", 1000, NULL },
	{ "limits.recipients", "0", NO, NULL },
	{ "limits.recipients", "1k", NO, NULL },
	{ "relay.tls", "required", TLS_REQUIRED, NULL },
	{ "relay.tls", "Required", NO, NULL },
	{ "antivirus.on_error", "accept", NO, NULL },
	{ "antivirus.on_error", "defer", ACTION_DEFER, NULL },
	{ "log.level", "debug", 3, NULL },
};

static void
numbers(void **state)
{
	struct conf *c = conf_defaults();
	struct buf printed;

	(void)state;
	buf_init(&printed, 1000);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct conf_row *row = conf_row_of(slice_of(rows[i].path));
		struct err err;
		int rc;

		assert_non_null(row);
		rc = conf_value_set(c, row, slice_of(rows[i].text), false, &err);
		if (rc != (rows[i].want == NO ? -1 : 0))
			fail_msg("%s = %s: %d %s", rows[i].path, rows[i].text, rc, rc ? err.text : "");
		if (rc == -1)
			continue;
		assert_int_equal(*(int64_t *)(void *)((char *)c + row->at), rows[i].want);
		buf_reset(&printed);
		conf_value_print(c, row, 0, false, &printed);
		assert_string_equal(buf_cstr(&printed), rows[i].printed ? rows[i].printed : rows[i].text);
	}
	buf_free(&printed);
	conf_free(&c);
}

static const struct {
	const char *path, *text;
	bool right;
} texts[] = {
	{ "hostname", "mx.example.test", true },
	{ "hostname", "mx", true },
	{ "hostname", "mx..test", false },
	{ "hostname", "-mx.test", false },
	{ "hostname", "mx.test.", false },
	{ "hostname", "m x", false },
	{ "hostname", "mx.t\xc3\xa4st", false },
	{ "state_dir", "/srv/t", true },
	{ "state_dir", "srv/t", false },
	{ "state_dir", "/srv/\nt", false },
	{ "relay.smarthost", "", true },
	{ "relay.smarthost", "127.0.0.1:2626", true },
	{ "relay.smarthost", "[::1]:25", true },
	{ "relay.smarthost", "relay.test", true },
	{ "relay.smarthost", "relay.test:0", false },
	{ "relay.smarthost", "relay.test:70000", false },
	{ "relay.smarthost", ":25", false },
	{ "trusted_networks", "192.0.2.0/24", true },
	{ "trusted_networks", "2001:db8::/32", true },
	{ "trusted_networks", "192.0.2.0/33", false },
	{ "trusted_networks", "192.0.2/24", false },
	{ "trusted_networks", "", false },
	{ "metrics.listen", "127.0.0.1:9100", true },
	{ "metrics.listen", ":9100", true },
	{ "metrics.listen", "9100", false },
	{ "metrics.listen", "localhost:9100", false },
	{ "delivery.subaddress_separator", "", true },
	{ "delivery.subaddress_separator", "++", false },
	{ "delivery.junk_folder", "", false },
	{ "resolver.trust_anchor", "", false },
};

static void
text_values(void **state)
{
	struct conf *c = conf_defaults();

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct err err = { .text = "" };
		int rc = conf_value_set(c, conf_row_of(slice_of(texts[i].path)), slice_of(texts[i].text), false, &err);

		if (rc != (texts[i].right ? 0 : -1))
			fail_msg("%s = %s: %d %s", texts[i].path, texts[i].text, rc, err.text);
	}
	conf_free(&c);
}

static void
defaults_are_right(void **state)
{
	struct conf *c = conf_defaults();

	(void)state;
	assert_non_null(c);
	assert_string_equal(c->hostname, "");
	assert_int_equal(c->relay.n_retry, 6);
	assert_int_equal(c->relay.retry[0], 300000);
	assert_int_equal(c->limits.message_size, 50 << 20);
	assert_string_equal(c->delivery.junk_folder, "Junk");
	assert_true(conf_filters_on(c));
	c->spf.enabled = c->dkim.enabled = c->dmarc.enabled = c->arc.enabled = c->spam.enabled = false;
	assert_false(conf_filters_on(c));
	c->antivirus.enabled = true;
	assert_true(conf_filters_on(c));
	conf_free(&c);
	assert_null(c);
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(text_values),
		cmocka_unit_test(defaults_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
