/* relay_tls - TLS towards peers: anybody's certificate, or one that proves the host's name */
#ifndef DELIVERY_RELAY_TLS_H
#define DELIVERY_RELAY_TLS_H

#include <openssl/ssl.h>

#include "base/slice.h"

/* The context for new sessions, made at first use; the `checked` one knows the CAs of relay.ca_bundle. NULL: it cannot be
 * made (logged). Borrowed. */
SSL_CTX *relay_tls_context(bool checked);
/* After a handshake with the checked context: what keeps the certificate from proving `host` (a name or an IP address), in
 * words that go on after "but "; NULL: it does prove it (RFC 6125). */
const char *relay_tls_fault(SSL *ssl, const char *host);
/* The CAs may have changed: read them anew at next use. Sessions under way keep theirs. */
void relay_tls_forget(void);

#endif
