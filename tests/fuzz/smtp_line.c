/* fuzz: command lines; every input is used up or waits for more, and base64 that is taken comes
 * back the same */
#include <stdlib.h>

#include "base/base64.h"
#include "smtp/proto/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_base64(struct slice text)
{
	struct buf bytes, again;

	buf_init(&bytes, 4096);
	buf_init(&again, 8192);
	if (base64_decode(&bytes, text) == 0 &&
	    (base64_encode(&again, buf_all(&bytes)) == -1 || !slice_eq(buf_all(&again), text)))
		abort();
	buf_free(&bytes);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size }, line, verb, args;
	enum line_status status;
	bool ended;
	size_t used;

	while (in.len > 0 && (status = line_next(in, 512, &line, &used)) != LINE_MORE) {
		if (used == 0 || used > in.len || line.len >= used + 1)
			abort();
		if (status == LINE_OK) {
			line_split(line, &verb, &args);
			line_take(&args, SLICE("FROM:"));
			try_base64(args);
		}
		in = slice_skip(in, used);
		if (status == LINE_TOO_LONG)
			in = slice_skip(in, line_skip(in, &ended));
	}
	return 0;
}
