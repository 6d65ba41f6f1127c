/* seven - finds what has to change in a message so that it can pass where fewer bytes can
 *
 * One pass, line by line, with a stack of the multiparts and messages that are open; what a body
 * holds is known at its end, and then the edits of its header and of itself are noted, so they
 * come out in the order of the message. A second pass counts the new size. Both go on where they
 * stopped, so that a long message stops no event loop.
 *
 * When no body needs a change there are no edits at all: a message that could pass keeps its
 * signatures. */
#include "base/seven_inner.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define SEALED                                                                                     \
	"its signed or encrypted part must not be converted; send it again with that part in "     \
	"quoted-printable or base64"
#define QUOTED_WORTH 6 /* quoted-printable while at most one byte in so many grows */

struct seven *
seven_new(struct slice message, enum seven_target target)
{
	struct seven *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->message = message;
	s->target = target;
	s->status = SEVEN_MORE;
	s->seen.utf8 = true;
	buf_init(&s->out, 2 * SEVEN_PIECE);
	return s;
}

void
seven_free(struct seven **sp)
{
	struct seven *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	buf_free(&s->out);
	free(s->edits);
	free(s);
}

enum seven_target
seven_target(const struct seven *s)
{
	return s->target;
}

const char *
seven_why(const struct seven *s, const char **enhanced)
{
	*enhanced = s->enhanced;
	return s->why;
}

uint64_t
seven_size(const struct seven *s)
{
	return s->size;
}

static void
cannot(struct seven *s, const char *enhanced, const char *why)
{
	s->status = SEVEN_CANNOT;
	s->enhanced = enhanced;
	s->why = why;
}

/* -- edits */

static void
edit(struct seven *s, struct edit e)
{
	if (s->n_edits == SEVEN_EDITS_MAX) {
		cannot(s, "5.6.3", "it has too many parts to be converted");
		return;
	}
	if (s->n_edits == s->room) {
		size_t room = s->room > 0 ? s->room * 2 : 16;
		struct edit *more = reallocarray(s->edits, room, sizeof(*more));

		if (more == NULL) {
			cannot(s, "4.3.0", "there is no memory to convert it");
			return;
		}
		s->edits = more;
		s->room = room;
	}
	s->edits[s->n_edits++] = e;
}

/* A Content-Transfer-Encoding field in place of what is there; `more`: what else MIME needs. */
static void
edit_header(struct seven *s, unsigned encoding, unsigned more)
{
	const struct entity *e = &s->now;

	if (e->odd) {
		cannot(s, "5.6.3", "its header has too many Content-Transfer-Encoding fields");
		return;
	}
	if (e->field.len > 0)
		edit(s, (struct edit){ .of = e->field, .puts = encoding });
	else
		more |= encoding;
	for (unsigned i = 0; i < e->n_extra; i++)
		edit(s, (struct edit){ .of = e->extra[i] });
	if (e->no_blank)
		more |= PUT_BLANK;
	if (more != 0)
		edit(s, (struct edit){ .of = { e->header_end, 0 }, .puts = more });
}

/* It says "8bit" or "binary" of a body that is no longer so. */
static void
relabel(struct seven *s)
{
	bool binary = s->now.encoding == ENC_BINARY;

	if (s->target == SEVEN_FOR_7BIT && (binary || s->now.encoding == ENC_8BIT))
		edit_header(s, PUT_7BIT, 0);
	else if (binary)
		edit_header(s, PUT_8BIT, 0);
}

/* -- what a body holds */

static void
forget_seen(struct seven *s)
{
	memset(&s->seen, 0, sizeof(s->seen));
	s->seen.utf8 = true;
}

static void
look_at(struct seven *s, struct slice line)
{
	struct slice text = line;
	size_t special = 0;

	if (text.len > 0 && text.at[text.len - 1] == '\n') {
		text.len--;
		if (text.len > 0 && text.at[text.len - 1] == '\r')
			text.len--;
		else
			s->seen.bare = true;
	}
	if (text.len > SEVEN_LINE_MAX)
		s->seen.tall = true;
	if (memchr(text.at, '\r', text.len) != NULL)
		s->seen.bare = true;
	if (memchr(text.at, '\0', text.len) != NULL)
		s->seen.nul = true;
	if (slice_is_ascii(text))
		return;
	for (size_t i = 0; i < text.len; i++)
		special += (unsigned char)text.at[i] >= 0x80 || text.at[i] == '=';
	s->seen.special += special;
	s->seen.eight = true;
	if (s->seen.utf8)
		s->seen.utf8 = utf8_ok(text);
}

/* What may not be sent at all, whatever it is in; too long a line may be, since most hosts take
 * it. */
static bool
is_bad(const struct seven *s)
{
	return s->seen.bare || s->seen.nul || (s->seen.eight && s->target == SEVEN_FOR_7BIT);
}

static enum seven_code
code_for(const struct seven *s, size_t len)
{
	switch (s->now.encoding) {
	case ENC_QUOTED:
		return CODE_QUOTED_MEND;
	case ENC_BASE64:
		return CODE_BASE64_MEND;
	default:
		if ((s->now.typed && !s->now.text) || s->seen.nul || s->seen.bare ||
		    s->seen.special > len / QUOTED_WORTH)
			return CODE_BASE64;
		return CODE_QUOTED;
	}
}

