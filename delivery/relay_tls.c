/* relay_tls - TLS towards peers: anybody's certificate, or one that proves who the host is
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

static SSL_CTX *contexts[PROOF_DANE + 1];

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
		log_warning("relay.ca_bundle names no certificate authority: no mail host can "
			    "prove its name "
			    "(REQUIRETLS, MTA-STS, tls = verified)");
	return ctx;
}

static SSL_CTX *
dane_new(void)
{
	SSL_CTX *ctx = context_new();

	if (ctx != NULL && SSL_CTX_dane_enable(ctx) != 1) {
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

SSL_CTX *
relay_tls_context(enum proof proof)
{
	static SSL_CTX *(*const make[])(void) = {
		[PROOF_NONE] = context_new, [PROOF_PKIX] = checking_new, [PROOF_DANE] = dane_new
	};
	SSL_CTX **ctx = &contexts[proof];

	if (*ctx == NULL)
		*ctx = make[proof]();
	if (*ctx == NULL)
		log_error("cannot make a TLS context: out of memory");
	return *ctx;
}

X509_STORE *
relay_tls_store(void)
{
	SSL_CTX *ctx = relay_tls_context(PROOF_PKIX);

	return ctx != NULL ? SSL_CTX_get_cert_store(ctx) : NULL;
}

/* A certificate of its own needs no name and does not grow old (RFC 7672 3.1.1); below a trust anchor
 * it must be for the name of the records, of the MX, or of the recipients' domain (3.2.2). */
bool
relay_tls_prepare(SSL *ssl, const struct tls_policy *p, const char *host)
{
	int usable = 0;

	if (policy_proof(p) != PROOF_DANE)
		return true;
	if (SSL_dane_enable(ssl, p->base) <= 0 || SSL_set_tlsext_host_name(ssl, p->base) != 1 ||
	    SSL_add1_host(ssl, host) != 1 ||
	    (p->domain[0] != '\0' && SSL_add1_host(ssl, p->domain) != 1))
		return false;
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < p->n; i++) {
		const struct tlsa *t = &p->tlsa[i];

		usable += SSL_dane_tlsa_add(ssl, t->usage, t->selector, t->matching,
			      (const unsigned char *)t->data.at, t->data.len) > 0;
	}
	ERR_clear_error();
	return usable > 0;
}

/* -- what the peer showed */

static const struct {
	long error;
	enum tls_result result;
} verify_results[] = {
	{ X509_V_ERR_HOSTNAME_MISMATCH, TLS_HOST_MISMATCH },
	{ X509_V_ERR_CERT_HAS_EXPIRED, TLS_EXPIRED },
	{ X509_V_ERR_CERT_NOT_YET_VALID, TLS_EXPIRED },
	{ X509_V_ERR_DANE_NO_MATCH, TLS_VALIDATION_FAILURE },
};

static enum tls_result
verify_result(long error)
{
	for (size_t i = 0; i < COUNT(verify_results); i++)
		if (verify_results[i].error == error)
			return verify_results[i].result;
	return TLS_NOT_TRUSTED;
}

static enum tls_result
dane_fault(SSL *ssl, const struct tls_policy *p, char *words, size_t size)
{
	long error = SSL_get_verify_result(ssl);

	if (error == X509_V_OK && SSL_get0_dane_authority(ssl, NULL, NULL) >= 0)
		return TLS_FINE;
	if (error == X509_V_OK || error == X509_V_ERR_DANE_NO_MATCH)
		snprintf(words, size,
		    "the certificate of this one is none of those that the TLSA records of %.200s "
		    "name",
		    p->base);
	else
		snprintf(words, size, "the certificate of this one fails DANE: %s",
		    X509_verify_cert_error_string(error));
	return error == X509_V_OK ? TLS_VALIDATION_FAILURE : verify_result(error);
}

static enum tls_result
pkix_fault(SSL *ssl, const char *host, char *words, size_t size)
{
	long error = SSL_get_verify_result(ssl);
	X509 *cert = SSL_get0_peer_certificate(ssl);

	if (error != X509_V_OK && error != X509_V_ERR_HOSTNAME_MISMATCH) {
		snprintf(words, size, "the certificate of this one is not trusted: %s",
		    X509_verify_cert_error_string(error));
		return verify_result(error);
	}
	if (error == X509_V_OK &&
	    (X509_check_host(cert, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1 ||
		X509_check_ip_asc(cert, host, 0) == 1))
		return TLS_FINE;
	ERR_clear_error();
	snprintf(words, size, "the certificate of this one is not for %.200s", host);
	return TLS_HOST_MISMATCH;
}

enum tls_result
relay_tls_fault(SSL *ssl, const struct tls_policy *p, enum proof proof, const char *host,
    char *words, size_t size)
{
	words[0] = '\0';
	if (proof == PROOF_NONE)
		return TLS_FINE;
	if (SSL_get0_peer_certificate(ssl) == NULL) {
		snprintf(words, size, "this one has no certificate");
		return TLS_VALIDATION_FAILURE;
	}
	return proof == PROOF_DANE ? dane_fault(ssl, p, words, size)
				   : pkix_fault(ssl, host, words, size);
}

void
relay_tls_forget(void)
{
	SSL_CTX_free(contexts[PROOF_PKIX]);
	contexts[PROOF_PKIX] = NULL;
}
