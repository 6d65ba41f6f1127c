/* dot - the body of a message on the wire
 *
 * The decoder is a machine; its table says what CR, LF and a dot mean where. Text between them takes
 * the short way: it is searched for the next CR only, and then whether the run before it holds what
 * must not be there; so nearly all bytes are seen by memchr alone. A CR at the end of a piece is held
 * back until the byte behind it is known. */
#include "smtp/proto/dot.h"

#include <string.h>

enum { CLASS_TEXT, CLASS_DOT, CLASS_CR, CLASS_LF, CLASSES };

enum {                 /* what a move does */
	LINE = 1,      /* hands out CR LF */
	AGAIN = 2,     /* the byte is looked at once more, in the next state */
	BARE_CR = 4,   /* a fault, unless it is normalised */
	BARE_LF = 8,   /* the same */
	FALSE_END = 16 /* always a fault */
};

#define IN_LINE(dot)                                                                               \
	{                                                                                          \
		[CLASS_TEXT] = { DOT_TEXT, 0 }, [CLASS_DOT] = { (dot), 0 },                        \
		[CLASS_CR] = { DOT_CR, 0 }, [CLASS_LF] = { DOT_LOOSE_START, BARE_LF | LINE },      \
	}
/* the dot was stuffing */
#define STUFFED [CLASS_TEXT] = { DOT_TEXT, AGAIN }, [CLASS_DOT] = { DOT_TEXT, AGAIN }
/* the CR was one by itself */
#define BARE(what)                                                                                 \
	[CLASS_TEXT] = { DOT_LOOSE_START, (what) | AGAIN },                                        \
	[CLASS_DOT] = { DOT_LOOSE_START, (what) | AGAIN }, [CLASS_CR] = { DOT_CR_CR, (what) }

static const struct move {
	enum dot_state next;
	unsigned does;
} moves[DOT_STATES][CLASSES] = {
	[DOT_TEXT] = IN_LINE(DOT_TEXT),
	[DOT_LINE_START] = IN_LINE(DOT_DOT),
	[DOT_LOOSE_START] = IN_LINE(DOT_LOOSE_DOT),
	[DOT_TAINTED_START] = IN_LINE(DOT_TAINTED_DOT),
	[DOT_CR] = { BARE(BARE_CR | LINE), [CLASS_LF] = { DOT_LINE_START, LINE } },
	[DOT_CR_CR] = { BARE(BARE_CR | LINE), [CLASS_LF] = { DOT_TAINTED_START, LINE } },
	[DOT_DOT] = { STUFFED, [CLASS_CR] = { DOT_DOT_CR, 0 },
	    [CLASS_LF] = { DOT_LOOSE_START, BARE_LF | FALSE_END } },
	[DOT_LOOSE_DOT] = { STUFFED, [CLASS_CR] = { DOT_LOOSE_DOT_CR, 0 },
	    [CLASS_LF] = { DOT_LOOSE_START, FALSE_END } },
	[DOT_TAINTED_DOT] = { STUFFED, [CLASS_CR] = { DOT_TAINTED_DOT_CR, 0 },
	    [CLASS_LF] = { DOT_LOOSE_START, FALSE_END } },
	[DOT_DOT_CR] = { BARE(BARE_CR | FALSE_END), [CLASS_LF] = { DOT_END, 0 } },
	[DOT_LOOSE_DOT_CR] = { BARE(FALSE_END), [CLASS_LF] = { DOT_LINE_START, FALSE_END } },
	[DOT_TAINTED_DOT_CR] = { BARE(FALSE_END), [CLASS_LF] = { DOT_END, FALSE_END } },
};

void
dot_init(struct dot *d, unsigned mode)
{
	*d = (struct dot){ .state = DOT_LINE_START, .mode = mode };
}

bool
dot_ended(const struct dot *d)
{
	return d->state == DOT_END;
}

const char *
dot_why(const struct dot *d)
{
	static const char *const words[] = {
		[DOT_FINE] = "Fine",
		[DOT_BARE_LF] = "The message has a bare LF; every line must end with CR LF",
		[DOT_BARE_CR] = "The message has a bare CR; every line must end with CR LF",
		[DOT_NUL] = "The message has a NUL byte",
		[DOT_FALSE_END] =
		    "The message has a dot alone beside a bare LF or CR; CR LF, dot, CR LF ends it",
	};

	return words[d->false_end ? DOT_FALSE_END : d->fault];
}

