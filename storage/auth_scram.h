/* auth_scram - the server's side of one SCRAM-SHA-256 exchange, with and without channel binding (RFC
 * 5802, 7677, 5929, 9266)
 *
 * Messages in, messages out: it knows no account and no clock. Order of calls: first, challenge,
 * final, prove; after a -1 the exchange is over. */
#ifndef STORAGE_AUTH_SCRAM_H
#define STORAGE_AUTH_SCRAM_H

#include "base/buf.h"
#include "storage/password.h"

#define SCRAM_BINDING_MAX 64 /* bytes of channel-binding data */
#define SCRAM_NONCE_MAX 128  /* characters of the client's */
#define SCRAM_MESSAGE_MAX 1024

/* What ties an exchange to its TLS connection; an empty one cannot be had there. */
struct scram_bindings {
	struct slice exporter;  /* tls-exporter, TLS 1.3 only */
	struct slice end_point; /* tls-server-end-point */
};

struct scram;

/* `plus`: SCRAM-SHA-256-PLUS, with the bindings (copied). NULL: memory is gone. */
struct scram *scram_new(bool plus, const struct scram_bindings *bindings);
void scram_free(struct scram **s);
/* The client's first message: who it is. */
int scram_first(struct scram *s, struct slice message);
/* As the client wrote it; borrowed. */
const char *scram_user(const struct scram *s);
/* The answer: salt and iterations of `salt`, and our half of the nonce (printable, no comma). */
int scram_challenge(
    struct scram *s, const struct verifier *salt, const char *nonce, struct buf *out);
/* The client's last message: nonce, channel binding and form are right? */
int scram_final(struct scram *s, struct slice message);
/* Which app password of the set does it prove: 1.., with our own proof in `out`; -1 none. The work
 * is the same for every set. */
int scram_prove(struct scram *s, const struct password_set *set, struct buf *out);

#endif
