/* arc_hash - the order in which fields are hashed */
#include "filters/arc_hash.h"

#define NAMES_MAX MIME_FIELDS_MAX /* in h= */

bool
arc_hash_fields(
    EVP_MD_CTX *hash, const struct mime_field *all, size_t n, struct slice h, enum canon canon)
{
	bool used[MIME_FIELDS_MAX] = { false };

	for (size_t named = 0; h.at != NULL; named++) {
		struct slice name = slice_trim(slice_cut(&h, ':'));

		if (named == NAMES_MAX)
			return false;
		for (size_t i = n; name.len > 0 && i-- > 0;) {
			if (used[i] || !slice_eq_nocase(slice_trim(all[i].name), name))
				continue;
			used[i] = true;
			canon_field(hash, all[i].whole, canon, true);
			break;
		}
	}
	return true;
}

void
arc_hash_set(EVP_MD_CTX *hash, struct slice results, struct slice signature, struct slice seal)
{
	canon_field(hash, results, CANON_RELAXED, true);
	canon_field(hash, signature, CANON_RELAXED, true);
	if (seal.len > 0)
		canon_field(hash, seal, CANON_RELAXED, true);
}
