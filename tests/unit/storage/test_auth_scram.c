/* auth_scram: RFC 7677's exchange, a client of our own for every binding, and what must be refused */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "storage/auth_scram.h"

#define PENCIL                                                                                     \
	"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"                                            \
	"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                                            \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define CNONCE "rOprNGfwEbeRWgbNEkqO"
#define SNONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define FINAL_WITHOUT "c=biws,r=" CNONCE SNONCE
#define PROOF ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_PROOF "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const unsigned char exporter[32] = "exporter exporter exporter expo";
static const unsigned char end_point[48] = "end point";
static const struct scram_bindings both = { { (const char *)exporter, sizeof(exporter) },
	{ (const char *)end_point, sizeof(end_point) } };

static struct verifier
pencil(void)
{
	struct verifier v = { .iterations = 0 };

	assert_true(verifier_read(PENCIL, &v));
	return v;
}

static void
test_rfc7677(void **state)
{
	struct scram *s = scram_new(false, &both);
	struct password_set set = { .main = "" };
	struct verifier v = pencil();
	struct buf out;

	(void)state;
	strcpy(set.apps[4], PENCIL);
	buf_init(&out, 4096);
	assert_int_equal(scram_first(s, SLICE("n,,n=user,r=" CNONCE)), 0);
	assert_string_equal(scram_user(s), "user");
	assert_int_equal(scram_challenge(s, &v, SNONCE, &out), 0);
	assert_string_equal(
	    buf_cstr(&out), "r=" CNONCE SNONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
	assert_int_equal(scram_final(s, SLICE(FINAL_WITHOUT PROOF)), 0);
	assert_int_equal(scram_prove(s, &set, &out), 5);
	assert_string_equal(buf_cstr(&out), SERVER_PROOF);
	buf_free(&out);
	scram_free(&s);
	assert_null(s);
}

/* -- first messages */

static const struct {
	const char *message, *user; /* NULL: refused */
	bool plus;
} firsts[] = {
	{ "n,,n=user,r=abc", "user", false },
	{ "n,a=user,n=user,r=abc", "user", false },
	{ "n,a=USER@x,n=user@X,r=abc", "user@X", false },
	{ "n,,n=a=2Cb=3Dc,r=abc", "a,b=c", false },
	{ "n,,n=user,r=abc,x=1,Y=2", "user", false },
	{ "p=tls-exporter,,n=user,r=abc", "user", true },
	{ "p=tls-server-end-point,,n=user,r=abc", "user", true },
	{ "y,,n=user,r=abc", NULL, false }, /* PLUS was offered */
	{ "y,,n=user,r=abc", NULL, true },
	{ "n,,n=user,r=abc", NULL, true },
	{ "p=tls-exporter,,n=user,r=abc", NULL, false },
	{ "p=tls-unique,,n=user,r=abc", NULL, true },
	{ "p=,,n=user,r=abc", NULL, true },
	{ "p=tls-exporterx,,n=user,r=abc", NULL, true },
	{ "N,,n=user,r=abc", NULL, false },
	{ "n,a=other,n=user,r=abc", NULL, false },
	{ "n,a=,n=user,r=abc", "user", false },
	{ "n,x,n=user,r=abc", NULL, false },
	{ "n,,m=ext,n=user,r=abc", NULL, false },
	{ "n,,n=user,r=abc,m=1", NULL, false },
	{ "n,,n=,r=abc", NULL, false },
	{ "n,,n=user,r=", NULL, false },
	{ "n,,n=user", NULL, false },
	{ "n,,n=user,r=a b", NULL, false },
	{ "n,,n=user,r=abc,", NULL, false },
	{ "n,,n=us=er,r=abc", NULL, false },
	{ "n,,n=us=2cer,r=abc", NULL, false },
	{ "n,,n=user=,r=abc", NULL, false },
	{ "n,,r=abc,n=user", NULL, false },
	{ "n,n=user,r=abc", NULL, false },
	{ "n", NULL, false },
	{ "", NULL, false },
};

static void
test_firsts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(firsts); i++) {
		struct scram *s = scram_new(firsts[i].plus, &both);
		int rc = scram_first(s, slice_of(firsts[i].message));

		if (rc != (firsts[i].user != NULL ? 0 : -1))
			fail_msg("%s: %d", firsts[i].message, rc);
		if (rc == 0)
			assert_string_equal(scram_user(s), firsts[i].user);
		scram_free(&s);
	}
}