static void
blame(struct dot *d, enum dot_fault fault)
{
	if (d->fault == DOT_FINE)
		d->fault = fault;
}

/* Bytes before the next CR or LF. Nothing comes back for a bad message, so the slow way is taken only
 * where loose line ends are at home. */
static size_t
plain_len(const struct dot *d, struct slice in)
{
	const char *cr, *lf;
	size_t n = 0;

	if (d->fault == DOT_FINE && !(d->mode & DOT_NORMALISE)) {
		cr = memchr(in.at, '\r', in.len);
		n = cr != NULL ? (size_t)(cr - in.at) : in.len;
		lf = memchr(in.at, '\n', n);
		return lf != NULL ? (size_t)(lf - in.at) : n;
	}
	while (n < in.len && in.at[n] != '\r' && in.at[n] != '\n')
		n++;
	return n;
}

/* Does the next byte stand where text is read as it is? */
static bool
in_text(const struct dot *d, struct slice in)
{
	if (d->state > DOT_TAINTED_START || in.len == 0)
		return false;
	return in.at[0] != '.' || d->state == DOT_TEXT || (d->mode & DOT_CHUNKS);
}

/* A line's text, with its CR LF when that is at hand; empty when something else comes first. */
static struct slice
text_run(struct dot *d, struct slice *in)
{
	struct slice run = slice_first(*in, plain_len(d, *in));

	if (memchr(run.at, '\0', run.len) != NULL)
		blame(d, DOT_NUL);
	if (run.len > 0)
		d->state = DOT_TEXT;
	*in = slice_skip(*in, run.len);
	if (in->len > 1 && in->at[0] == '\r' && in->at[1] == '\n') {
		*in = slice_skip(*in, 2);
		run.len += 2;
		d->state = DOT_LINE_START;
	}
	return run;
}

/* Whole lines that follow at once belong to the same run, so that a piece of many plain lines is
 * one run. */
static void
extend(struct dot *d, struct slice *in, struct slice *run)
{
	while (d->state == DOT_LINE_START && d->fault == DOT_FINE && in_text(d, *in)) {
		struct slice more = text_run(d, in);

		if (more.len == 0)
			return;
		run->len += more.len;
	}
}

/* One byte by the table; the line end that it may complete. */
static struct slice
one_byte(struct dot *d, struct slice *in)
{
	char c = in->at[0];
	int class = c == '\r'                             ? CLASS_CR
		    : c == '\n'                           ? CLASS_LF
		    : c == '.' && !(d->mode & DOT_CHUNKS) ? CLASS_DOT
							  : CLASS_TEXT;
	const struct move *m = &moves[d->state][class];

	if (!(d->mode & DOT_NORMALISE)) {
		if (m->does & BARE_CR)
			blame(d, DOT_BARE_CR);
		if (m->does & BARE_LF)
			blame(d, DOT_BARE_LF);
	}
	if (m->does & FALSE_END) {
		blame(d, DOT_FALSE_END);
		d->false_end = true;
	}
	d->state = m->next;
	if (!(m->does & AGAIN))
		*in = slice_skip(*in, 1);
	return m->does & LINE ? SLICE("\r\n") : (struct slice){ NULL, 0 };
}

bool
dot_next(struct dot *d, struct slice *in, struct slice *run)
{
	while (in->len > 0 && d->state != DOT_END) {
		*run = (struct slice){ NULL, 0 };
		if (in_text(d, *in)) {
			*run = text_run(d, in);
			extend(d, in, run);
		}
		if (run->len == 0)
			*run = one_byte(d, in);
		if (run->len > 0 && d->fault == DOT_FINE)
			return true;
	}
	*run = (struct slice){ NULL, 0 };
	return false;
}

struct slice
dot_finish(struct dot *d)
{
	bool held = d->state == DOT_CR || d->state == DOT_CR_CR;

	d->state = DOT_END;
	if (held && !(d->mode & DOT_NORMALISE))
		blame(d, DOT_BARE_CR);
	return held && d->fault == DOT_FINE ? SLICE("\r\n") : (struct slice){ NULL, 0 };
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
