/* password: hashing, app passwords, checks that open nothing by accident */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "storage/password.h"
#include "storage/verifier.h"

/* The linker sends both slow hashes through here (storage/local.mk). */
struct crypt_data;
char *__real_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);
bool __real_verifier_keys(struct verifier *v, const char *password);
bool __wrap_verifier_keys(struct verifier *v, const char *password);

static unsigned yescrypts, pbkdf2_rounds;

char *
__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
	yescrypts += strncmp(setting, "$y$", 3) == 0;
	return __real_crypt_r(phrase, setting, data);
}

bool
__wrap_verifier_keys(struct verifier *v, const char *password)
{
	pbkdf2_rounds += v->iterations;
	return __real_verifier_keys(v, password);
}

static void
set_of(struct password_set *set, const char *main, const char *app)
{
	memset(set, 0, sizeof(*set));
	snprintf(set->main, sizeof(set->main), "%s", main);
	snprintf(set->apps[2], sizeof(set->apps[2]), "%s", app);
}

static void
test_main(void **state)
{
	char hash[PASSWORD_HASH_SIZE];
	struct password_set set;
	struct err err;

	(void)state;
	assert_int_equal(password_hash("p\xc3\xa4ss 'word", hash, &err), 0);
	assert_memory_equal(hash, "{CRYPT}$y$", 10);
	assert_int_equal(password_hash_known(hash, &err), 0);
	set_of(&set, hash, "");
	assert_int_equal(password_check(&set, "p\xc3\xa4ss 'word"), 0);
	assert_int_equal(password_check(&set, "p\xc3\xa4ss 'word "), -1);
	assert_int_equal(password_check(&set, ""), -1);
	set_of(&set, "", "");
	assert_int_equal(password_check(&set, "p\xc3\xa4ss 'word"), -1);
	assert_int_equal(password_check(&set, ""), -1);
}

/* Stored fields that are no hash never match. */
static void
test_bad_hashes(void **state)
{
	static const char *const bad[] = { "*0", "{CRYPT}*0", "{CRYPT}*1", "{CRYPT}",
		"{CRYPT}secret", "{PLAIN}secret", "secret", "{CRYPT}!", "{CRYPT}$y$j9T$",
		"{SCRAM-SHA-256}4096,,,", "{CRYPT}x" };
	struct password_set set;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++) {
		set_of(&set, bad[i], bad[i]);
		if (password_check(&set, "secret") != -1 || password_check(&set, bad[i]) != -1)
			fail_msg("%s", bad[i]);
		assert_int_equal(password_hash_known(bad[i], NULL), -1);
	}
}

#define SHA512_OF_SECRET                                                                           \
	"{SHA512-CRYPT}$6$saltstring$AIsRs/Ee56G/"                                                 \
	"tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz."

/* Hashes from elsewhere, of "secret". */
static void
test_imported(void **state)
{
	static const char *const good[] = {
		SHA512_OF_SECRET,
		"{SHA256-CRYPT}$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
		"{MD5-CRYPT}$1$saltstri$WHZcnT3IOdSrMvizOq7Ht1",
	};
	struct password_set set;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(good); i++) {
		assert_int_equal(password_hash_known(good[i], NULL), 0);
		set_of(&set, good[i], "");
		assert_int_equal(password_check(&set, "secret"), 0);
		assert_int_equal(password_check(&set, "not it"), -1);
	}
}

static void
test_app(void **state)
{
	char one[PASSWORD_APP_SIZE], two[PASSWORD_APP_SIZE], hash_one[PASSWORD_HASH_SIZE],
	    hash_two[PASSWORD_HASH_SIZE];
	const struct verifier salt = {
		.iterations = 4096, .salt = "0123456789abcdef", .salt_len = 16
	};
	struct password_set set;
	struct err err;

	(void)state;
	assert_int_equal(password_app_make(one, &err), 0);
	assert_int_equal(password_app_make(two, &err), 0);
	assert_string_not_equal(one, two);
	assert_true(password_app_form(one));
	assert_int_equal(password_app_hash(one, &salt, hash_one, &err), 0);
	assert_int_equal(password_app_hash(two, &salt, hash_two, &err), 0);
	assert_memory_equal(hash_one, hash_two, 15 + 5 + 24); /* scheme, iterations, salt */
	set_of(&set, "", hash_one);
	strcpy(set.apps[7], hash_two);
	assert_int_equal(password_check(&set, one), 3);
	assert_int_equal(password_check(&set, two), 8);
	one[0] = one[0] == 'a' ? 'b' : 'a';
	assert_int_equal(password_check(&set, one), -1);
}

