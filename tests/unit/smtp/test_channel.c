/* test_channel - two channels on a socket pair: ceilings, pauses, deadlines, ends, and TLS with
 * certificates made here */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/tls.h"
#include "smtp/proto/channel.h"

#define MANY (300 * 1000)

struct end { /* one side and what happened to it */
	struct channel *c;
	size_t got, take; /* bytes consumed; most to consume at once (0: none) */
	unsigned events[CHANNEL_FAILED + 1];
	bool free_on_input, sum_ok;
	const char *error;
};

static struct event_base *base;
static struct end a, b;

static void
on_event(struct channel *c, enum channel_event event, void *arg)
{
	struct end *e = arg;

	e->events[event]++;
	if (event == CHANNEL_FAILED)
		e->error = channel_error(c);
	if (event != CHANNEL_INPUT)
		return;
	if (e->free_on_input) {
		channel_free(&e->c);
		return;
	}
	for (size_t n; (n = channel_input(c).len) > 0 && e->take > 0; channel_consume(c, n)) {
		if (n > e->take)
			n = e->take;
		for (size_t i = 0; i < n; i++)
			if (channel_input(c).at[i] != (char)(e->got + i))
				e->sum_ok = false;
		e->got += n;
	}
}

static void
run(bool (*until)(void))
{
	for (int i = 0; i < 100000 && !until(); i++)
		event_base_loop(base, EVLOOP_ONCE);
	assert_true(until());
}

static int
setup(void **state)
{
	int pair[2];

	(void)state;
	base = event_base_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	a = (struct end){ .take = SIZE_MAX, .sum_ok = true };
	b = a;
	a.c = channel_new(base, pair[0], false, 1000, 2 * MANY, on_event, &a);
	b.c = channel_new(base, pair[1], false, 1000, 2 * MANY, on_event, &b);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	channel_free(&a.c);
	channel_free(&b.c);
	event_base_free(base);
	return 0;
}

/* Bytes 0, 1, 2, ... */
static struct slice
bytes(size_t at, size_t n)
{
	static char all[MANY + 256];

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	return (struct slice){ all + at % 256, n };
}

static bool
b_has_all(void)
{
	return b.got == MANY;
}

static bool
both_have_all(void)
{
	return a.got == MANY && b.got == MANY;
}

static void
carries_much(void **state)
{
	(void)state;
	assert_int_equal(channel_write(a.c, bytes(0, MANY)), 0);
	assert_true(channel_pending(a.c) > 0);
	run(b_has_all);
	assert_true(b.sum_ok);
	while (a.events[CHANNEL_DRAINED] == 0)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(channel_pending(a.c), 0);
	/* one byte more than may wait */
	assert_int_equal(channel_write(a.c, (struct slice){ "", 2 * MANY + 1 }), -1);
}

static bool
b_is_full(void)
{
	return channel_input(b.c).len == 1000;
}

static void
stops_at_the_ceiling(void **state)
{
	(void)state;
	b.take = 0;
	channel_write(a.c, bytes(0, MANY));
	run(b_is_full);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(channel_input(b.c).len, 1000);
	/* taken in odd pieces, nothing is lost or doubled */
	b.take = 7;
	for (size_t i = 0; i < 1000; i++)
		if (channel_input(b.c).at[i] != (char)i)
			fail();
	channel_consume(b.c, 999);
	b.got = 999;
	run(b_has_all);
	assert_true(b.sum_ok);
}

static bool
b_has_ten(void)
{
	return b.got == 10;
}

static void
corks_pauses_and_discards(void **state)
{
	(void)state;
	channel_cork(a.c);
	channel_write(a.c, bytes(0, 4));
	channel_write(a.c, bytes(4, 6));
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(b.events[CHANNEL_INPUT], 0);
	channel_pause(b.c);
	channel_uncork(a.c);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(b.got, 0);
	channel_resume(b.c);
	run(b_has_ten);
	assert_int_equal(b.events[CHANNEL_INPUT], 1);
	b.take = 0;
	channel_write(a.c, bytes(0, 100));
	while (channel_input(b.c).len < 100)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(channel_discard(b.c), 100);
	assert_int_equal(channel_input(b.c).len, 0);
}

