/* tls_pair - a certificate chain and its private key, read from PEM */
#ifndef BASE_TLS_PAIR_H
#define BASE_TLS_PAIR_H

#include <openssl/ssl.h>

#include "base/err.h"

struct tls_pair {		/* all zero: none */
	X509 *certificate;
	STACK_OF(X509) *issuers;	/* or NULL */
	EVP_PKEY *key;
};

/* Read both from regular files, whose offsets stay as they are. -1 + err: unreadable, not PEM, or they do not belong together; *p is
 * then all zero. Else tls_pair_free it. */
int tls_pair_read(struct tls_pair *p, int certificate_fd, int key_fd, struct err *err);
/* The same one once more. */
struct tls_pair tls_pair_share(const struct tls_pair *p);
/* Let the context use it beside those that it has; a context holds one of each kind of key. -1 + err: that kind is there already. */
int tls_pair_use(const struct tls_pair *p, SSL_CTX *ctx, struct err *err);
/* Accepts one that is all zero, and makes it so. */
void tls_pair_free(struct tls_pair *p);

#endif
