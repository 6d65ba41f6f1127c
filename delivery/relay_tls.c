/* relay_tls - TLS towards peers: anybody's certificate, or one that proves the host's name
 *
 * The handshake never fails over a certificate; whoever needs a proof asks for it afterwards and so
 * can say what is wrong. The CAs are read only when a message demands a proof: most servers never
 * need them, and a check costs time at each session. */
#include "delivery/relay_tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/envelope.h"
#include "base/log.h"
#include "base/role.h"

static SSL_CTX *plain, *checking;

static SSL_CTX *
context_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

/* All certificates of the bundle; how many. */
static int
add_cas(X509_STORE *store, struct slice pem)
{
	BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
	X509 *ca;
	int n = 0;

	while (bio != NULL && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_cert(store, ca);
		X509_free(ca);
	}
	BIO_free(bio);
	ERR_clear_error();
	return n;
}

static SSL_CTX *
checking_new(void)
{
	SSL_CTX *ctx = context_new();
	struct body bundle;
	int n = 0;

	if (ctx == NULL || body_open(&bundle, (struct slice){ NULL, 0 },
			       role_file(SETUP_FILE_CA_BUNDLE, "")) == -1)
		return ctx;
	if (bundle.bytes.len > 0 && bundle.bytes.len < INT32_MAX)
		n = add_cas(SSL_CTX_get_cert_store(ctx), bundle.bytes);
	body_close(&bundle);
	if (n == 0)
		log_warning(
		    "relay.ca_bundle names no certificate authority: mail with REQUIRETLS cannot "
		    "be sent on");
	return ctx;
}

SSL_CTX *
relay_tls_context(bool checked)
{
	SSL_CTX **ctx = checked ? &checking : &plain;

	if (*ctx == NULL)
		*ctx = checked ? checking_new() : context_new();
	if (*ctx == NULL)
		log_error("cannot make a TLS context: out of memory");
	return *ctx;
}

const char *
relay_tls_fault(SSL *ssl, const char *host)
{
	static char words[300];
	long result = SSL_get_verify_result(ssl);
	X509 *cert = SSL_get0_peer_certificate(ssl);

	if (cert == NULL)
		return "this one has no certificate";
	if (result != X509_V_OK && result != X509_V_ERR_HOSTNAME_MISMATCH) {
		snprintf(words, sizeof(words), "the certificate of this one is not trusted: %s",
		    X509_verify_cert_error_string(result));
		return words;
	}
	if (result == X509_V_OK &&
	    (X509_check_host(cert, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1 ||
		X509_check_ip_asc(cert, host, 0) == 1))
		return NULL;
	ERR_clear_error();
	snprintf(words, sizeof(words), "the certificate of this one is not for %.250s", host);
	return words;
}

void
relay_tls_forget(void)
{
	SSL_CTX_free(checking);
	checking = NULL;
}
