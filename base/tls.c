/* tls - contexts for TLS 1.2 and 1.3 with authenticated ciphers only
 *
 * Each certificate has a context of its own; the name call-back of the default one moves a
 * handshake to another. Sessions are resumed by tickets only, so nothing is kept per session here.
 */
#include "base/tls.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/tickets.h"

#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define NAMES_MAX 512

struct named {
	char *name;
	SSL_CTX *ctx;
};

struct tls_server {
	SSL_CTX *ctx; /* the default certificate's, or NULL */
	struct named *named;
	size_t n;
};

static EVP_CIPHER *ticket_cipher; /* fetched once: it costs as much as a handshake's mathematics */

void
tls_setup(void)
{
	unsigned char byte;

	OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	RAND_bytes(&byte, 1);
	if (ticket_cipher == NULL)
		ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
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

/* -- what a server has: tickets, ALPN */

static int
ticket_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof(digest) - 1),
		OSSL_PARAM_END,
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

/* The first is in use, a ticket of the one before is taken and replaced; others are as good as
 * none. */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seal)
{
	struct ticket_key key;
	int rc = 0;

	(void)ssl;
	if (seal) {
		if (tickets_get(0, &key) && RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 &&
		    EVP_EncryptInit_ex2(cipher, ticket_cipher, key.cipher, iv, NULL) == 1 &&
		    ticket_mac(mac, &key) == 1) {
			memcpy(name, key.name, sizeof(key.name));
			rc = 1;
		}
		explicit_bzero(&key, sizeof(key));
		return rc;
	}
	for (unsigned i = 0; rc == 0 && tickets_get(i, &key); i++)
		if (memcmp(name, key.name, sizeof(key.name)) == 0)
			rc = EVP_DecryptInit_ex2(cipher, ticket_cipher, key.cipher, iv, NULL) == 1 &&
				     ticket_mac(mac, &key) == 1
				 ? (i == 0 ? 1 : 2)
				 : -1;
	explicit_bzero(&key, sizeof(key));
	return rc;
}

