/* dkim_key, cert: keys and certificates as files */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/cert.h"
#include "filters/dkim_key.h"

static char folder[] = "/tmp/test-keys-XXXXXX";

static int
set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int
tear_down(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

struct seen {
	unsigned n;
	char first[DKIM_SELECTOR_SIZE];
};

static int
see(void *arg, const char *domain, const char *selector, const char *path)
{
	struct seen *s = arg;
	char record[DKIM_RECORD_SIZE];
	enum dkim_algorithm algorithm;
	struct stat st;
	struct err err;
	int fd = open(path, O_RDONLY);

	assert_string_equal(domain, "example.test");
	assert_int_not_equal(fd, -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(dkim_key_record(fd, &algorithm, record, &err), 0);
	if (s->n++ == 0) {
		snprintf(s->first, sizeof(s->first), "%s", selector);
		assert_int_equal(algorithm, DKIM_RSA);
		assert_memory_equal(record, "v=DKIM1; k=rsa; p=MII", 21);
	} else {
		assert_int_equal(algorithm, DKIM_ED25519);
		assert_memory_equal(record, "v=DKIM1; k=ed25519; p=", 22);
		assert_int_equal(strlen(record), 22 + 44);
	}
	close(fd);
	return 0;
}

static void
keys(void **state)
{
	char one[DKIM_SELECTOR_SIZE], two[DKIM_SELECTOR_SIZE];
	struct seen s = { 0, "" };
	struct err err = { .kind = ERR_NONE };

	(void)state;
	assert_int_equal(dkim_key_each(see, &s, &err), 0);
	assert_int_equal(s.n, 0);
	assert_int_equal(dkim_key_create("example.test", DKIM_RSA, DKIM_ACTIVE, one, &err), 0);
	assert_int_equal(dkim_key_create("example.test", DKIM_ED25519, DKIM_NEXT, two, &err), 0);
	assert_string_not_equal(one, two);
	assert_int_equal(dkim_key_each(see, &s, &err), 0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.first, one);
}

static void
bad_domains(void **state)
{
	static const char *const bad[] = { "", "../etc", "a/b", ".", "..", "a..b", "Upper.test",
		"-x.test", "a b" };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		char selector[DKIM_SELECTOR_SIZE];
		struct err err = { .kind = ERR_NONE };

		assert_int_equal(dkim_key_create(bad[i], DKIM_RSA, DKIM_ACTIVE, selector, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
	}
}

static void
certificates(void **state)
{
	struct cert_look look;
	struct stat st;
	struct err err;

	(void)state;
	assert_int_equal(cert_make("mx.example.test", "cert.pem", "key.pem", &err), 0);
	assert_int_equal(stat("key.pem", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(cert_look("cert.pem", "key.pem", "mx.example.test", &look, &err), 0);
	assert_true(look.names_host && look.self_signed && look.key_fits && look.started);
	assert_true(look.until > time(NULL) + 3600 * 24 * 3600);
	assert_int_equal(cert_look("cert.pem", NULL, "other.test", &look, &err), 0);
	assert_false(look.names_host);
	assert_int_equal(cert_make("mx.example.test", "cert.pem", "key.pem", &err), -1);
	assert_int_equal(cert_make("mx.example.test", "cert.pem", "key2.pem", &err), -1);
	assert_int_equal(access("key2.pem", F_OK), -1);
	assert_int_equal(cert_make("mx.example.test", "cert2.pem", "key2.pem", &err), 0);
	assert_int_equal(cert_look("cert.pem", "key2.pem", "mx.example.test", &look, &err), 0);
	assert_false(look.key_fits);
	assert_int_equal(cert_look("nothing.pem", NULL, "x", &look, &err), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(keys),
		cmocka_unit_test(bad_domains), cmocka_unit_test(certificates) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
