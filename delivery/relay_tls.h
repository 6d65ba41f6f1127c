/* relay_tls - TLS towards peers: anybody's certificate, or one that proves who the host is */
#ifndef DELIVERY_RELAY_TLS_H
#define DELIVERY_RELAY_TLS_H

#include <openssl/ssl.h>

#include "delivery/relay_policy.h"

/* The context for new sessions, made at first use; the one for PROOF_PKIX knows the CAs of relay.ca_bundle. NULL: it cannot be
 * made (logged). Borrowed. */
SSL_CTX *relay_tls_context(enum proof proof);
/* Those CAs. Borrowed; NULL as above. */
X509_STORE *relay_tls_store(void);
/* Before the handshake of an SSL made from the context of the policy's proof: what it will be held against. false: it cannot be
 * proven that way. */
bool relay_tls_prepare(SSL *ssl, const struct tls_policy *p, const char *host);
/* After it: what keeps the certificate from proving `host` (a name or an IP address, RFC 6125) or from being the one of the policy's
 * TLSA records; in words that go on after "but ". */
enum tls_result relay_tls_fault(SSL *ssl, const struct tls_policy *p, enum proof proof, const char *host, char *words, size_t size);
/* The CAs may have changed: read them anew at next use. Sessions under way keep theirs. */
void relay_tls_forget(void);

#endif
