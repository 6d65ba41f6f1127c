/* bdat - the arguments of BDAT */
#include "smtp/proto/bdat.h"

/* Digits only, so no sign and no blank; more than fits is as large as can be. */
static bool
read_size(struct slice text, uint64_t *out)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
	if (!slice_to_u64(text, out))
		*out = UINT64_MAX;
	return text.len > 0;
}

bool
bdat_read(struct slice args, struct bdat *out)
{
	struct slice rest = args, size = slice_cut(&rest, ' ');

	*out = (struct bdat){ 0, false };
	if (!read_size(size, &out->size))
		return false;
	rest = slice_trim(rest);
	out->last = slice_eq_nocase(rest, SLICE("LAST"));
	return out->last || rest.len == 0;
}
