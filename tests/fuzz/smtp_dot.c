/* fuzz: the dot decoder against a plain reading of the rules, and in pieces the same as in one; the
 * first byte says how to cut, and in which mode it works */
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

static bool
is_end(char c)
{
	return c == '\r' || c == '\n';
}

/* Is there a dot alone between any line ends, before `end`, that is not CR LF . CR LF? */
static bool
has_false_end(struct slice in, size_t end)
{
	if (end == SIZE_MAX)
		end = in.len;
	for (size_t i = 0; i + 1 < end; i++) {
		bool strict = i == 0 || (i >= 2 && in.at[i - 2] == '\r' && in.at[i - 1] == '\n');
		bool tainted = i >= 3 && in.at[i - 3] == '\r';

		if (in.at[i] != '.' || (i > 0 && !is_end(in.at[i - 1])) || !is_end(in.at[i + 1]))
			continue;
		/* a CR whose next byte has not come yet tells nothing */
		if (in.at[i + 1] == '\r' && i + 2 >= end && end == in.len && !(i + 2 < in.len))
			continue;
		if (!strict || tainted || in.at[i + 1] == '\n' || in.at[i + 2] != '\n')
			return true;
	}
	return false;
}

static void
decode(struct dot *d, struct slice in, size_t step, struct buf *out, size_t *at)
{
	struct slice piece, run;

	for (*at = 0; *at < in.len && !dot_ended(d);) {
		piece = slice_first(slice_skip(in, *at), step);
		*at += piece.len;
		while (dot_next(d, &piece, &run))
			buf_slice(out, run);
		*at -= piece.len;
	}
}

/* Strictly, and against the rules. */
static void
strictly(struct slice in, size_t step)
{
	enum dot_fault fault;
	struct buf expected, out;
	struct dot d;
	size_t end, at;

	buf_init(&expected, 1 << 20);
	buf_init(&out, 1 << 20);
	end = plainly(in, &fault, &expected);
	dot_init(&d, 0);
	decode(&d, in, step, &out, &at);
	if (dot_ended(&d) != (end != SIZE_MAX) || d.fault != fault ||
	    (end != SIZE_MAX && at != end))
		abort();
	if (d.false_end != has_false_end(in, end))
		abort();
	if (fault == DOT_FINE && end != SIZE_MAX && !slice_eq(buf_all(&out), buf_all(&expected)))
		abort();
	buf_free(&expected);
	buf_free(&out);
}

/* In the other modes: what comes out has whole line ends only, however the input is cut. */
static void
loosely(struct slice in, size_t step, unsigned mode)
{
	struct buf one, many;
	struct dot a, b;
	size_t at;

	buf_init(&one, 1 << 21);
	buf_init(&many, 1 << 21);
	dot_init(&a, mode);
	dot_init(&b, mode);
	decode(&a, in, in.len + 1, &one, &at);
	decode(&b, in, step, &many, &at);
	if (mode & DOT_CHUNKS) {
		buf_slice(&one, dot_finish(&a));
		buf_slice(&many, dot_finish(&b));
	}
	if (a.fault != b.fault || a.false_end != b.false_end || a.state != b.state ||
	    one.len > 2 * in.len)
		abort();
	if (a.fault == DOT_FINE && !slice_eq(buf_all(&one), buf_all(&many)))
		abort();
	for (size_t i = 0; a.fault == DOT_FINE && i < one.len; i++)
		if ((one.at[i] == '\n' && (i == 0 || one.at[i - 1] != '\r')) ||
		    (one.at[i] == '\r' && (i + 1 == one.len || one.at[i + 1] != '\n')) ||
		    one.at[i] == '\0')
			abort();
	buf_free(&one);
	buf_free(&many);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data + 1, size - 1 };

	if (size < 1)
		return 0;
	if (data[0] >> 4 & 3)
		loosely(in, data[0] % 16 + 1, data[0] >> 4 & 3);
	else
		strictly(in, data[0] % 16 + 1);
	return 0;
}