/* What makes a message without MIME one with it. Charsets were not told then; UTF-8 is told by its
 * form, others are unknown (RFC 1428). */
static unsigned
missing(const struct seven *s)
{
	unsigned puts = 0;

	if (s->n_open > 0 && s->open[s->n_open - 1].kind != KIND_MESSAGE)
		return 0;
	if (!s->now.version)
		puts |= PUT_VERSION;
	if (!s->now.typed && s->seen.eight)
		puts |= s->seen.utf8 ? PUT_TYPE_UTF8 : PUT_TYPE_UNKNOWN;
	return puts;
}

static void
encode_leaf(struct seven *s, struct range body)
{
	enum seven_code code = code_for(s, body.len);

	if (code == CODE_QUOTED || code == CODE_BASE64)
		edit_header(s, code == CODE_QUOTED ? PUT_QUOTED : PUT_BASE64, missing(s));
	edit(s, (struct edit){ .of = body,
		    .codes = true,
		    .code = code,
		    .ends = body.at + body.len == s->message.len });
	s->changed = true;
}

/* A body without parts ends here. */
static void
leaf_ends(struct seven *s, size_t end)
{
	struct range body = { s->now.body_at, end - s->now.body_at };
	bool fixed = s->now.kind == KIND_OPAQUE || s->now.encoding == ENC_OTHER;

	if (body.len == 0 || s->status == SEVEN_CANNOT)
		return;
	if (s->sealed_from > 0 && is_bad(s))
		cannot(s, "5.6.2", SEALED);
	else if (fixed && is_bad(s))
		cannot(s, "5.6.3",
		    "a part of it can be converted by its sender only; send it again in "
		    "quoted-printable or base64");
	else if (s->sealed_from == 0 && !fixed && (is_bad(s) || s->seen.tall))
		encode_leaf(s, body);
	else if (s->sealed_from == 0)
		relabel(s);
}

/* Text around the parts, which nobody is shown. Without a part behind it (`part_follows`) what
 * stands first in a multipart is all there is: readers show it, so it must not be left out. */
static void
junk_ends(struct seven *s, size_t end, bool part_follows)
{
	const struct entity *in = s->n_open > 0 ? &s->open[s->n_open - 1] : NULL;

	if (end == s->junk_at || !(is_bad(s) || s->seen.tall))
		return;
	if (s->sealed_from == 0 && in != NULL && in->body_at == s->junk_at && !part_follows) {
		if (is_bad(s))
			cannot(s, "5.6.3", "its multipart has no part that its boundary begins");
	} else if (s->sealed_from == 0) {
		bool glued = in != NULL && in->no_blank && in->body_at == s->junk_at;

		edit(s, (struct edit){ .of = { s->junk_at, end - s->junk_at },
			    .puts = glued ? PUT_BLANK : 0 });
		s->changed = true;
	} else if (is_bad(s)) {
		cannot(s, "5.6.2", SEALED);
	}
}

/* -- parts begin and end */

static void
header_starts(struct seven *s)
{
	const struct entity *outer = s->n_open > 0 ? &s->open[s->n_open - 1] : NULL;

	s->now = (struct entity){ .text = true };
	if (outer != NULL && outer->digest)
		s->now.kind = KIND_MESSAGE;
	s->field.len = 0;
	s->where = IN_HEADER;
	forget_seen(s);
}

static void
junk_starts(struct seven *s, size_t at)
{
	s->where = IN_JUNK;
	s->junk_at = at;
	forget_seen(s);
}

/* Can parts be looked for inside? They cannot when the whole is encoded, against the rules. */
static bool
can_open(const struct seven *s)
{
	return s->n_open < SEVEN_DEPTH_MAX && s->now.encoding != ENC_QUOTED &&
	       s->now.encoding != ENC_BASE64 && s->now.encoding != ENC_OTHER;
}

/* The header is read: `header_end` is where it ends, `body_at` where the body begins. */
static void
body_starts(struct seven *s, size_t header_end, size_t body_at)
{
	struct entity *e = &s->now;

	if (s->field.len > 0)
		seven_read_field(
		    e, slice_first(slice_skip(s->message, s->field.at), s->field.len), s->field.at);
	s->field.len = 0;
	e->header_end = header_end;
	e->body_at = body_at;
	e->no_blank = header_end == body_at;
	s->where = IN_LEAF;
	forget_seen(s);
	if (e->kind != KIND_MULTIPART && e->kind != KIND_MESSAGE)
		return;
	if (!can_open(s)) {
		e->kind = KIND_OPAQUE;
		return;
	}
	if (s->sealed_from == 0)
		relabel(s);
	s->open[s->n_open++] = *e;
	if (s->sealed_from == 0 && e->seals)
		s->sealed_from = s->n_open;
	if (e->kind == KIND_MULTIPART)
		junk_starts(s, body_at);
	else
		header_starts(s);
}

