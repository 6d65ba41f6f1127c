/* canon - header fields and bodies in the forms that signatures are made over (RFC 6376 3.4) */
#ifndef FILTERS_CANON_H
#define FILTERS_CANON_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "base/slice.h"

enum canon { CANON_SIMPLE, CANON_RELAXED };

/* Add one field ("Name: value CRLF", folded or not) to a hash. `tail`: with a CRLF at its end. */
void canon_field(EVP_MD_CTX *hash, struct slice field, enum canon canon, bool tail);
/* The same for a field that bears the signature: the value of its tag b is left out (RFC 6376 3.5,
 * "b="). */
void canon_signature(EVP_MD_CTX *hash, struct slice field, enum canon canon);
/* Add a whole body with CRLF line ends. */
void canon_body(EVP_MD_CTX *hash, struct slice body, enum canon canon);

#endif