static bool
b_timed_out(void)
{
	return b.events[CHANNEL_TIMEOUT] > 0;
}

static bool
b_at_end(void)
{
	return b.events[CHANNEL_EOF] > 0;
}

static void
tells_ends(void **state)
{
	(void)state;
	channel_deadline(b.c, 5000);
	channel_deadline(b.c, 0);
	channel_deadline(b.c, 5);
	run(b_timed_out);
	channel_write(a.c, bytes(0, 10));
	channel_free(&a.c);
	assert_null(a.c);
	run(b_at_end);
	assert_int_equal(b.got, 10);
	/* nobody reads: told once, later writes are dropped */
	channel_text(b.c, "x");
	channel_text(b.c, "x");
	event_base_loop(base, EVLOOP_NONBLOCK);
	channel_text(b.c, "x");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(b.events[CHANNEL_FAILED], 1);
	assert_string_equal(b.error, "Broken pipe");
}

static bool
b_is_free(void)
{
	return b.c == NULL;
}

static void
may_be_freed_inside(void **state)
{
	(void)state;
	b.free_on_input = true;
	channel_write(a.c, bytes(0, 10));
	run(b_is_free);
}

/* -- TLS */

static int
pem_fd(void (*write_pem)(BIO *, void *), void *what)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int fd = memfd_create("pem", 0);
	char *at;
	long len;

	write_pem(bio, what);
	len = BIO_get_mem_data(bio, &at);
	assert_int_equal(write(fd, at, (size_t)len), len);
	BIO_free(bio);
	return fd;
}

static void
write_cert(BIO *bio, void *cert)
{
	PEM_write_bio_X509(bio, cert);
}

static void
write_key(BIO *bio, void *key)
{
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
}

static int
add(struct tls_server *t, const char *name, const char *cn, bool other_key)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *wrong = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	struct err err = { 0 };
	int cert_fd, key_fd, rc;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(
	    subject, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(cert, subject);
	X509_set_pubkey(cert, key);
	X509_sign(cert, key, EVP_sha256());
	cert_fd = pem_fd(write_cert, cert);
	key_fd = pem_fd(write_key, other_key ? wrong : key);
	rc = tls_server_add(t, name, cert_fd, key_fd, &err);
	close(cert_fd);
	close(key_fd);
	X509_free(cert);
	EVP_PKEY_free(key);
	EVP_PKEY_free(wrong);
	return rc;
}

static bool
both_secured(void)
{
	return a.events[CHANNEL_SECURED] == 1 && b.events[CHANNEL_SECURED] == 1;
}

static void
speaks_tls(void **state)
{
	struct err err = { 0 };
	struct tls_server *server = tls_server_new(&err);
	SSL_CTX *client = tls_client_new(NULL, false, &err);
	char what[100], cn[100] = "";
	X509 *peer;

	(void)state;
	assert_null(tls_server_ctx(server));
	assert_int_equal(add(server, "", "mx.example", true), -1);
	assert_int_equal(add(server, "", "mx.example", false), 0);
	assert_int_equal(add(server, "", "mx.example", false), -1); /* of one kind of key, one */
	assert_int_equal(add(server, "*.other.example", "other", false), 0);
	/* plain first: what waits leaves before the handshake */
	channel_write(b.c, bytes(0, 5000));
	assert_int_equal(channel_start_tls(b.c, tls_server_ctx(server), true, NULL), 0);
	while (a.got < 5000)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(channel_start_tls(a.c, client, false, "x.other.example"), 0);
	run(both_secured);
	peer = SSL_get1_peer_certificate(channel_ssl(a.c));
	X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, cn, sizeof(cn));
	assert_string_equal(cn, "other");
	X509_free(peer);
	tls_describe(channel_ssl(a.c), what, sizeof(what));
	assert_true(strncmp(what, "TLSv1.3 TLS_", 12) == 0);
	a.got = b.got = 0;
	channel_write(a.c, bytes(0, MANY));
	channel_write(b.c, bytes(0, MANY));
	run(both_have_all);
	assert_true(a.sum_ok && b.sum_ok);
	channel_free(&a.c);
	run(b_at_end);
	tls_server_free(&server);
	SSL_CTX_free(client);
}

