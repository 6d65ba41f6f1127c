/* fuzz: a message for hosts that take less. Its pieces are as many bytes as was said before,
 * however small the steps; once changed it needs no change any more, and no body of a part holds
 * what was not to be there. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/seven.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum seven_status
convert(struct slice in, enum seven_target target, size_t step, struct buf *out)
{
	struct seven *s = seven_new(in, target);
	enum seven_status status;
	struct slice piece;
	const char *enhanced;

	if (s == NULL)
		abort();
	while ((status = seven_step(s, step)) == SEVEN_MORE)
		;
	if (status == SEVEN_CANNOT && (seven_why(s, &enhanced)[0] == '\0' || enhanced[1] != '.'))
		abort();
	if (status == SEVEN_CHANGED) {
		seven_rewind(s, NULL, 0);
		while ((piece = seven_next(s)).len > 0)
			buf_slice(out, piece);
		if (out->failed || out->len != seven_size(s))
			abort();
	}
	seven_free(&s);
	return status;
}

/* Lines of headers and boundaries that end so are none that could be converted. */
static bool
has_bare_lf(struct slice in)
{
	for (size_t i = 0; i < in.len; i++)
		if (in.at[i] == '\n' && (i == 0 || in.at[i - 1] != '\r'))
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size };
	struct buf once, slowly, twice;

	buf_init(&once, 64 << 20);
	buf_init(&slowly, 64 << 20);
	buf_init(&twice, 64 << 20);
	for (enum seven_target t = SEVEN_FOR_7BIT; t <= SEVEN_FOR_8BIT; t++) {
		enum seven_status status;

		buf_reset(&once);
		buf_reset(&slowly);
		status = convert(in, t, 1 << 20, &once);
		if (convert(in, t, 3, &slowly) != status ||
		    !slice_eq(buf_all(&once), buf_all(&slowly)))
			abort();
		if (status == SEVEN_CHANGED && !has_bare_lf(in) &&
		    convert(buf_all(&once), t, 1 << 20, &twice) == SEVEN_CHANGED)
			abort();
	}
	buf_free(&once);
	buf_free(&slowly);
	buf_free(&twice);
	return 0;
}
