/* arc_seal - puts an ARC set (RFC 8617 5.1) on top of a message that is sent on */
#ifndef FILTERS_ARC_SEAL_H
#define FILTERS_ARC_SEAL_H

#include <openssl/evp.h>

#include "base/envelope.h"
#include "base/err.h"
#include "base/seven.h"

struct arc_sealer { /* borrowed; the key is RSA */
	const char *domain, *selector;
	EVP_PKEY *key;
};

struct arc_message { /* borrowed */
	struct slice
	    prefix; /* fields of ours; the first Authentication-Results is what the set tells */
	struct slice message; /* without the cuts, it is what the next server sees */
	const struct cut *cuts;
	size_t n_cuts;
	enum chain_state chain; /* what came of verifying it */
};

/* Append the set for the message, or for what `seven` (rewound here; NULL: none) makes of it. `now` is us
 * since 1970. Which instance it is; 0: the message is not to be sealed, *err says why; -1: it cannot be. */
int arc_seal(const struct arc_sealer *with, const struct arc_message *m, struct seven *seven,
    int64_t now, struct buf *out, struct err *err);

#endif
