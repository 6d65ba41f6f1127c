/* Any bytes as what is attached to a report: it is unpacked within its ceilings, or refused with a reason. */
#include <stdlib.h>

#include "filters/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = { .kind = ERR_NONE };
	struct unpack *u = unpack_new((struct slice){ (const char *)data, size }, &err);
	volatile char seen = 0;
	size_t out = 0;
	struct slice piece;
	int rc = -1;

	while (u != NULL && (rc = unpack_next(u, &piece, &err)) == 1) {
		if (piece.len == 0 || piece.len > UNPACK_PIECE || (out += piece.len) > UNPACK_MAX)
			abort();
		seen = (char)(seen ^ piece.at[0] ^ piece.at[piece.len - 1]);
	}
	if (rc == -1 && (err.kind == ERR_NONE || err.text[0] == '\0'))
		abort();
	unpack_free(&u);
	return 0;
}
