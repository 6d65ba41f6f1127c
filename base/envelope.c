/* envelope - writer and reader of an envelope, side by side
 *
 * QUEUE_PUT: qid, flags, from, msgid, ip, envid, ticket, prefix, cuts, size, body, then (kind,
 * address, home, folder, original, notify, orcpt)*. Its row in msg.h says the same in letters. */
#include "base/envelope.h"

#include <endian.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

void
rcpt_put(struct buf *out, const struct rcpt *r)
{
	wire_put_u64(out, r->kind);
	wire_put_text(out, r->address);
	wire_put_text(out, r->home);
	wire_put_text(out, r->folder);
	wire_put_text(out, r->original);
	wire_put_u64(out, r->notify);
	wire_put_text(out, r->orcpt);
}

static size_t
text_cost(const char *text)
{
	return WIRE_COST(slice_of(text).len);
}

size_t
rcpt_cost(const struct rcpt *r)
{
	return 2 * WIRE_COST(8) + text_cost(r->address) + text_cost(r->home) +
	    text_cost(r->folder) + text_cost(r->original) + text_cost(r->orcpt);
}

/* NEVER stands alone (RFC 3461 4.1). */
static bool
notify_ok(uint64_t notify)
{
	return notify == NOTIFY_NEVER ||
	    (notify & ~(uint64_t)(NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY)) == 0;
}

int
rcpt_get(struct wire *in, struct pool *pool, struct rcpt *r)
{
	uint64_t kind = wire_u64(in), notify;

	r->kind = kind == RCPT_LOCAL ? RCPT_LOCAL : RCPT_REMOTE;
	r->address = wire_text(in, pool);
	r->home = wire_text(in, pool);
	r->folder = wire_text(in, pool);
	r->original = wire_text(in, pool);
	notify = wire_u64(in);
	r->notify = (unsigned)notify;
	r->orcpt = wire_text(in, pool);
	return in->failed || kind > RCPT_REMOTE || r->address[0] == '\0' ||
	    strlen(r->address) > ADDRESS_MAX || !notify_ok(notify) ||
	    strlen(r->orcpt) > ORCPT_MAX ? -1 : 0;
}

void
cuts_put(struct buf *out, const struct cut *cuts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t pair[2] = { htole64(cuts[i].at), htole64(cuts[i].len) };

		buf_append(out, pair, sizeof pair);
	}
}

int
cuts_get(struct slice bytes, struct cut cuts[static ENVELOPE_CUTS_MAX], size_t *n)
{
	uint64_t pair[2], end = 0;

	*n = 0;
	if (bytes.len % sizeof pair != 0 || bytes.len / sizeof pair > ENVELOPE_CUTS_MAX)
		return -1;
	for (; bytes.len > 0; bytes = slice_skip(bytes, sizeof pair)) {
		struct cut *c = &cuts[*n];

		memcpy(pair, bytes.at, sizeof pair);
		c->at = le64toh(pair[0]);
		c->len = le64toh(pair[1]);
		if (c->at < end || c->len > UINT64_MAX - c->at)
			return -1;
		end = c->at + c->len;
		(*n)++;
	}
	return 0;
}

static struct slice
prefix_part(struct slice prefix, unsigned n)
{
	while (n-- > 0)
		slice_cut(&prefix, '\0');
	return slice_cut(&prefix, '\0');
}

struct slice
prefix_shown(struct slice prefix)
{
	return prefix_part(prefix, 0);
}

struct slice
prefix_seven(struct slice prefix)
{
	return prefix_part(prefix, 1);
}

struct slice
prefix_set(struct slice prefix)
{
	return prefix_part(prefix, 2);
}

struct slice
prefix_set_seven(struct slice prefix)
{
	return prefix_part(prefix, 3);
}

struct slice
cuts_next(struct slice body, const struct cut *cuts, size_t n, uint64_t *pos)
{
	for (size_t i = 0; i < n; i++) {
		if (cuts[i].at + cuts[i].len <= *pos)
			continue;
		if (cuts[i].at > *pos && *pos < body.len) {
			struct slice piece = slice_skip(slice_first(body, cuts[i].at), *pos);

			*pos += piece.len;
			return piece;
		}
		*pos = cuts[i].at + cuts[i].len;
	}
	if (*pos >= body.len)
		return (struct slice){ NULL, 0 };
	body = slice_skip(body, *pos);
	*pos += body.len;
	return body;
}

void
envelope_put(struct buf *out, const struct envelope *e)
{
	struct buf cuts;

	buf_init(&cuts, 16 * ENVELOPE_CUTS_MAX);
	cuts_put(&cuts, e->cuts, e->n_cuts);
	if (cuts.failed)
		out->failed = true;
	wire_put_u64(out, e->qid);
	wire_put_u64(out, e->flags);
	wire_put_text(out, e->from);
	wire_put_text(out, e->msgid);
	wire_put_text(out, e->ip);
	wire_put_text(out, e->envid);
	wire_put_bytes(out, e->ticket);
	wire_put_bytes(out, e->prefix);
	wire_put_bytes(out, buf_all(&cuts));
	wire_put_u64(out, e->size);
	wire_put_bytes(out, e->body);
	buf_free(&cuts);
}

int
envelope_get(struct wire *in, struct pool *pool, struct envelope *e)
{
	int bad;

	memset(e, 0, sizeof *e);
	e->qid = wire_u64(in);
	e->flags = (unsigned)wire_u64(in);
	e->from = wire_text(in, pool);
	e->msgid = wire_text(in, pool);
	e->ip = wire_text(in, pool);
	e->envid = wire_text(in, pool);
	e->ticket = wire_bytes(in);
	e->prefix = wire_bytes(in);
	bad = cuts_get(wire_bytes(in), e->cuts, &e->n_cuts);
	e->size = wire_u64(in);
	e->body = wire_bytes(in);
	return in->failed || bad != 0 || e->qid == 0 || strlen(e->from) > ADDRESS_MAX ||
	    strlen(e->envid) > ENVID_MAX ||
	    e->prefix.len > ENVELOPE_PREFIX_MAX ? -1 : 0;
}

int
body_open(struct body *b, struct slice in_frame, int fd)
{
	struct stat st;

	*b = (struct body){ in_frame, NULL };
	if (fd == -1)
		return 0;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		return -1;
	if (st.st_size == 0)
		return 0;
	b->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (b->map == MAP_FAILED) {
		b->map = NULL;
		return -1;
	}
	b->bytes = (struct slice){ b->map, (size_t)st.st_size };
	return 0;
}

void
body_close(struct body *b)
{
	if (b->map != NULL)
		munmap(b->map, b->bytes.len);
	*b = (struct body){ { NULL, 0 }, NULL };
}
