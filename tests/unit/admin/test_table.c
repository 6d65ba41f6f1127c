/* table, json, rows: the same rows for people and for programs */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/table.h"

static const struct column columns[] = {
	{ "address", "ADDRESS", COLUMN_TEXT, false },
	{ "name", "NAME", COLUMN_TEXT, true },
	{ "quota", "QUOTA", COLUMN_SIZE, false },
	{ "enabled", "ENABLED", COLUMN_BOOL, false },
	{ NULL, NULL, COLUMN_TEXT, false },
};
static const struct table_style plain = { false, true, 0 };

static void
add(struct rows *r, const char *address, const char *name, const char *quota, const char *enabled)
{
	admin_row(
	    &r->out, "address", address, "name", name, "quota", quota, "enabled", enabled, NULL);
}

static void
as_table(void **state)
{
	struct rows rows;
	struct buf b;

	(void)state;
	rows_init(&rows);
	buf_init(&b, 10000);
	add(&rows, "alice@example.test", "", "1073741824", "yes");
	add(&rows, "b@x.test", "", "512", "no");
	table_text(&b, &rows, columns, &plain);
	assert_string_equal(buf_cstr(&b), "ADDRESS               QUOTA  ENABLED\n"
					  "alice@example.test  1.0 GiB  yes\n"
					  "b@x.test              512 B  no\n");
	buf_reset(&b);
	add(&rows, "evil\x1b[2J", "\xe6\x89\x8b\xe7\xb4\x99", "0", "true");
	table_text(&b, &rows, columns, &plain);
	assert_string_equal(buf_cstr(&b),
	    "ADDRESS             NAME    QUOTA  ENABLED\n"
	    "alice@example.test        1.0 GiB  yes\n"
	    "b@x.test                    512 B  no\n"
	    "evil\\x1b[2J         \xe6\x89\x8b\xe7\xb4\x99      0 B  yes\n");
	buf_free(&b);
	rows_free(&rows);
}

static void
as_json(void **state)
{
	struct rows rows;
	struct json j;
	struct buf b;

	(void)state;
	rows_init(&rows);
	buf_init(&b, 10000);
	json_init(&j, &b);
	table_json(&j, &rows, columns);
	assert_string_equal(buf_cstr(&b), "[]\n");
	buf_reset(&b);
	admin_row(&rows.out, "address", "a\"\\\n\x01\xff", "quota", "12", "enabled", "no", "more",
	    "text", NULL);
	json_init(&j, &b);
	table_json(&j, &rows, columns);
	assert_string_equal(buf_cstr(&b),
	    "[\n  {\n    \"address\": \"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\",\n    \"quota\": 12,\n"
	    "    \"enabled\": false,\n    \"more\": \"text\"\n  }\n]\n");
	buf_free(&b);
	rows_free(&rows);
}

static void
values(void **state)
{
	static const struct {
		enum column_kind kind;
		const char *in, *shown, *json;
	} rows[] = { { COLUMN_TEXT, "x", "x", "\"x\"" }, { COLUMN_NUMBER, "5", "5", "5" },
		{ COLUMN_NUMBER, "", "", "null" }, { COLUMN_QUOTA, "0", "unlimited", "0" },
		{ COLUMN_TIME, "0", "never", "null" }, { COLUMN_TIME, "", "", "null" },
		{ COLUMN_TIME, "60000000", "in 1 min", "\"1970-01-01T00:01:00.000000Z\"" },
		{ COLUMN_BOOL, "1", "yes", "true" }, { COLUMN_BOOL, "no", "no", "false" },
		{ COLUMN_MILLI, "1500", "1.5", "1.5" }, { COLUMN_MILLI, "-250", "-0.25", "-0.25" },
		{ COLUMN_MILLI, "7000", "7", "7" }, { COLUMN_MILLI, "10000", "10", "10" },
		{ COLUMN_MILLI, "1001", "1.001", "1.001" },
		{ COLUMN_STATE, "ok", "ok", "\"ok\"" } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct json j;
		struct buf b;

		buf_init(&b, 1000);
		table_show(&b, rows[i].kind, rows[i].in, &plain);
		assert_string_equal(buf_cstr(&b), rows[i].shown);
		buf_reset(&b);
		json_init(&j, &b);
		table_json_value(&j, rows[i].kind, rows[i].in);
		assert_string_equal(buf_cstr(&b), rows[i].json);
		buf_free(&b);
	}
}

static void
nested(void **state)
{
	struct json j;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	json_init(&j, &b);
	json_open(&j, '{');
	json_key(&j, "empty");
	json_open(&j, '[');
	json_close(&j, ']');
	json_key(&j, "list");
	json_open(&j, '[');
	json_number(&j, -1);
	json_null(&j);
	json_close(&j, ']');
	json_pair(&j, "k", "v");
	json_close(&j, '}');
	assert_string_equal(buf_cstr(&b),
	    "{\n  \"empty\": [],\n  \"list\": [\n    -1,\n    null\n  ],\n  \"k\": \"v\"\n}\n");
	buf_free(&b);
}

static void
card(void **state)
{
	struct rows rows;
	struct buf b;

	(void)state;
	rows_init(&rows);
	buf_init(&b, 1000);
	add(&rows, "a@b.test", "", "0", "1");
	table_card(&b, &rows.at[0], columns, &plain);
	assert_string_equal(buf_cstr(&b), "ADDRESS  a@b.test\nQUOTA    0 B\nENABLED  yes\n");
	assert_null(row_get(&rows.at[0], "nothing"));
	assert_string_equal(row_text(&rows.at[0], "nothing"), "");
	buf_free(&b);
	rows_free(&rows);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(as_table),
		cmocka_unit_test(as_json), cmocka_unit_test(values), cmocka_unit_test(nested),
		cmocka_unit_test(card) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