/* RFC 7301: whoever asks for protocols and not for this one means another server (a browser that
 * was led here, say). */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
    unsigned in_len, void *arg)
{
	static const char wanted[] = "smtp";

	(void)ssl;
	(void)arg;
	for (unsigned i = 0; i < in_len && in[i] < in_len - i; i += 1u + in[i]) {
		if (in[i] != sizeof(wanted) - 1 || memcmp(in + i + 1, wanted, in[i]) != 0)
			continue;
		*out = in + i + 1;
		*out_len = in[i];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *
server_context(void)
{
	struct ticket_key key;
	SSL_CTX *ctx = context_new(TLS_server_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_timeout(ctx, TICKETS_LIFE_S);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_recv_max_early_data(ctx, 0);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	if (ticket_cipher != NULL && tickets_get(0, &key))
		SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	explicit_bzero(&key, sizeof(key));
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

static bool
is_mismatch(unsigned long code)
{
	int reason = ERR_GET_REASON(code);

	return ERR_GET_LIB(code) == ERR_LIB_X509 &&
	       (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH);
}

static int
load(SSL_CTX *ctx, int certificate_fd, int key_fd, struct err *err)
{
	ERR_clear_error();
	if (pem_load(ctx, certificate_fd, chain_read) == -1)
		return fail(err, "the certificate cannot be read");
	if (pem_load(ctx, key_fd, key_read) == -1 && !is_mismatch(ERR_peek_last_error()))
		return fail(err, "the private key cannot be read");
	if (SSL_CTX_check_private_key(ctx) == 1)
		return 0;
	ERR_clear_error();
	return err_set(err, ERR_PERMANENT, "certificate and private key do not belong together");
}

/* -- which certificate */

/* "*.x" serves one label below x (RFC 6125 6.4.3). */
static bool
wildcard_matches(const char *pattern, const char *name)
{
	const char *dot = strchr(name, '.');

	return pattern[0] == '*' && pattern[1] == '.' && dot != NULL && dot > name &&
	       slice_eq_nocase(slice_of(pattern + 1), slice_of(dot));
}

/* The exact name counts more than one with a star; NULL: none of ours. */
static SSL_CTX *
context_of(const struct tls_server *t, const char *name)
{
	SSL_CTX *found = NULL;

	for (size_t i = 0; i < t->n; i++) {
		if (slice_eq_nocase(slice_of(t->named[i].name), slice_of(name)))
			return t->named[i].ctx;
		if (found == NULL && wildcard_matches(t->named[i].name, name))
			found = t->named[i].ctx;
	}
	return found;
}

static int
on_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *ctx;

	(void)alert;
	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	/* a name that we do not know gets the default certificate: the client decides */
	if ((ctx = context_of(arg, name)) != NULL)
		SSL_set_SSL_CTX(ssl, ctx);
	return SSL_TLSEXT_ERR_OK;
}

struct tls_server *
tls_server_new(struct err *err)
{
	struct tls_server *t = calloc(1, sizeof(*t));

	if (t == NULL)
		err_set(err, ERR_TEMPORARY, "memory is gone");
	return t;
}

static SSL_CTX *
loaded_context(int certificate_fd, int key_fd, struct err *err)
{
	SSL_CTX *ctx = server_context();

	if (ctx == NULL) {
		fail(err, "TLS");
	} else if (load(ctx, certificate_fd, key_fd, err) == -1) {
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

/* Takes the context over. */
static int
put(struct tls_server *t, const char *name, SSL_CTX *ctx, struct err *err)
{
	struct named *more;

	if (name[0] == '\0') {
		SSL_CTX_free(t->ctx);
		t->ctx = ctx;
		SSL_CTX_set_tlsext_servername_callback(t->ctx, on_name);
		SSL_CTX_set_tlsext_servername_arg(t->ctx, t);
		return 0;
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

int
tls_server_add(
    struct tls_server *t, const char *name, int certificate_fd, int key_fd, struct err *err)
{
	SSL_CTX *ctx;

	if (t->n == NAMES_MAX)
		return err_set(err, ERR_USAGE, "more than %d certificates", NAMES_MAX);
	ctx = loaded_context(certificate_fd, key_fd, err);
	if (ctx == NULL)
		return name[0] != '\0' ? err_context(err, "sni \"%s\"", name) : -1;
	return put(t, name, ctx, err);
}

/* -- renewal */

static SSL_CTX *
context_named(const struct tls_server *t, const char *name)
{
	if (name[0] == '\0')
		return t->ctx;
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->named[i].name, name) == 0)
			return t->named[i].ctx;
	return NULL;
}

/* A context of its own with the same certificate: the other one's call-backs belong to its server.
 */
static SSL_CTX *
context_copy(SSL_CTX *from)
{
	STACK_OF(X509) *chain = NULL;
	SSL_CTX *ctx = server_context();

	if (ctx != NULL &&
	    (SSL_CTX_get0_chain_certs(from, &chain) != 1 ||
		SSL_CTX_use_cert_and_key(ctx, SSL_CTX_get0_certificate(from),
		    SSL_CTX_get0_privatekey(from), chain, 1) != 1)) {
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

int
tls_server_renew(struct tls_server *t, const struct tls_server *old, const char *name,
    int certificate_fd, int key_fd, struct err *err)
{
	SSL_CTX *was = context_named(old, name), *ctx;
	struct err why = { 0 };

	if (was == NULL)
		return tls_server_add(t, name, certificate_fd, key_fd, err);
	ctx = loaded_context(certificate_fd, key_fd, &why);
	if (ctx != NULL && put(t, name, ctx, err) == 0)
		return X509_cmp(SSL_CTX_get0_certificate(was),
			   SSL_CTX_get0_certificate(context_named(t, name))) != 0;
	if (ctx == NULL && (ctx = context_copy(was)) != NULL && put(t, name, ctx, err) == 0)
		return err_set(err, why.kind, "%s", why.text);
	return err_set(err, ERR_TEMPORARY, "memory is gone");
}

const char *
tls_server_name(const struct tls_server *t, size_t i)
{
	if (t->ctx != NULL && i-- == 0)
		return "";
	return i < t->n ? t->named[i].name : NULL;
}

bool
tls_server_until(const struct tls_server *t, const char *name, char day[static 16])
{
	SSL_CTX *ctx = context_named(t, name);
	struct tm tm;

	if (ctx == NULL || SSL_CTX_get0_certificate(ctx) == NULL ||
	    ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(ctx)), &tm) != 1)
		return false;
	return strftime(day, 16, "%Y-%m-%d", &tm) > 0;
}

SSL_CTX *
tls_server_ctx(const struct tls_server *t)
{
	return t != NULL ? t->ctx : NULL;
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
	if (t->ctx != NULL)
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
