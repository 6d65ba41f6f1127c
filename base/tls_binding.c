/* tls_binding - what ties a login to the TLS connection it came through */
#include "base/tls_binding.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

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

size_t
tls_binding_end_point(SSL *ssl, unsigned char out[static TLS_BINDING_MAX])
{
	X509 *cert = SSL_get_certificate(ssl);
	int nid = NID_undef;
	unsigned len = 0;
	const EVP_MD *md;

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
