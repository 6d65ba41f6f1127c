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

/* Add a body with CRLF line ends, piece by piece; it may be cut anywhere. */
struct canon_body {
	EVP_MD_CTX *hash;
	enum canon canon;
	size_t empty;          /* lines that count only if one with text follows */
	bool text, blank, cr;  /* in this line: there was text; a blank, a CR is owed */
	bool any;              /* text in any line */
};
void canon_body_begin(struct canon_body *b, EVP_MD_CTX *hash, enum canon canon);
void canon_body_add(struct canon_body *b, struct slice piece);
void canon_body_end(struct canon_body *b);
/* Add a whole one. */
void canon_body(EVP_MD_CTX *hash, struct slice body, enum canon canon);

#endif
