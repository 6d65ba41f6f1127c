/* tls - contexts for TLS 1.2 and 1.3 with authenticated ciphers only (RFC 9325); tls_server.c, tls.c (clients)
 *
 * No renegotiation, no compression, no early data; idle connections give their buffers back. Bytes are read ahead: what waits in an SSL
 * (SSL_has_pending) makes no socket readable. A server takes the protocol "smtp"
 * (RFC 7301) or none; its tickets are sealed with the keys of tickets.h when there are any, else with its own. Keys come as open
 * descriptors, so a process needs no right to any file. */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/err.h"

#define TLS_PEM_MAX (1024 * 1024)	/* bytes of a certificate chain or a key */

#define TLS_PAIRS_MAX 2			/* certificates of a name: one with an EC key, one with an RSA key */

struct tls_server;		/* certificates by default, and others by the name that the client asks for (SNI) */

/* Load OpenSSL's tables and random state; before confinement. */
void tls_setup(void);
/* NULL + err without memory. It has no certificate yet. */
struct tls_server *tls_server_new(struct err *err);
/* Add a certificate chain and its key, both PEM, from regular files; `name` is "" for the default one, else the SNI name ("*.x" serves
 * one label below x). A name may have one for each kind of key: clients get the EC one when they can verify it, else the RSA one. The
 * descriptors stay the caller's. -1 + err: unreadable, not PEM, they do not belong together, or the kind is there already. */
int tls_server_add(struct tls_server *t, const char *name, int certificate_fd, int key_fd, struct err *err);
/* The same for certificates that may have changed on the disk, the i-th call for a name taking the place of its i-th one in `old`: when
 * the pair is bad, the one that `old` has stays in use, and -1 + err says why. 1: it is another certificate than before; 0: the same one. */
int tls_server_renew(struct tls_server *t, const struct tls_server *old, const char *name, int certificate_fd, int key_fd,
    struct err *err);
/* The i-th name that there are certificates for ("" the default one), NULL past the last. */
const char *tls_server_name(const struct tls_server *t, size_t i);
/* The day on which the i-th certificate of a name ends, as 2027-01-31; false when there is none. */
bool tls_server_until(const struct tls_server *t, const char *name, unsigned i, char day[static 16]);
/* For SSL_new and channel_start_tls; NULL without a default certificate. Valid as long as `t`; an SSL made from it lives on. */
SSL_CTX *tls_server_ctx(const struct tls_server *t);
/* Sets *t to NULL. Accepts NULL. */
void tls_server_free(struct tls_server **t);

/* What server and client contexts have in common; NULL: OpenSSL failed. */
SSL_CTX *tls_context_new(const SSL_METHOD *method);
/* "WHAT: why OpenSSL failed"; -1. Clears OpenSSL's errors. */
int tls_error(struct err *err, const char *what);
/* The part of tls_setup that is the server's. */
void tls_server_setup(void);

/* For a client. `ca_file`: PEM bundle, NULL or "" for the system's. `required`: the handshake fails unless the peer's chain and
 * name (channel_start_tls) verify; otherwise ask SSL_get_verify_result afterwards. Reads files: before confinement. */
SSL_CTX *tls_client_new(const char *ca_file, bool required, struct err *err);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" of a finished handshake. */
void tls_describe(const SSL *ssl, char *out, size_t size);

#endif
