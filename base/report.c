/* report - what another server said of our mail, on its way from `filter` to `control` */
#include "base/report.h"

#include <string.h>

#include "base/link.h"

/* How many rows from `first` on fit into so many bytes. */
static size_t
rows_that_fit(const struct report *r, size_t first, size_t room)
{
	size_t n = 0;

	for (; first + n < r->n; n++) {
		size_t cost = WIRE_COST(8);

		for (size_t t = 0; t < REPORT_TEXTS; t++)
			cost += WIRE_COST(strlen(r->rows[first + n].text[t]));
		if (cost > room)
			break;
		room -= cost;
	}
	return n;
}

size_t
report_put(struct buf *b, const struct report *r, struct report_part *part)
{
	size_t n;

	wire_put_u64(b, r->kind);
	wire_put_u64(b, r->qid);
	wire_put_text(b, r->sender);
	wire_put_u64(b, r->proven);
	wire_put_text(b, r->org);
	wire_put_text(b, r->contact);
	wire_put_text(b, r->id);
	wire_put_text(b, r->domain);
	wire_put_i64(b, r->begins);
	wire_put_i64(b, r->ends);
	wire_put_text(b, r->policy);
	wire_put_text(b, r->note);
	wire_put_u64(b, part->first);
	n = rows_that_fit(r, part->first, FRAME_MAX - FRAME_HEADER - b->len - WIRE_COST(8));
	part->last = part->first + n == r->n;
	wire_put_u64(b, part->last);
	for (size_t i = part->first; i < part->first + n; i++) {
		wire_put_i64(b, r->rows[i].count);
		for (size_t t = 0; t < REPORT_TEXTS; t++)
			wire_put_text(b, r->rows[i].text[t]);
	}
	return n;
}

int
report_get(struct wire *in, struct pool *pool, struct report *r, struct report_part *part)
{
	size_t room = (size_t)(in->end - in->at) / (REPORT_TEXTS * WIRE_COST(0) + WIRE_COST(8)) + 1;
	uint64_t kind = wire_u64(in);

	*r = (struct report){ .kind = (enum report_kind)kind, .qid = wire_u64(in) };
	r->sender = wire_text(in, pool);
	r->proven = wire_u64(in) != 0;
	r->org = wire_text(in, pool);
	r->contact = wire_text(in, pool);
	r->id = wire_text(in, pool);
	r->domain = wire_text(in, pool);
	r->begins = wire_i64(in);
	r->ends = wire_i64(in);
	r->policy = wire_text(in, pool);
	r->note = wire_text(in, pool);
	part->first = wire_u64(in);
	part->last = wire_u64(in) != 0;
	r->rows = pool_alloc(pool, room * sizeof(*r->rows));
	while (r->rows != NULL && wire_more(in) && !in->failed && r->n < room) {
		struct report_row *row = &r->rows[r->n++];

		row->count = wire_i64(in);
		for (size_t t = 0; t < REPORT_TEXTS; t++)
			row->text[t] = wire_text(in, pool);
	}
	if (r->rows == NULL || kind >= REPORT_KINDS || part->first > REPORT_ROWS_MAX)
		return -1;
	return wire_end(in);
}
