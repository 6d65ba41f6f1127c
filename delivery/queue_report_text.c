/* queue_report_text - a report as a message: what of the mail is given back, and in which characters
 *
 * It fits into a frame, so that it is one row of the queue: what does not fit is left out of the
 * mail that comes back, never of what is said about it. Only a longer mail that comes back whole is a
 * file (queue_report_full.c), up to WHOLE_MAX. */
#include <stdio.h>
#include <string.h>

#include "base/qid.h"
#include "delivery/queue_report_state.h"

#define REPORT_MAX (BODY_IN_FRAME_MAX)
#define HEAD_MAX (16 * 1024)
#define FULL_MAX (16 * 1024) /* a longer mail comes back by a file */
#define FULL_RCPTS 5         /* and one with more to be said */
#define WHOLE_MAX (16 * 1024 * 1024) /* a longer one does not come back whole */
#define TOO_LONG "it is longer than 16 MiB"
#define LINE_LONGEST 998     /* RFC 5322 2.1.1 */
#define SHOWN 50

static void
fill_rcpt(const struct report *r, size_t i, struct bounce_rcpt *out)
{
	const struct told_rcpt *t = &r->rcpts[i];
	const struct rcpt *rc = content_rcpt(r->item, t->n);

	*out = (struct bounce_rcpt){ t->to, t->original, rc != NULL ? rc->orcpt : "", t->host,
		t->o.code, t->enhanced, t->text };
	/* in which folder it is, is its owner's business */
	if (r->kind == BOUNCE_DELIVERED)
		out->text = "delivered";
}

static void
fill_bounce(
    const struct report *r, struct bounce *b, struct bounce_rcpt *rcpts, char *id, char *report_id)
{
	const struct envelope *e = &r->item->content->c.e;

	qid_text(e->qid, id);
	qid_text(r->id, report_id);
	*b = (struct bounce){ .hostname = role_conf()->hostname,
		.to = r->sender,
		.id = id,
		.report_id = report_id,
		.now = clock_now(),
		.arrived = qid_time(e->qid),
		.kind = r->kind,
		.until = r->until,
		.envid = e->envid,
		.to_postmaster = r->to_postmaster,
		.why_cut = r->why_cut,
		.rcpts = rcpts,
		.n_rcpts = r->n };
	for (size_t i = 0; i < r->n && i < SHOWN; i++)
		fill_rcpt(r, i, &rcpts[i]);
}

/* Only a mail that needs other characters is answered in them (RFC 6533 4). */
static bool
needs_utf8(const struct report *r, const struct bounce *b)
{
	if (!slice_is_ascii(slice_of(b->to)) ||
	    ((r->item->flags & ENVELOPE_UTF8) != 0 && !slice_is_ascii(b->headers)))
		return true;
	for (size_t i = 0; i < b->n_rcpts && i < SHOWN; i++)
		if (!slice_is_ascii(slice_of(b->rcpts[i].address)) ||
		    !slice_is_ascii(slice_of(b->rcpts[i].original)) ||
		    !slice_is_ascii(slice_of(b->rcpts[i].orcpt)))
			return true;
	return false;
}

/* -- the whole mail (RET=FULL) */

static bool
is_asked_for(const struct report *r)
{
	return r->kind == BOUNCE_FAILED && !r->to_postmaster &&
	       (r->item->content->c.e.flags & ENVELOPE_RET_FULL) != 0;
}

static bool
fits_row(const struct report *r)
{
	const struct envelope *e = &r->item->content->c.e;

	return (e->flags & ENVELOPE_SPOOLED) == 0 && e->prefix.len + e->size <= FULL_MAX &&
	       r->n <= FULL_RCPTS;
}

bool
report_needs_file(struct report *r)
{
	const struct envelope *e = &r->item->content->c.e;

	r->why_cut = NULL;
	if (!is_asked_for(r))
		return false;
	if ((e->flags & ENVELOPE_REQUIRETLS) != 0)
		r->why_cut = "it was sent with REQUIRETLS";
	else if ((e->flags & ENVELOPE_BINARY) != 0)
		r->why_cut = REPORT_ODD_LINES;
	else if (e->prefix.len + e->size > WHOLE_MAX)
		r->why_cut = TOO_LONG;
	return r->why_cut == NULL && !fits_row(r);
}

