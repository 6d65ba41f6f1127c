/* password - how passwords are kept, made and checked
 *
 * Checking does the same work whoever asks: one PBKDF2 if what was typed has the form of an app
 * password, then one crypt, against made-up hashes where there are none. All app passwords of an
 * account share a salt, so one PBKDF2 answers for all.
 *
 * Errors: ERR_USAGE for a password that may not be set, ERR_TEMPORARY when the library or memory
 * fails. A check that fails for such a reason is a wrong password: nothing opens by accident. */
#include "storage/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32, none that look alike */

/* Schemes of crypt(3) under Dovecot's names. */
static const char *const crypt_schemes[] = { "{CRYPT}", "{SHA512-CRYPT}", "{SHA256-CRYPT}",
	"{BLF-CRYPT}", "{MD5-CRYPT}" };

int
password_acceptable(const char *password, struct err *err)
{
	size_t len = strlen(password);

	if (len == 0)
		return err_set(err, ERR_USAGE, "the password is empty");
	if (len > PASSWORD_MAX)
		return err_set(
		    err, ERR_USAGE, "the password is longer than %d bytes", PASSWORD_MAX);
	if (strpbrk(password, "\r\n") != NULL)
		return err_set(err, ERR_USAGE, "the password holds a line break");
	return 0;
}

/* -- crypt(3) */

/* What follows {SCHEME}, or NULL when it is none for crypt. */
static const char *
crypt_part(const char *hash)
{
	size_t i;

	for (i = 0; i < COUNT(crypt_schemes); i++)
		if (strncasecmp(hash, crypt_schemes[i], strlen(crypt_schemes[i])) == 0)
			return hash + strlen(crypt_schemes[i]);
	return NULL;
}

int
password_hash(const char *password, char out[static PASSWORD_HASH_SIZE], struct err *err)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *hash = NULL;

	if (data != NULL && crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting)) != NULL)
		hash = crypt_r(password, setting, data);
	if (hash == NULL || hash[0] == '*')
		err_sys(err, "cannot hash the password");
	else
		snprintf(out, PASSWORD_HASH_SIZE, "{CRYPT}%s", hash);
	if (hash != NULL && hash[0] == '*')
		hash = NULL;
	if (data != NULL)
		OPENSSL_cleanse(data, sizeof(*data));
	free(data);
	return hash == NULL ? -1 : 0;
}

/* A setting for the work that leads nowhere. */
static char nobody[PASSWORD_HASH_SIZE];

static void
nobody_make(void)
{
	if (crypt_gensalt_rn("$y$", 0, NULL, 0, nobody, sizeof(nobody)) == NULL)
		strcpy(nobody, "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$");
}

static bool
crypt_check(const char *stored, const char *password)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *want = crypt_part(stored), *got = NULL;
	struct crypt_data *data;
	bool right = false;

	pthread_once(&once, nobody_make);
	data = calloc(1, sizeof(*data));
	if (data == NULL)
		return false;
	if (want != NULL)
		got = crypt_r(password, want, data);
	if (got != NULL && got[0] != '*' && strlen(got) == strlen(want))
		right = CRYPTO_memcmp(got, want, strlen(want)) == 0;
	/* nobody there, or a hash from elsewhere that was too quick: fail as slowly as all others */
	if (!right && (want == NULL || strncmp(want, "$y$", 3) != 0))
		crypt_r(password, nobody, data);
	OPENSSL_cleanse(data, sizeof(*data));
	free(data);
	return right;
}

/* -- app passwords */

/* Which app's hash fits; -1 none. */
static int
apps_check(const struct password_set *set, const char *password)
{
	struct verifier typed = { .iterations = 0 }, kept;
	int i, slot = -1;

	for (i = 0; i < PASSWORD_APPS_MAX; i++) {
		if (!verifier_read(set->apps[i], &kept))
			continue;
		if (!verifier_same_salt(&kept, &typed)) {
			typed = kept;
			if (!verifier_keys(&typed, password))
				return -1;
		}
		if (CRYPTO_memcmp(kept.stored, typed.stored, VERIFIER_KEY) == 0)
			slot = i + 1;
	}
	if (typed.iterations == 0) { /* no app password: the same work for nothing */
		typed.iterations = VERIFIER_ITERATIONS;
		typed.salt_len = VERIFIER_SALT;
		verifier_keys(&typed, password);
	}
	return slot;
}

bool
password_app_form(const char *password)
{
	size_t i;

	for (i = 0; password[i] != '\0'; i++)
		if (i >= PASSWORD_APP_SIZE - 1 ||
		    (i % 5 == 4 ? password[i] != '-' : strchr(alphabet, password[i]) == NULL))
			return false;
	return i == PASSWORD_APP_SIZE - 1;
}

int
password_app_make(char out[static PASSWORD_APP_SIZE], struct err *err)
{
	unsigned char bytes[PASSWORD_APP_SIZE - 1];
	size_t i;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return err_set(err, ERR_TEMPORARY, "there are no random numbers");
	for (i = 0; i < sizeof(bytes); i++)
		out[i] = i % 5 == 4 ? '-' : alphabet[bytes[i] % 32];
	out[i] = '\0';
	return 0;
}

int
password_app_hash(const char *password, const struct verifier *salt,
    char out[static PASSWORD_HASH_SIZE], struct err *err)
{
	struct verifier v = *salt;

	if (!verifier_keys(&v, password))
		return err_set(err, ERR_TEMPORARY, "cannot hash the app password");
	verifier_text(&v, out);
	return 0;
}

int
password_hash_known(const char *hash, struct err *err)
{
	const char *part = crypt_part(hash);

	if (strlen(hash) >= PASSWORD_HASH_SIZE || part == NULL ||
	    crypt_checksalt(part) == CRYPT_SALT_INVALID || strlen(part) < 20)
		return err_set(err, ERR_USAGE,
		    "this kind of password hash cannot be checked; {CRYPT}, {SHA512-CRYPT}, "
		    "{SHA256-CRYPT}, {BLF-CRYPT} and "
		    "{MD5-CRYPT} can");
	return 0;
}

/* -- checking */

int
password_check(const struct password_set *set, const char *password)
{
	int slot = -1;

	if (password_app_form(password))
		slot = apps_check(set, password);
	if (slot == -1 && crypt_check(set->main, password))
		slot = 0;
	return slot;
}
