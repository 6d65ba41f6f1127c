/* fuzz: what xtext stands for is printable, and written again it stands for the same */
#include <stdlib.h>

#include "smtp/proto/xtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size };
	struct buf text, wire, again;
	bool ok;

	buf_init(&text, 1 << 20);
	buf_init(&wire, 1 << 22);
	buf_init(&again, 1 << 20);
	ok = xtext_decode(&text, in) == 0;
	if (ok != xtext_ok(in))
		abort();
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] < 32 || text.at[i] > 126)
			abort();
	if (ok && (xtext_encode(&wire, buf_all(&text)) == -1 ||
		      xtext_decode(&again, buf_all(&wire)) == -1 ||
		      !slice_eq(buf_all(&again), buf_all(&text))))
		abort();
	if (xtext_orcpt_ok(in, false) && !xtext_orcpt_ok(in, true))
		abort();
	buf_free(&text);
	buf_free(&wire);
	buf_free(&again);
	return 0;
}
