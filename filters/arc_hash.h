/* arc_hash - what the signatures of an ARC set are made over (RFC 8617 4.1), for who verifies and who seals */
#ifndef FILTERS_ARC_HASH_H
#define FILTERS_ARC_HASH_H

#include "filters/canon.h"
#include "filters/mime.h"

/* Add the fields that h= names, each from the bottom up; a name once too often is nothing. false: it names
 * more than a header may have, which is no list but work for us. */
bool arc_hash_fields(
    EVP_MD_CTX *hash, const struct mime_field *all, size_t n, struct slice h, enum canon canon);
/* Add the fields of a set ("Name: value CRLF") in the order in which seals cover them: results, message
 * signature, seal (empty: not yet, it follows by canon_signature). */
void arc_hash_set(
    EVP_MD_CTX *hash, struct slice results, struct slice signature, struct slice seal);

#endif
