/* fuzz: the dot decoder against a plain reading of the rules, and in pieces the same as in one; the
 * first byte says how to cut */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/proto/dot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Byte by byte: where the body ends (SIZE_MAX: it does not), what is wrong first, the body. */
static size_t
plainly(struct slice in, enum dot_fault *fault, struct buf *out)
{
	bool start = true;

	*fault = DOT_FINE;
	for (size_t i = 0; i < in.len; i++) {
		char c = in.at[i], next = i + 1 < in.len ? in.at[i + 1] : '\0';
		bool known = i + 1 < in.len;
		enum dot_fault wrong = DOT_FINE;

		if (start && c == '.') {
			if (in.len - i >= 3 && memcmp(in.at + i, ".\r\n", 3) == 0)
				return i + 3;
			start = false;
			continue;
		}
		start = false;
		if (c == '\r' && known && next == '\n') {
			buf_text(out, "\r\n");
			i++;
			start = true;
			continue;
		}
		if (c == '\r' && !known)
			continue;
		wrong = c == '\r'   ? DOT_BARE_CR
			: c == '\n' ? DOT_BARE_LF
			: c == '\0' ? DOT_NUL
				    : DOT_FINE;
		if (*fault == DOT_FINE)
			*fault = wrong;
		buf_char(out, c);
	}
	return SIZE_MAX;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data + 1, size - 1 }, piece, run;
	enum dot_fault fault;
	struct buf expected, out;
	struct dot d;
	size_t end, at = 0, step;

	if (size < 1)
		return 0;
	step = data[0] % 16 + 1;
	buf_init(&expected, 1 << 20);
	buf_init(&out, 1 << 20);
	end = plainly(in, &fault, &expected);
	dot_init(&d);
	while (at < in.len && !dot_ended(&d)) {
		piece = slice_first(slice_skip(in, at), step);
		at += piece.len;
		while (dot_next(&d, &piece, &run))
			buf_slice(&out, run);
		at -= piece.len;
	}
	if (dot_ended(&d) != (end != SIZE_MAX) || d.fault != fault ||
	    (end != SIZE_MAX && at != end))
		abort();
	if (fault == DOT_FINE && end != SIZE_MAX && !slice_eq(buf_all(&out), buf_all(&expected)))
		abort();
	buf_free(&expected);
	buf_free(&out);
	return 0;
}
