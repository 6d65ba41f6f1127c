/* tls_binding - what ties a login to the TLS connection it came through */
#include "base/tls_binding.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#define EXPORTER_LABEL "EXPORTER-Channel-Binding"
#define EXPORTER_LEN 32

size_t
tls_binding_exporter(SSL *ssl, unsigned char out[static TLS_BINDING_MAX])
{
	int ok = SSL_version(ssl) >= TLS1_3_VERSION &&
		 SSL_export_keying_material(ssl, out, EXPORTER_LEN, EXPORTER_LABEL,
		     sizeof(EXPORTER_LABEL) - 1, NULL, 0, 0) == 1;

	ERR_clear_error();
	return ok ? EXPORTER_LEN : 0;
}

/* The hash that the session's ticket brought back. */
static size_t
end_point_resumed(SSL *ssl, unsigned char out[static TLS_BINDING_MAX])
{
	void *hash = NULL;
	size_t len = 0;

	if (SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &hash, &len) != 1 || len > TLS_BINDING_MAX)
		return 0;
	if (len > 0)
		memcpy(out, hash, len);
	return len;
}

size_t
tls_binding_end_point(SSL *ssl, unsigned char out[static TLS_BINDING_MAX])
{
	X509 *cert = SSL_get_certificate(ssl);
	int nid = NID_undef;
	unsigned len = 0;
	const EVP_MD *md;

	if (SSL_session_reused(ssl) == 1)
		return end_point_resumed(ssl, out);
	if (cert == NULL || X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1)
		nid = NID_undef;
	if (nid == NID_md5 || nid == NID_sha1)
		nid = NID_sha256;
	md = nid != NID_undef ? EVP_get_digestbynid(nid) : NULL;
	if (md == NULL || EVP_MD_get_size(md) > TLS_BINDING_MAX ||
	    X509_digest(cert, md, out, &len) != 1)
		len = 0;
	ERR_clear_error();
	return len;
}