static bool
b_has_some(void)
{
	return b.got >= 100;
}

/* What comes with the last record of the handshake is read with it: the socket never becomes readable again. */
static void
speaks_at_once(void **state)
{
	struct err err = { 0 };
	struct tls_server *server = tls_server_new(&err);
	SSL_CTX *client = tls_client_new(NULL, false, &err);

	(void)state;
	assert_int_equal(add(server, "", "mx.example", false), 0);
	channel_start_tls(b.c, tls_server_ctx(server), true, NULL);
	channel_start_tls(a.c, client, false, NULL);
	channel_write(a.c, bytes(0, 100));
	run(b_has_some);
	assert_int_equal(b.got, 100);
	tls_server_free(&server);
	SSL_CTX_free(client);
}

static void
fills_up_in_tls(void **state)
{
	struct err err = { 0 };
	struct tls_server *server = tls_server_new(&err);
	SSL_CTX *client = tls_client_new(NULL, false, &err);

	(void)state;
	assert_int_equal(add(server, "", "mx.example", false), 0);
	channel_start_tls(b.c, tls_server_ctx(server), true, NULL);
	channel_start_tls(a.c, client, false, NULL);
	run(both_secured);
	/* a record holds more than the ceiling: what OpenSSL has decrypted already must not be
	 * forgotten */
	b.take = 0;
	channel_write(a.c, bytes(0, MANY));
	run(b_is_full);
	event_base_loop(base, EVLOOP_NONBLOCK);
	b.take = 333;
	channel_consume(b.c, 1000);
	b.got = 1000;
	run(b_has_all);
	assert_true(b.sum_ok);
	tls_server_free(&server);
	SSL_CTX_free(client);
}

static bool
a_failed(void)
{
	return a.events[CHANNEL_FAILED] > 0;
}

static void
verifies(void **state)
{
	struct err err = { 0 };
	struct tls_server *server = tls_server_new(&err);
	SSL_CTX *client = tls_client_new(NULL, true, &err);

	(void)state;
	if (client == NULL)
		skip(); /* this machine has no CA certificates */
	assert_int_equal(add(server, "", "mx.example", false), 0);
	channel_start_tls(b.c, tls_server_ctx(server), true, NULL);
	channel_start_tls(a.c, client, false, "mx.example");
	run(a_failed);
	assert_non_null(strstr(a.error, "self-signed"));
	tls_server_free(&server);
	SSL_CTX_free(client);
}

static void
survives_garbage(void **state)
{
	struct err err = { 0 };
	struct tls_server *server = tls_server_new(&err);

	(void)state;
	assert_int_equal(add(server, "", "mx.example", false), 0);
	channel_start_tls(b.c, tls_server_ctx(server), true, NULL);
	channel_text(a.c, "EHLO this is no hello of TLS\r\n");
	while (b.events[CHANNEL_FAILED] == 0)
		event_base_loop(base, EVLOOP_ONCE);
	assert_true(strncmp(b.error, "TLS: ", 5) == 0);
	assert_int_equal(b.events[CHANNEL_INPUT], 0);
	tls_server_free(&server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(carries_much, setup, teardown),
		cmocka_unit_test_setup_teardown(stops_at_the_ceiling, setup, teardown),
		cmocka_unit_test_setup_teardown(corks_pauses_and_discards, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(may_be_freed_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(speaks_tls, setup, teardown),
		cmocka_unit_test_setup_teardown(speaks_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(fills_up_in_tls, setup, teardown),
		cmocka_unit_test_setup_teardown(verifies, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_garbage, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN); /* as in every role: OpenSSL writes without MSG_NOSIGNAL */
	tls_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