static void
test_long_ones(void **state)
{
	char text[SCRAM_MESSAGE_MAX + 2];
	struct scram *s = scram_new(false, &both);

	(void)state;
	assert_int_equal(scram_first(s, SLICE("n,,n=us\0er,r=abc")), -1);
	scram_free(&s);
	s = scram_new(false, &both);
	memset(text, 'x', sizeof(text));
	memcpy(text, "n,,n=u,r=", 9);
	assert_int_equal(scram_first(s, (struct slice){ text, 9 + SCRAM_NONCE_MAX + 1 }), -1);
	scram_free(&s);
	s = scram_new(false, &both);
	assert_int_equal(scram_first(s, (struct slice){ text, sizeof(text) }), -1);
	scram_free(&s);
}

/* A binding that the connection does not have cannot be used. */
static void
test_no_binding(void **state)
{
	const struct scram_bindings none = { { NULL, 0 }, { NULL, 0 } };
	struct scram *s = scram_new(true, &none);

	(void)state;
	assert_int_equal(scram_first(s, SLICE("p=tls-exporter,,n=user,r=abc")), -1);
	scram_free(&s);
	s = scram_new(true, &none);
	assert_int_equal(scram_first(s, SLICE("p=tls-server-end-point,,n=user,r=abc")), -1);
	scram_free(&s);
}

/* -- last messages to RFC 7677's challenge */

