/* mda_text - a message on its way into a file: CRLF becomes LF, cuts are left out
 *
 * Short messages are converted once in memory and written for each recipient with its own head.
 * Long ones are read from their descriptor a chunk at a time (pread, not mmap: a bad sector is
 * then an error of this message, not the death of the process), so memory does not grow with the
 * message. */
#include "delivery/mda_text.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

size_t
lf_copy(struct lf *lf, char *out, struct slice in)
{
	const char *p = in.at, *end = in.at + in.len, *cr;
	char *o = out;

	if (in.len == 0)
		return 0;
	if (lf->cr && *p != '\n')
		*o++ = '\r';
	lf->cr = false;
	while ((cr = memchr(p, '\r', (size_t)(end - p))) != NULL) {
		memcpy(o, p, (size_t)(cr - p));
		o += cr - p;
		p = cr + 1;
		if (p == end) {
			lf->cr = true;
			return (size_t)(o - out);
		}
		if (*p != '\n')
			*o++ = '\r';
	}
	memcpy(o, p, (size_t)(end - p));
	return (size_t)(o + (end - p) - out);
}

size_t
lf_end(struct lf *lf, char *out)
{
	if (!lf->cr)
		return 0;
	lf->cr = false;
	*out = '\r';
	return 1;
}

size_t
mda_text_short(const struct mda_text *text, char *out)
{
	struct lf lf = { false };
	size_t len = lf_copy(&lf, out, text->prefix);
	uint64_t pos = 0;
	struct slice piece;

	while ((piece = cuts_next(text->body, text->cuts, text->n_cuts, &pos)).len > 0)
		len += lf_copy(&lf, out + len, piece);
	return len + lf_end(&lf, out + len);
}

int
mda_write(int to, struct slice a, struct slice b)
{
	while (a.len + b.len > 0) {
		struct iovec v[2] = { { (void *)(uintptr_t)a.at, a.len },
			{ (void *)(uintptr_t)b.at, b.len } };
		ssize_t n = writev(to, v, 2);

		if (n == 0)
			errno = ENOSPC;
		if (n == 0 || (n == -1 && errno != EINTR))
			return -1;
		if (n == -1)
			continue;
		b = slice_skip(b, (size_t)n > a.len ? (size_t)n - a.len : 0);
		a = slice_skip(a, (size_t)n);
	}
	return 0;
}

struct out {
	struct lf lf;
	int to;
	char *buf; /* MDA_CHUNK + 16 */
	uint64_t size;
};

static int
out_piece(struct out *o, struct slice in)
{
	while (in.len > 0) {
		struct slice part = slice_first(in, MDA_CHUNK);
		size_t len = lf_copy(&o->lf, o->buf, part);

		if (mda_write(o->to, (struct slice){ o->buf, len }, (struct slice){ 0 }) == -1)
			return -1;
		o->size += len;
		in = slice_skip(in, part.len);
	}
	return 0;
}

/* The bytes [at, end) of the file; UINT64_MAX is its end. */
static int
out_range(struct out *o, int fd, uint64_t at, uint64_t end, char *chunk)
{
	while (end == UINT64_MAX || at < end) {
		size_t want = end - at < MDA_CHUNK ? (size_t)(end - at) : MDA_CHUNK;
		ssize_t n = pread(fd, chunk, want, (off_t)at);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		if (out_piece(o, (struct slice){ chunk, (size_t)n }) == -1)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

static int
out_file(struct out *o, const struct mda_text *text, char *chunk)
{
	uint64_t at = 0;

	for (size_t i = 0; i < text->n_cuts; i++) {
		if (out_range(o, text->fd, at, text->cuts[i].at, chunk) == -1)
			return -1;
		at = text->cuts[i].at + text->cuts[i].len;
	}
	return out_range(o, text->fd, at, UINT64_MAX, chunk);
}

static int
out_body(struct out *o, const struct mda_text *text, char *chunk)
{
	uint64_t pos = 0;
	struct slice piece;

	if (text->fd != -1)
		return out_file(o, text, chunk);
	while ((piece = cuts_next(text->body, text->cuts, text->n_cuts, &pos)).len > 0)
		if (out_piece(o, piece) == -1)
			return -1;
	return 0;
}

int
mda_text_long(const struct mda_text *text, struct slice head, int to, char *work, uint64_t *size)
{
	struct out o = { .to = to, .buf = work };
	size_t rest;

	if (out_piece(&o, head) == -1 || out_piece(&o, text->prefix) == -1 ||
	    out_body(&o, text, work + MDA_CHUNK + 16) == -1)
		return -1;
	rest = lf_end(&o.lf, o.buf);
	*size = o.size + rest;
	return mda_write(to, (struct slice){ o.buf, rest }, (struct slice){ 0 });
}