/* What was being read ends at `end`, the start of a boundary line or the end of the message;
 * `part_follows`: the line begins a part of the innermost multipart. */
static void
part_ends(struct seven *s, size_t end, bool part_follows)
{
	while (s->where == IN_HEADER)
		body_starts(s, end, end); /* its header only, or not even that */
	if (s->where == IN_JUNK) {
		junk_ends(s, end, part_follows);
		return;
	}
	/* the line end before a boundary belongs to that */
	if (end < s->message.len && end > s->now.body_at && s->message.at[end - 1] == '\n') {
		end--;
		if (end > s->now.body_at && s->message.at[end - 1] == '\r')
			end--;
	}
	leaf_ends(s, end);
}

static void
close_to(struct seven *s, unsigned n)
{
	s->n_open = n;
	if (s->sealed_from > n)
		s->sealed_from = 0;
}

enum boundary { BOUNDARY_NOT, BOUNDARY_NEXT, BOUNDARY_LAST };

/* Is it a boundary line, and of which open multipart? */
static enum boundary
boundary_line(const struct seven *s, struct slice line, unsigned *of)
{
	if (s->n_open == 0 || line.len < 3 || line.at[0] != '-' || line.at[1] != '-')
		return BOUNDARY_NOT;
	line = slice_skip(line, 2);
	for (unsigned i = s->n_open; i-- > 0;) {
		struct slice b = slice_of(s->open[i].boundary), rest;

		if (s->open[i].kind != KIND_MULTIPART || !slice_starts(line, b))
			continue;
		rest = slice_skip(line, b.len);
		*of = i;
		if (slice_trim(rest).len == 0)
			return BOUNDARY_NEXT;
		if (slice_starts(rest, SLICE("--")) && slice_trim(slice_skip(rest, 2)).len == 0)
			return BOUNDARY_LAST;
	}
	return BOUNDARY_NOT;
}

/* -- lines */

static bool
is_empty_line(struct slice line)
{
	return slice_eq(line, SLICE("\r\n")) || slice_eq(line, SLICE("\n"));
}

static void take_line(struct seven *s, struct slice line);

static void
header_line(struct seven *s, struct slice line)
{
	if (is_empty_line(line)) {
		body_starts(s, s->at, s->at + line.len);
	} else if (line.at[0] == ' ' || line.at[0] == '\t') {
		if (s->field.len > 0)
			s->field.len += line.len;
	} else if (seven_is_field(line)) {
		if (s->field.len > 0)
			seven_read_field(&s->now,
			    slice_first(slice_skip(s->message, s->field.at), s->field.len),
			    s->field.at);
		s->field = (struct range){ s->at, line.len };
	} else { /* the body begins without an empty line */
		body_starts(s, s->at, s->at);
		/* as a part's first, or of the header of the message that is this body */
		take_line(s, line);
	}
}

static void
take_line(struct seven *s, struct slice line)
{
	unsigned of;
	enum boundary b = boundary_line(s, line, &of);

	if (b == BOUNDARY_NOT) {
		if (s->where == IN_HEADER)
			header_line(s, line);
		else
			look_at(s, line);
		return;
	}
	part_ends(s, s->at, b == BOUNDARY_NEXT && of + 1 == s->n_open);
	close_to(s, b == BOUNDARY_NEXT ? of + 1 : of);
	if (b == BOUNDARY_NEXT)
		header_starts(s);
	else
		junk_starts(s, s->at + line.len);
}

static enum seven_status
looked(struct seven *s)
{
	part_ends(s, s->message.len, false);
	if (s->status == SEVEN_CANNOT)
		return s->status;
	if (!s->changed)
		return s->status = SEVEN_AS_IS;
	s->looked = true;
	seven_rewind(s, NULL, 0);
	return SEVEN_MORE;
}

static enum seven_status
look(struct seven *s, size_t bytes)
{
	size_t until = bytes < s->message.len - s->at ? s->at + bytes : s->message.len;

	while (s->at < until && s->status == SEVEN_MORE) {
		struct slice rest = slice_skip(s->message, s->at);
		ptrdiff_t lf = slice_find(rest, '\n');
		struct slice line = slice_first(rest, lf == -1 ? rest.len : (size_t)lf + 1);

		take_line(s, line);
		s->at += line.len;
	}
	return s->status == SEVEN_MORE && s->at == s->message.len ? looked(s) : s->status;
}

/* What is only passed on costs next to nothing, however long it is. */
static enum seven_status
count(struct seven *s, size_t bytes)
{
	for (size_t done = 0; done < bytes && s->status == SEVEN_MORE; done += 256) {
		struct slice piece = seven_next(s);

		s->size += piece.len;
		if (s->coding)
			done += piece.len;
		if (s->out.failed)
			cannot(s, "4.3.0", "there is no memory to convert it");
		else if (piece.len == 0)
			s->status = SEVEN_CHANGED;
	}
	return s->status;
}

enum seven_status
seven_step(struct seven *s, size_t bytes)
{
	if (s->status != SEVEN_MORE)
		return s->status;
	return s->looked ? count(s, bytes) : look(s, bytes);
}
