/* verbs: who owns which request, in which order, and who learns a password */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/verbs.h"

static void
routes(void **state)
{
	static const struct {
		const char *verb;
		size_t n;
		enum role first, second;
		const char *first_verb, *second_verb, *undo;
	} rows[] = {
		{ "domain.add", 1, ROLE_DIRECTORY, 0, "domain.add", NULL, NULL },
		{ "user.list", 1, ROLE_DIRECTORY, 0, "user.list", NULL, NULL },
		{ "user.add", 2, ROLE_DIRECTORY, ROLE_AUTH, "user.add", "cred.add", "user.remove" },
		{ "user.remove", 2, ROLE_AUTH, ROLE_DIRECTORY, "cred.remove", "user.remove", NULL },
		{ "user.disable", 2, ROLE_AUTH, ROLE_DIRECTORY, "cred.disable", "user.disable",
		    NULL },
		{ "user.enable", 2, ROLE_DIRECTORY, ROLE_AUTH, "user.enable", "cred.enable",
		    "user.disable" },
		{ "user.passwd", 2, ROLE_DIRECTORY, ROLE_AUTH, "user.show", "cred.passwd", NULL },
		{ "app.list", 1, ROLE_AUTH, 0, "app.list", NULL, NULL },
		{ "queue.retry", 1, ROLE_QUEUE, 0, "queue.retry", NULL, NULL },
		{ "dkim.list", 1, ROLE_CONTROL, 0, "dkim.list", NULL, NULL },
		{ "filter.test", 1, ROLE_FILTER, 0, "filter.test", NULL, NULL },
		{ "role.list", 1, ROLE_TEGAMID, 0, "role.list", NULL, NULL },
		{ "server.reload", 1, ROLE_TEGAMID, 0, "server.reload", NULL, NULL },
		{ "trace", 1, ROLE_CONTROL, 0, "trace", NULL, NULL },
		{ "spam.learn", 1, ROLE_CONTROL, 0, "spam.learn", NULL, NULL },
		{ "status", 1, ROLE_CONTROL, 0, "status", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct verb_plan p;
		struct err err;

		assert_int_equal(verb_plan(rows[i].verb, &p, &err), 0);
		assert_int_equal(p.n, rows[i].n);
		assert_int_equal(p.step[0].role, rows[i].first);
		assert_string_equal(p.step[0].verb, rows[i].first_verb);
		if (p.n < 2)
			continue;
		assert_int_equal(p.step[1].role, rows[i].second);
		assert_string_equal(p.step[1].verb, rows[i].second_verb);
		assert_int_equal(p.step[1].undo == NULL, rows[i].undo == NULL);
		if (rows[i].undo != NULL)
			assert_string_equal(p.step[1].undo, rows[i].undo);
	}
}

static void
unknown(void **state)
{
	static const char *const verbs[] = { "", "frob", "domainx", "que", "mda.delete",
		"\x1b[2J" };

	(void)state;
	for (size_t i = 0; i < COUNT(verbs); i++) {
		struct verb_plan p;
		struct err err = { .kind = ERR_NONE };

		assert_int_equal(verb_plan(verbs[i], &p, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
	}
}

static void
passwords(void **state)
{
	static const struct admin_word password = { "password", "secret" },
				       address = { "address", "a@b" };

	(void)state;
	for (int role = 0; role < ROLE_COUNT; role++) {
		assert_int_equal(verb_word_goes(&password, (enum role)role), role == ROLE_AUTH);
		assert_true(verb_word_goes(&address, (enum role)role));
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(routes),
		cmocka_unit_test(unknown), cmocka_unit_test(passwords) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
