/* dot - the body of DATA on the wire
 *
 * The decoder is a machine of six states. Inside a line it looks for the next CR only, and then
 * whether the run before it holds what must not be there; so nearly all bytes are seen by memchr
 * alone. A CR at the end of a piece is held back until the byte behind it is known. */
#include "smtp/proto/dot.h"

#include <string.h>

void
dot_init(struct dot *d)
{
	*d = (struct dot){ DOT_LINE_START, DOT_FINE };
}

bool
dot_ended(const struct dot *d)
{
	return d->state == DOT_END;
}

const char *
dot_why(enum dot_fault fault)
{
	static const char *const words[] = {
		[DOT_FINE] = "Fine",
		[DOT_BARE_LF] = "The message has a bare LF; every line must end with CR LF",
		[DOT_BARE_CR] = "The message has a bare CR; every line must end with CR LF",
		[DOT_NUL] = "The message has a NUL byte",
	};

	return words[fault];
}

static void
blame(struct dot *d, enum dot_fault fault)
{
	if (d->fault == DOT_FINE)
		d->fault = fault;
}

/* A line's text up to the next CR (or all of it): checked and handed out. */
static struct slice
text_run(struct dot *d, struct slice *in)
{
	const char *cr = memchr(in->at, '\r', in->len);
	struct slice run = slice_first(*in, cr != NULL ? (size_t)(cr - in->at) : in->len);
	const char *lf = run.len > 0 ? memchr(run.at, '\n', run.len) : NULL;
	const char *nul = run.len > 0 ? memchr(run.at, '\0', run.len) : NULL;

	if (lf != NULL && (nul == NULL || lf < nul))
		blame(d, DOT_BARE_LF);
	else if (nul != NULL)
		blame(d, DOT_NUL);
	*in = slice_skip(*in, run.len);
	d->state = DOT_TEXT;
	if (in->len > 0) {
		/* the CR; with its LF at hand the line end goes out with the text */
		if (in->len > 1 && in->at[1] == '\n') {
			*in = slice_skip(*in, 2);
			run.len += 2;
			d->state = DOT_LINE_START;
		} else {
			*in = slice_skip(*in, 1);
			d->state = DOT_CR;
		}
	}
	return run;
}

/* One byte in a state where each byte counts; returns a run that it frees, or an empty one. */
static struct slice
one_byte(struct dot *d, struct slice *in)
{
	char c = in->at[0];

	switch (d->state) {
	case DOT_CR:
		if (c == '\n') {
			d->state = DOT_LINE_START;
			*in = slice_skip(*in, 1);
			return SLICE("\r\n");
		}
		blame(d, DOT_BARE_CR);
		d->state = DOT_TEXT; /* the byte is read again as text: another CR is one that may
					begin a line end */
		break;
	case DOT_DOT:
		d->state = c == '\r' ? DOT_DOT_CR : DOT_TEXT; /* else the dot was stuffing */
		if (c == '\r')
			*in = slice_skip(*in, 1);
		break;
	case DOT_DOT_CR:
		if (c == '\n') {
			d->state = DOT_END;
			*in = slice_skip(*in, 1);
			break;
		}
		blame(d, DOT_BARE_CR);
		d->state = DOT_TEXT;
		break;
	default:
		break;
	}
	return (struct slice){ NULL, 0 };
}

/* Whole lines that follow at once belong to the same run, so that a piece of many plain lines is
 * one run. */
static void
extend(struct dot *d, struct slice *in, struct slice *run)
{
	while (
	    d->state == DOT_LINE_START && d->fault == DOT_FINE && in->len > 0 && in->at[0] != '.') {
		struct slice more = text_run(d, in);

		run->len += more.len;
	}
}

bool
dot_next(struct dot *d, struct slice *in, struct slice *run)
{
	while (in->len > 0 && d->state != DOT_END) {
		if (d->state == DOT_LINE_START && in->at[0] == '.') {
			d->state = DOT_DOT;
			*in = slice_skip(*in, 1);
			continue;
		}
		if (d->state == DOT_TEXT || d->state == DOT_LINE_START) {
			*run = text_run(d, in);
			extend(d, in, run);
		} else {
			*run = one_byte(d, in);
		}
		if (run->len > 0 && d->fault == DOT_FINE)
			return true;
	}
	*run = (struct slice){ NULL, 0 };
	return false;
}

/* -- the other way */

bool
dot_stuff(struct dot_stuffer *d, struct slice *in, struct slice *run)
{
	const char *at = in->at, *end = in->at + in->len;

	if (in->len == 0)
		return false;
	if (!d->midline && *at == '.' && !d->stuffed) {
		d->stuffed = true;
		*run = SLICE(".");
		return true;
	}
	/* up to the line end before the next line that begins with a dot */
	for (const char *lf = at; (lf = memchr(lf, '\n', (size_t)(end - lf))) != NULL;) {
		lf++;
		if (lf == end || *lf == '.') {
			end = lf;
			break;
		}
	}
	*run = (struct slice){ at, (size_t)(end - at) };
	d->midline = end[-1] != '\n';
	d->stuffed = false;
	*in = slice_skip(*in, run->len);
	return true;
}

struct slice
dot_tail(const struct dot_stuffer *d)
{
	return d->midline ? SLICE("\r\n.\r\n") : SLICE(".\r\n");
}
