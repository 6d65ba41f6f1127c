/* tls - contexts for TLS 1.2 and 1.3 with authenticated ciphers only
 *
 * Each certificate has a context of its own; the name call-back of the default one moves a
 * handshake to another. Sessions are resumed by tickets only, so nothing is kept per session here.
 */
#include "base/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define NAMES_MAX 512

struct named {
	char *name;
	SSL_CTX *ctx;
};

struct tls_server {
	SSL_CTX *ctx; /* the default certificate's */
	bool loaded;
	struct named *named;
	size_t n;
};

void
tls_setup(void)
{
	unsigned char byte;

	OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	RAND_bytes(&byte, 1);
}

static int
fail(struct err *err, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return err_set(
	    err, ERR_PERMANENT, "%s: %s", what, reason != NULL ? reason : "OpenSSL failed");
}

/* What server and client contexts have in common. */
static SSL_CTX *
context_new(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
				     SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static SSL_CTX *
server_context(void)
{
	SSL_CTX *ctx = context_new(TLS_server_method());

	if (ctx != NULL)
		SSL_CTX_set_num_tickets(ctx, 1);
	return ctx;
}

/* -- PEM */

/* The file's bytes, mapped: descriptors are shared with other processes, so no read may move their
 * offset. */
static BIO *
pem_map(int fd, void **map, size_t *len)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) == -1 || st.st_size <= 0 || st.st_size > TLS_PEM_MAX)
		return NULL;
	*len = (size_t)st.st_size;
	*map = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
	return *map != MAP_FAILED ? BIO_new_mem_buf(*map, (int)*len) : NULL;
}

static int
chain_read(SSL_CTX *ctx, BIO *bio)
{
	X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	int ok = cert != NULL && SSL_CTX_use_certificate(ctx, cert) == 1;

	X509_free(cert);
	while (ok && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		ok = SSL_CTX_add0_chain_cert(ctx, cert) == 1;
		if (!ok)
			X509_free(cert);
	}
	if (ok)
		ERR_clear_error(); /* "no start line": the end of the file */
	return ok ? 0 : -1;
}

/* An encrypted key must not make us ask a terminal. */
static int
no_password(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int
key_read(SSL_CTX *ctx, BIO *bio)
{
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	int ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1;

	EVP_PKEY_free(key);
	return ok ? 0 : -1;
}

static int
pem_load(SSL_CTX *ctx, int fd, int (*take)(SSL_CTX *, BIO *))
{
	void *map = MAP_FAILED;
	size_t len = 0;
	BIO *bio = pem_map(fd, &map, &len);
	int rc = bio != NULL ? take(ctx, bio) : -1;

	BIO_free(bio);
	if (map != MAP_FAILED)
		munmap(map, len);
	return rc;
}

static int
load(SSL_CTX *ctx, int certificate_fd, int key_fd, struct err *err)
{
	ERR_clear_error();
	if (pem_load(ctx, certificate_fd, chain_read) == -1)
		return fail(err, "the certificate cannot be read");
	if (pem_load(ctx, key_fd, key_read) == -1)
		return fail(err, "the private key cannot be read");
	if (SSL_CTX_check_private_key(ctx) != 1)
		return fail(err, "certificate and private key do not belong together");
	return 0;
}

/* -- which certificate */

static bool
name_matches(const char *pattern, const char *name)
{
	const char *dot = strchr(name, '.');

	if (pattern[0] == '*' && pattern[1] == '.')
		return dot != NULL && slice_eq_nocase(slice_of(pattern + 1), slice_of(dot));
	return slice_eq_nocase(slice_of(pattern), slice_of(name));
}

static int
on_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_server *t = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	for (size_t i = 0; i < t->n; i++) {
		if (name_matches(t->named[i].name, name)) {
			SSL_set_SSL_CTX(ssl, t->named[i].ctx);
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_OK;
}

struct tls_server *
tls_server_new(struct err *err)
{
	struct tls_server *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->ctx = server_context()) == NULL) {
		free(t);
		fail(err, "TLS");
		return NULL;
	}
	SSL_CTX_set_tlsext_servername_callback(t->ctx, on_name);
	SSL_CTX_set_tlsext_servername_arg(t->ctx, t);
	return t;
}

int
tls_server_add(
    struct tls_server *t, const char *name, int certificate_fd, int key_fd, struct err *err)
{
	struct named *more;
	SSL_CTX *ctx;

	if (name[0] == '\0') {
		t->loaded = load(t->ctx, certificate_fd, key_fd, err) == 0;
		return t->loaded ? 0 : -1;
	}
	if (t->n == NAMES_MAX)
		return err_set(err, ERR_USAGE, "more than %d certificates", NAMES_MAX);
	if ((ctx = server_context()) == NULL)
		return fail(err, "TLS");
	if (load(ctx, certificate_fd, key_fd, err) == -1) {
		SSL_CTX_free(ctx);
		return err_context(err, "sni \"%s\"", name);
	}
	more = reallocarray(t->named, t->n + 1, sizeof(*more));
	if (more != NULL)
		t->named = more;
	if (more == NULL || (more[t->n].name = strdup(name)) == NULL) {
		SSL_CTX_free(ctx);
		return err_set(err, ERR_TEMPORARY, "memory is gone");
	}
	more[t->n++].ctx = ctx;
	return 0;
}

SSL_CTX *
tls_server_ctx(const struct tls_server *t)
{
	return t != NULL && t->loaded ? t->ctx : NULL;
}

void
tls_server_free(struct tls_server **tp)
{
	struct tls_server *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->named[i].name);
		SSL_CTX_free(t->named[i].ctx);
	}
	/* handshakes under way hold the context, not us */
	SSL_CTX_set_tlsext_servername_callback(t->ctx, NULL);
	SSL_CTX_free(t->ctx);
	free(t->named);
	free(t);
}

SSL_CTX *
tls_client_new(const char *ca_file, bool required, struct err *err)
{
	SSL_CTX *ctx = context_new(TLS_client_method());
	int ok;

	if (ctx == NULL) {
		fail(err, "TLS");
		return NULL;
	}
	if (ca_file == NULL || ca_file[0] == '\0')
		ok = SSL_CTX_set_default_verify_paths(ctx) == 1;
	else
		ok = SSL_CTX_load_verify_locations(ctx, ca_file, NULL) == 1;
	if (!ok && required) {
		fail(err, "the CA certificates cannot be read");
		SSL_CTX_free(ctx);
		return NULL;
	}
	ERR_clear_error();
	SSL_CTX_set_verify(ctx, required ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	return ctx;
}

void
tls_describe(const SSL *ssl, char *out, size_t size)
{
	const char *cipher = SSL_get_cipher_name(ssl);

	snprintf(out, size, "%s %s", SSL_get_version(ssl), cipher != NULL ? cipher : "?");
}