static void
test_app_form(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} rows[] = {
		{ "abcd-efgh-abcd-efgh-abcd-efgh-2345", true },
		{ "abcd-efgh-abcd-efgh-abcd-efgh-234", false },
		{ "abcd-efgh-abcd-efgh-abcd-efgh-23456", false },
		{ "abcd-efgh-abcd-efgh-abcd-efgh-234l", false },
		{ "abcdxefgh-abcd-efgh-abcd-efgh-2345", false },
		{ "", false },
		{ "secret", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		assert_int_equal(password_app_form(rows[i].text), rows[i].is);
}

/* RFC 7677 3: user "user", password "pencil". */
static void
test_rfc7677(void **state)
{
	char hash[PASSWORD_HASH_SIZE];
	struct err err;
	static const char like[] = "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
				   "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
				   "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

	struct verifier salt;

	(void)state;
	assert_true(verifier_read(like, &salt));
	memset(salt.stored, 0, sizeof(salt.stored));
	assert_int_equal(password_app_hash("pencil", &salt, hash, &err), 0);
	assert_string_equal(hash, like);
}

static void
test_acceptable(void **state)
{
	char long_one[PASSWORD_MAX + 2];

	(void)state;
	memset(long_one, 'x', sizeof(long_one));
	long_one[PASSWORD_MAX + 1] = '\0';
	assert_int_equal(password_acceptable(long_one, NULL), -1);
	long_one[PASSWORD_MAX] = '\0';
	assert_int_equal(password_acceptable(long_one, NULL), 0);
	assert_int_equal(password_acceptable("", NULL), -1);
	assert_int_equal(password_acceptable("a\nb", NULL), -1);
}

/* A guess costs the same whether the user exists or not, and whatever passwords he has: time tells nobody who does. */
static void
test_every_wrong_guess_costs_the_same(void **state)
{
	static const char *const guesses[] = { "wrong", "", "abcde-fghij-klmno-pqrst-uvwxy-234567",
		"p\xc3\xa4ss" };
	char main[PASSWORD_HASH_SIZE], app[PASSWORD_HASH_SIZE], typed[PASSWORD_APP_SIZE];
	struct verifier salt = { .iterations = VERIFIER_ITERATIONS, .salt_len = VERIFIER_SALT };
	struct password_set sets[5];
	struct err err;

	(void)state;
	assert_int_equal(password_hash("secret", main, &err), 0);
	assert_int_equal(password_app_make(typed, &err), 0);
	assert_int_equal(password_app_hash(typed, &salt, app, &err), 0);
	set_of(&sets[0], "", ""); /* nobody */
	set_of(&sets[1], main, "");
	set_of(&sets[2], "", app);
	set_of(&sets[3], main, app);
	sets[4] = sets[3];
	for (int i = 0; i < PASSWORD_APPS_MAX; i++)
		memcpy(sets[4].apps[i], app, sizeof(app));
	assert_int_equal(password_app_make(typed, &err), 0); /* another one */
	for (size_t g = 0; g <= COUNT(guesses); g++) {
		const char *guess = g < COUNT(guesses) ? guesses[g] : typed;
		unsigned rounds = 0;

		for (size_t i = 0; i < COUNT(sets); i++) {
			yescrypts = pbkdf2_rounds = 0;
			assert_int_equal(password_check(&sets[i], guess), -1);
			rounds = i == 0 ? pbkdf2_rounds : rounds;
			if (yescrypts != 1 || pbkdf2_rounds != rounds)
				fail_msg("\"%s\", set %zu: %u yescrypt, %u rounds", guess, i,
				    yescrypts, pbkdf2_rounds);
		}
		assert_int_equal(rounds, g == COUNT(guesses) ? VERIFIER_ITERATIONS : 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_main),
		cmocka_unit_test(test_bad_hashes),
		cmocka_unit_test(test_imported),
		cmocka_unit_test(test_app),
		cmocka_unit_test(test_app_form),
		cmocka_unit_test(test_rfc7677),
		cmocka_unit_test(test_acceptable),
		cmocka_unit_test(test_every_wrong_guess_costs_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