static const struct {
	const char *message;
	int final, slot;
} finals[] = {
	{ FINAL_WITHOUT PROOF, 0, 1 },
	{ FINAL_WITHOUT ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", 0, -1 },
	{ FINAL_WITHOUT ",x=1" PROOF, 0, -1 }, /* it is signed, too */
	{ "c=eSws,r=" CNONCE SNONCE PROOF, -1, -1 },
	{ "c=biws=,r=" CNONCE SNONCE PROOF, -1, -1 },
	{ "c=,r=" CNONCE SNONCE PROOF, -1, -1 },
	{ "c=biws,r=" CNONCE PROOF, -1, -1 },
	{ "c=biws,r=" CNONCE SNONCE "x" PROOF, -1, -1 },
	{ "c=biws,r=x" CNONCE SNONCE PROOF, -1, -1 },
	{ "r=" CNONCE SNONCE ",c=biws" PROOF, -1, -1 },
	{ FINAL_WITHOUT ",m=1" PROOF, -1, -1 },
	{ FINAL_WITHOUT PROOF ",x=1", -1, -1 },
	{ FINAL_WITHOUT, -1, -1 },
	{ FINAL_WITHOUT ",p=", -1, -1 },
	{ FINAL_WITHOUT ",p=AAAA", -1, -1 },
	{ FINAL_WITHOUT ",p=dHzbZapWIk4jUhN!Ute9ytag9zjfMHgsqmmiz7AndVQ=", -1, -1 },
	{ "", -1, -1 },
};

static void
test_finals(void **state)
{
	struct password_set set = { .main = "" };
	struct verifier v = pencil();
	struct buf out;

	(void)state;
	strcpy(set.apps[0], PENCIL);
	buf_init(&out, 4096);
	for (size_t i = 0; i < COUNT(finals); i++) {
		struct scram *s = scram_new(false, &both);
		int rc;

		assert_int_equal(scram_first(s, SLICE("n,,n=user,r=" CNONCE)), 0);
		assert_int_equal(scram_challenge(s, &v, SNONCE, &out), 0);
		rc = scram_final(s, slice_of(finals[i].message));
		if (rc != finals[i].final)
			fail_msg("%s: %d", finals[i].message, rc);
		if (rc == 0)
			assert_int_equal(scram_prove(s, &set, &out), finals[i].slot);
		scram_free(&s);
	}
	buf_free(&out);
}

/* -- a client */

static void
hmac(const unsigned char *key, const char *text, unsigned char out[32])
{
	unsigned len = 32;

	assert_non_null(
	    HMAC(EVP_sha256(), key, 32, (const unsigned char *)text, strlen(text), out, &len));
}

/* The proof of `password` for what was said. */
static void
proof_of(const char *password, const struct verifier *salt, const char *said, char out[64])
{
	unsigned char salted[32], client[32], stored[32], signature[32];

	PKCS5_PBKDF2_HMAC(password, -1, salt->salt, (int)salt->salt_len, salt->iterations,
	    EVP_sha256(), 32, salted);
	hmac(salted, "Client Key", client);
	SHA256(client, 32, stored);
	hmac(stored, said, signature);
	for (int i = 0; i < 32; i++)
		client[i] ^= signature[i];
	EVP_EncodeBlock((unsigned char *)out, client, 32);
}

/* A whole exchange; `cb` is what the client believes the binding to be. */
static int
exchange(const char *flag, const void *cb, size_t cb_len, const char *password,
    const struct verifier *salt, const struct password_set *set)
{
	struct scram *s = scram_new(flag[0] == 'p', &both);
	char first[200], final[400], said[1000], proof[64];
	unsigned char c[200], c64[300];
	struct buf out;
	int n, slot = -1;

	buf_init(&out, 4096);
	snprintf(first, sizeof(first), "%s,,n=user,r=abc", flag);
	assert_int_equal(scram_first(s, slice_of(first)), 0);
	assert_int_equal(scram_challenge(s, salt, "xyz", &out), 0);
	n = snprintf((char *)c, sizeof(c), "%s,,", flag);
	memcpy(c + n, cb, cb_len);
	EVP_EncodeBlock(c64, c, n + (int)cb_len);
	snprintf(final, sizeof(final), "c=%s,r=abcxyz", c64);
	snprintf(said, sizeof(said), "n=user,r=abc,%s,%s", buf_cstr(&out), final);
	proof_of(password, salt, said, proof);
	snprintf(final + strlen(final), sizeof(final) - strlen(final), ",p=%s", proof);
	if (scram_final(s, slice_of(final)) == 0)
		slot = scram_prove(s, set, &out);
	buf_free(&out);
	scram_free(&s);
	return slot;
}

/* Each app password is found in its slot, whatever lies in the others. */
static void
test_slots(void **state)
{
	struct verifier salt = pencil();
	struct password_set set = { .main = "{CRYPT}$y$x" };
	char password[20];
	struct err err;

	(void)state;
	for (int i = 0; i < PASSWORD_APPS_MAX; i++) {
		snprintf(password, sizeof(password), "password %d", i + 1);
		assert_int_equal(password_app_hash(password, &salt, set.apps[i], &err), 0);
	}
	strcpy(set.apps[5], "");
	for (int i = 0; i < PASSWORD_APPS_MAX; i++) {
		snprintf(password, sizeof(password), "password %d", i + 1);
		assert_int_equal(exchange("n", "", 0, password, &salt, &set), i == 5 ? -1 : i + 1);
		assert_int_equal(
		    exchange("p=tls-exporter", exporter, sizeof(exporter), password, &salt, &set),
		    i == 5 ? -1 : i + 1);
	}
	assert_int_equal(exchange("n", "", 0, "password 9", &salt, &set), -1);
	salt.iterations++; /* another salt than theirs was told */
	assert_int_equal(exchange("n", "", 0, "password 1", &salt, &set), -1);
}

static void
test_bindings(void **state)
{
	struct verifier salt = pencil();
	struct password_set set = { .main = "" }, none = { .main = "" };
	unsigned char other[32];

	(void)state;
	strcpy(set.apps[0], PENCIL);
	memcpy(other, exporter, sizeof(other));
	other[31] ^= 1;
	assert_int_equal(exchange("p=tls-exporter", exporter, 32, "pencil", &salt, &set), 1);
	assert_int_equal(exchange("p=tls-exporter", other, 32, "pencil", &salt, &set), -1);
	assert_int_equal(exchange("p=tls-exporter", exporter, 31, "pencil", &salt, &set), -1);
	assert_int_equal(exchange("p=tls-exporter", end_point, 48, "pencil", &salt, &set), -1);
	assert_int_equal(
	    exchange("p=tls-server-end-point", end_point, 48, "pencil", &salt, &set), 1);
	assert_int_equal(
	    exchange("p=tls-server-end-point", exporter, 32, "pencil", &salt, &set), -1);
	assert_int_equal(exchange("n", "", 0, "pencil", &salt, &set), 1);
	assert_int_equal(exchange("n", exporter, 32, "pencil", &salt, &set), -1);
	assert_int_equal(exchange("n", "", 0, "pencil", &salt, &none), -1);
}

/* Keys of zeros are what an empty slot is compared as. */
static void
test_nothing_opens(void **state)
{
	struct verifier salt = pencil();
	struct password_set set;

	(void)state;
	for (int i = 0; i < PASSWORD_APPS_MAX; i++)
		strcpy(set.apps[i], "{SCRAM-SHA-256}4096,broken");
	strcpy(set.main, PENCIL); /* a main password never serves SCRAM */
	assert_int_equal(exchange("n", "", 0, "pencil", &salt, &set), -1);
	assert_int_equal(exchange("n", "", 0, "", &salt, &set), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rfc7677),
		cmocka_unit_test(test_firsts), cmocka_unit_test(test_long_ones),
		cmocka_unit_test(test_no_binding), cmocka_unit_test(test_finals),
		cmocka_unit_test(test_slots), cmocka_unit_test(test_bindings),
		cmocka_unit_test(test_nothing_opens) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
