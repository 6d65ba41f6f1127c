/* signer - what the files of the signer share */
#ifndef FILTERS_SIGNER_H
#define FILTERS_SIGNER_H

#include "base/link.h"
#include "filters/arc_seal.h"

/* The first RSA key of the domain (lower case) that signs; borrowed until the next reload. false: none. */
bool signer_rsa_key(const char *domain, struct arc_sealer *out);

/* MSG_SEAL: answered at once. */
void signer_on_seal(struct frame *f);

#endif
