/* cli_args: options and operands in any order, and the nearest word */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/cli.h"

static const struct cli_option options[] = {
	{ "quota", "SIZE", "" },
	{ "dry-run", NULL, "" },
	{ "from", "PAT", "" },
	{ NULL, NULL, NULL },
};

static void
good(void **state)
{
	static const struct {
		const char *argv[8];
		const char *quota, *dry, *from, *operands;
	} rows[] = {
		{ { "a" }, NULL, NULL, NULL, "a" },
		{ { "--quota", "5M", "a", "--dry-run", "b" }, "5M", "", NULL, "a b" },
		{ { "a", "--quota=5M", "--from=" }, "5M", NULL, "", "a" },
		{ { "--quota", "--dry-run", "a" }, "--dry-run", NULL, NULL, "a" },
		{ { "a", "--", "--quota", "-x" }, NULL, NULL, NULL, "a --quota -x" },
		{ { "-", "a" }, NULL, NULL, NULL, "- a" },
		{ { NULL }, NULL, NULL, NULL, "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *argv[8], all[100] = "";
		struct cli_args args;
		struct err err;
		int argc = 0;

		for (; rows[i].argv[argc] != NULL; argc++)
			argv[argc] = (char *)(uintptr_t)rows[i].argv[argc];
		assert_int_equal(cli_args_parse(options, argc, argv, &args, &err), 0);
		for (unsigned k = 0; k < args.n; k++) {
			strcat(all, k > 0 ? " " : "");
			strcat(all, args.operand[k]);
		}
		assert_string_equal(all, rows[i].operands);
		const char *got[] = { cli_option(&args, "quota"), cli_option(&args, "dry-run"),
			cli_option(&args, "from") };
		const char *want[] = { rows[i].quota, rows[i].dry, rows[i].from };

		for (size_t k = 0; k < COUNT(got); k++) {
			assert_int_equal(got[k] == NULL, want[k] == NULL);
			if (want[k] != NULL)
				assert_string_equal(got[k], want[k]);
		}
		assert_null(cli_option(&args, "nothing"));
	}
}

static void
bad(void **state)
{
	static const struct {
		const char *argv[4], *text;
	} rows[] = {
		{ { "--quata", "5" }, "no such option: --quata; did you mean --quota?" },
		{ { "--zzzzzzz" }, "no such option: --zzzzzzz" },
		{ { "--quota" }, "--quota needs SIZE behind it" },
		{ { "--dry-run=yes" }, "--dry-run takes no value" },
		{ { "-x" }, "no such option: -x" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cli_args args;
		struct err err = { .kind = ERR_NONE };
		char *argv[4];
		int argc = 0;

		for (; rows[i].argv[argc] != NULL; argc++)
			argv[argc] = (char *)(uintptr_t)rows[i].argv[argc];
		assert_int_equal(cli_args_parse(options, argc, argv, &args, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_string_equal(err.text, rows[i].text);
	}
}

static void
nearest(void **state)
{
	static const char *const nouns[] = { "init", "domain", "user", "alias", "queue", "check",
		"status", "config" };
	static const struct {
		const char *in, *out;
	} rows[] = { { "usr", "user" }, { "users", "user" }, { "domian", "domain" },
		{ "stat", "status" }, { "que", "queue" }, { "xyz", NULL }, { "conf", "config" },
		{ "chek", "check" } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *got = cli_nearest(rows[i].in, nouns, COUNT(nouns));

		if (rows[i].out == NULL)
			assert_null(got);
		else if (got == NULL)
			fail_msg("%s: nothing", rows[i].in);
		else
			assert_string_equal(got, rows[i].out);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(good), cmocka_unit_test(bad),
		cmocka_unit_test(nearest) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
