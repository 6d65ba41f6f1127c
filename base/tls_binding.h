/* tls_binding - what ties a login to the TLS connection it came through (channel bindings) */
#ifndef BASE_TLS_BINDING_H
#define BASE_TLS_BINDING_H

#include <openssl/ssl.h>

#define TLS_BINDING_MAX 64 /* bytes */

/* tls-exporter (RFC 9266): 32 bytes, with TLS 1.3 only, where it is unique without further
 * conditions. The length, 0 when there is none. */
size_t tls_binding_exporter(SSL *ssl, unsigned char out[static TLS_BINDING_MAX]);
/* tls-server-end-point (RFC 5929 4): the hash of the certificate that our side showed, of a resumed
 * session in the handshake that made its ticket. The length; 0 when its signature has no hash of
 * its own (Ed25519), for which the binding is not defined. */
size_t tls_binding_end_point(SSL *ssl, unsigned char out[static TLS_BINDING_MAX]);

#endif
