/* seven_out - gives out a message with its edits made and its cuts left out */
#include "base/seven_inner.h"

void
seven_rewind(struct seven *s, const struct cut *cuts, size_t n_cuts)
{
	s->cuts = cuts;
	s->n_cuts = n_cuts;
	s->pos = s->i_cut = s->i_edit = 0;
	s->coding = false;
	buf_reset(&s->out);
}

static void
put_fields(unsigned puts, struct buf *out)
{
	static const struct {
		unsigned bit;
		const char *text;
	} fields[] = {
		{ PUT_VERSION, "MIME-Version: 1.0\r\n" },
		{ PUT_TYPE_UTF8, "Content-Type: text/plain; charset=utf-8\r\n" },
		{ PUT_TYPE_UNKNOWN, "Content-Type: text/plain; charset=unknown-8bit\r\n" },
		{ PUT_7BIT, "Content-Transfer-Encoding: 7bit\r\n" },
		{ PUT_8BIT, "Content-Transfer-Encoding: 8bit\r\n" },
		{ PUT_QUOTED, "Content-Transfer-Encoding: quoted-printable\r\n" },
		{ PUT_BASE64, "Content-Transfer-Encoding: base64\r\n" },
		{ PUT_BLANK, "\r\n" },
	};

	for (size_t i = 0; i < COUNT(fields); i++)
		if (puts & fields[i].bit)
			buf_text(out, fields[i].text);
}

/* Begin the edit that stands here; what it has to say is in `out`. */
static void
begin_edit(struct seven *s)
{
	const struct edit *e = &s->edits[s->i_edit++];

	buf_reset(&s->out);
	s->pos += e->of.len;
	s->coding = e->codes;
	if (e->codes)
		s->coder = (struct coder){ .code = e->code,
			.ends = e->ends,
			.rest = slice_first(slice_skip(s->message, e->of.at), e->of.len) };
	else
		put_fields(e->puts, &s->out);
}

static size_t
smaller(size_t a, uint64_t b)
{
	return b < a ? (size_t)b : a;
}

/* Cuts and edits that are behind us, and the cut that begins here. */
static void
pass_cuts(struct seven *s)
{
	while (s->i_cut < s->n_cuts && s->cuts[s->i_cut].at <= s->pos) {
		const struct cut *c = &s->cuts[s->i_cut++];
		size_t end = smaller(s->message.len, c->at + c->len);

		if (end > s->pos)
			s->pos = end;
	}
	while (s->i_edit < s->n_edits && s->edits[s->i_edit].of.at < s->pos)
		s->i_edit++;
}

/* The message as it is, up to the next cut or edit. */
static struct slice
as_it_is(struct seven *s)
{
	size_t start = s->pos, end = s->message.len;

	if (s->i_cut < s->n_cuts)
		end = smaller(end, s->cuts[s->i_cut].at);
	if (s->i_edit < s->n_edits)
		end = smaller(end, s->edits[s->i_edit].of.at);
	s->pos = end;
	return slice_first(slice_skip(s->message, start), end - start);
}

struct slice
seven_next(struct seven *s)
{
	for (;;) {
		if (s->coding) {
			buf_reset(&s->out);
			s->coding = seven_code(&s->coder, &s->out);
			if (s->out.len > 0)
				return buf_all(&s->out);
			continue;
		}
		pass_cuts(s);
		if (s->i_edit == s->n_edits || s->edits[s->i_edit].of.at != s->pos)
			return as_it_is(s);
		begin_edit(s);
		if (s->out.len > 0)
			return buf_all(&s->out);
	}
}
