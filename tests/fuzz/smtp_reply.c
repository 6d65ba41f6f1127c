/* fuzz: a server's replies; bounded, and in pieces the same as in one. The first byte says how to
 * cut */
#include <stdlib.h>
#include <string.h>

#include "smtp/proto/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum reply_status
feed(struct reply *r, struct slice in, size_t step)
{
	enum reply_status status = REPLY_MORE;
	size_t used;

	while (status == REPLY_MORE && in.len > 0) {
		status = reply_feed(r, slice_first(in, step), &used);
		in = slice_skip(in, used);
	}
	return status;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reply whole, pieces;
	struct slice in = { (const char *)data + 1, size - 1 }, args;
	enum reply_status a, b;
	char sentence[200];

	if (size < 1)
		return 0;
	reply_init(&whole);
	reply_init(&pieces);
	a = feed(&whole, in, SIZE_MAX);
	b = feed(&pieces, in, data[0] % 16 + 1);
	if (a != b || whole.text.len > REPLY_TEXT_MAX)
		abort();
	if (a == REPLY_DONE &&
	    (whole.code != pieces.code || strcmp(whole.enhanced, pieces.enhanced) != 0 ||
		!slice_eq(buf_all(&whole.text), buf_all(&pieces.text))))
		abort();
	reply_keyword(&whole, SLICE("SIZE"), &args);
	reply_sentence(&whole, sentence, sizeof(sentence));
	reply_free(&whole);
	reply_free(&pieces);
	return 0;
}