/* May it stand in a message as it is? */
static bool
lines_ok(struct slice s)
{
	struct slice line;

	if (s.len == 0 || memchr(s.at, '\0', s.len) != NULL)
		return false;
	while (slice_line(&s, &line))
		if (line.len > LINE_LONGEST)
			return false;
	return true;
}

/* Prefix and what is kept of the body; empty when it cannot come back so. */
static struct slice
full_text(const struct report *r, struct buf *out)
{
	const struct envelope *e = &r->item->content->c.e;
	struct slice piece;
	uint64_t pos = 0;

	if (!is_asked_for(r) || r->why_cut != NULL || !fits_row(r))
		return (struct slice){ NULL, 0 };
	buf_slice(out, prefix_shown(e->prefix));
	while ((piece = cuts_next(e->body, e->cuts, e->n_cuts, &pos)).len > 0)
		buf_slice(out, piece);
	return out->failed || !lines_ok(buf_all(out)) ? (struct slice){ NULL, 0 } : buf_all(out);
}

/* -- all of it */

static struct slice
try_write(const struct bounce *b, struct pool *pool)
{
	struct slice body = { NULL, 0 };
	struct buf out;

	buf_init(&out, REPORT_MAX);
	bounce_write(&out, b);
	if (!out.failed)
		body = pool_slice(pool, buf_all(&out));
	buf_free(&out);
	return body;
}

/* With as much of the mail's headers as fits. */
static struct slice
write_headers(struct bounce *b, struct slice headers, bool asked, struct pool *pool)
{
	struct slice body = { NULL, 0 };

	b->full = body;
	if (b->why_cut == NULL && asked)
		b->why_cut = REPORT_ODD_LINES;
	for (size_t most = HEAD_MAX; body.at == NULL; most /= 4) {
		b->headers = slice_first(headers, most);
		body = try_write(b, pool);
		if (most == 0)
			break;
		if (b->n_rcpts > 5 && most <= 1024)
			b->n_rcpts = 5;
	}
	return body;
}

static void
set_flags(struct report *r, bool utf8, bool eight)
{
	r->flags = ENVELOPE_REPORT | (r->to_postmaster ? ENVELOPE_DOUBLE : 0) |
		   (utf8 ? ENVELOPE_UTF8 : 0) | (eight ? ENVELOPE_8BIT : 0) |
		   (r->item->flags & ENVELOPE_REQUIRETLS);
}

struct slice
report_body(struct report *r, struct pool *pool)
{
	const struct content *c = r->item->content;
	struct bounce_rcpt rcpts[SHOWN];
	char id[QID_TEXT], report_id[QID_TEXT];
	struct slice body = { NULL, 0 };
	struct bounce b;
	struct buf headers, full;

	fill_bounce(r, &b, rcpts, id, report_id);
	buf_init(&headers, ENVELOPE_PREFIX_MAX + HEAD_MAX);
	buf_init(&full, FULL_MAX);
	buf_slice(&headers, prefix_shown(c->c.e.prefix));
	buf_slice(&headers, content_head(c, HEAD_MAX));
	b.headers = buf_all(&headers);
	b.utf8 = needs_utf8(r, &b);
	b.full = full_text(r, &full);
	if (b.full.len > 0)
		body = try_write(&b, pool);
	if (body.at == NULL)
		body = write_headers(&b, buf_all(&headers), is_asked_for(r), pool);
	set_flags(r, b.utf8, !slice_is_ascii(body));
	buf_free(&headers);
	buf_free(&full);
	return body;
}

void
report_around(struct report *r, bool eight, struct buf *head, struct buf *tail)
{
	struct bounce_rcpt rcpts[SHOWN];
	char id[QID_TEXT], report_id[QID_TEXT];
	struct bounce b;
	struct buf headers;

	fill_bounce(r, &b, rcpts, id, report_id);
	b.why_cut = NULL;
	buf_init(&headers, ENVELOPE_PREFIX_MAX + HEAD_MAX);
	buf_slice(&headers, prefix_shown(r->item->content->c.e.prefix));
	buf_slice(&headers, content_head(r->item->content, HEAD_MAX));
	b.headers = buf_all(&headers);
	b.utf8 = needs_utf8(r, &b);
	b.full_follows = true;
	b.full_8bit = eight;
	bounce_write(head, &b);
	bounce_end(tail, &b);
	set_flags(r, b.utf8, eight || !slice_is_ascii(buf_all(head)));
	buf_free(&headers);
}
