/* queue_intake - a message from smtpd: checks, ticket, commit, answer
 *
 *   QUEUE_RCPTS* QUEUE_PUT -> is there room? -> is the ticket good? -> is the spool file durable?
 * -> commit -> QUEUE_IS
 *
 * The answer PUT_OK is given only after the commit; every other end leaves nothing in the queue.
 * Identity is claimed by ENVELOPE_SUBMITTED with a ticket that auth confirms (remembered for some
 * seconds, a link each); without one the client came from a trusted network or a local socket,
 * which smtpd alone can know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/qid.h"
#include "delivery/queue.h"

#define RCPTS_MAX 10000   /* of one message, after expansion */
#define PARTIALS_MAX 1024 /* messages whose recipients came, but not their QUEUE_PUT */
#define MARKS_MAX 65536   /* the same, with those whose recipients were too many to keep */
#define POOL_MAX (8 * 1024 * 1024)
#define PUTS_BYTES_MAX (64 * 1024 * 1024)
#define ENTRIES_PER_ITEM 10 /* recipients in the queue: so many times limits.queued */
#define TICKET_BYTES 16
#define TICKETS 256
#define TICKET_TRUST (10 * CLOCK_SECOND)

struct partial { /* QUEUE_RCPTS that came */
	struct partial *next;
	uint64_t qid, link_serial;
	struct pool *pool;
	struct rcpt *rcpts;
	size_t n, size;
	bool failed;
};

struct put {
	struct op op;
	struct put *next; /* among those that wait for their spool file */
	struct content *content;
	struct item *item; /* once the commit is asked for */
	struct reply_to to;
};

static struct partial *partials;
static unsigned n_partials;
static struct put *spooling;
static size_t put_bytes;

static struct {
	char ticket[TICKET_BYTES];
	uint64_t link_serial;
	int64_t until;
} tickets[TICKETS];

/* -- may mail come in? */

enum put_status
intake_open(const char **why)
{
	const struct conf *conf = role_conf();
	const struct err *err;

	if (queue.stopping) {
		*why = "the server is stopping";
		return PUT_TEMPORARY;
	}
	if (!writer_healthy(queue.writer, &err)) {
		*why = "the queue cannot be written now";
		return err->kind == ERR_FULL ? PUT_FULL : PUT_TEMPORARY;
	}
	if (queue.no_space) {
		*why = "free disk space is below limits.min_free";
		return PUT_FULL;
	}
	if (index_items(queue.index) >= (uint64_t)conf->limits.queued ||
	    index_entries(queue.index) >= (uint64_t)conf->limits.queued * ENTRIES_PER_ITEM) {
		*why = "too many messages are queued (limits.queued)";
		return PUT_FULL;
	}
	if (put_bytes > PUTS_BYTES_MAX) {
		*why = "too many messages at once";
		return PUT_TEMPORARY;
	}
	*why = "";
	return PUT_OK;
}

static void
answer(struct reply_to to, enum put_status status, const char *why)
{
	struct buf *b = reply_begin(to, MSG_QUEUE_IS);

	wire_put_u64(b, status);
	wire_put_text(b, why);
	reply_send(to, -1);
}

/* -- recipients ahead of their message */

static void
partial_free(struct partial **at)
{
	struct partial *p = *at;

	*at = p->next;
	n_partials--;
	pool_free(&p->pool);
	free(p);
}

static struct partial **
partial_find(uint64_t qid, uint64_t link_serial)
{
	struct partial **at = &partials;

	while (*at != NULL && !((*at)->qid == qid && (*at)->link_serial == link_serial))
		at = &(*at)->next;
	return at;
}

/* Recipients that cannot be kept leave a mark, so that their QUEUE_PUT is not taken without them.
 * When there is not even room for that, the process ends: nothing was promised yet. */
static struct partial *
partial_new(uint64_t qid, uint64_t link_serial)
{
	struct partial *p = n_partials < MARKS_MAX ? calloc(1, sizeof(*p)) : NULL;

	if (p == NULL) {
		log_error("too many messages with many recipients have begun: starting again");
		role_exit(1);
	}
	p->pool = n_partials < PARTIALS_MAX ? pool_new(POOL_MAX) : NULL;
	p->failed = p->pool == NULL;
	p->qid = qid;
	p->link_serial = link_serial;
	p->next = partials;
	partials = p;
	n_partials++;
	return p;
}

/* Append what the frame holds; false when there are too many or a field is bad. */
static bool
take_rcpts(struct wire *in, struct pool *pool, struct rcpt **rcpts, size_t *n, size_t *size)
{
	while (wire_more(in)) {
		if (*n == *size) {
			size_t more = *size > 0 ? *size * 2 : 4;
			struct rcpt *r =
			    more <= RCPTS_MAX * 2 ? pool_alloc(pool, more * sizeof(*r)) : NULL;

			if (r == NULL)
				return false;
			if (*n > 0)
				memcpy(r, *rcpts, *n * sizeof(*r));
			*rcpts = r;
			*size = more;
		}
		if (*n >= RCPTS_MAX || rcpt_get(in, pool, &(*rcpts)[*n]) == -1)
			return false;
		(*n)++;
	}
	return !in->failed;
}

void
intake_on_rcpts(struct frame *f)
{
	uint64_t qid = wire_u64(&f->in), serial = reply_later(f).link_serial;
	struct partial *p = *partial_find(qid, serial);

	if (p == NULL)
		p = partial_new(qid, serial);
	if (!p->failed && !take_rcpts(&f->in, p->pool, &p->rcpts, &p->n, &p->size))
		p->failed = true;
}

void
intake_link_down(struct link *l)
{
	struct partial **at = &partials;

	while (*at != NULL) {
		struct link *owner = link_by_serial((*at)->link_serial);

		if (owner == NULL || owner == l)
			partial_free(at);
		else
			at = &(*at)->next;
	}
}

/* -- the end of a put */

static void
put_refuse(struct put *p, enum put_status status, const char *why)
{
	bool spooled = (p->content->c.e.flags & ENVELOPE_SPOOLED) != 0;

	answer(p->to, status, why);
	if (spooled)
		spool_unclaim(p->content->c.e.qid, true);
	put_bytes -= p->content->bytes;
	content_free(&p->content);
	free(p);
}

static void
put_event(const struct envelope *e)
{
	char text[100];

	snprintf(text, sizeof(text), "%llu bytes for %zu recipient%s", (unsigned long long)e->size,
	    e->n_rcpts, e->n_rcpts == 1 ? "" : "s");
	role_event(&(struct event_note){ .qid = e->qid,
	    .event = EVENT_ACCEPTED,
	    .text = text,
	    .from = e->from,
	    .to = e->rcpts[0].address,
	    .ip = e->ip,
	    .msgid = e->msgid });
}

static void
put_failed(struct put *p, const struct err *err)
{
	bool full = err->kind == ERR_FULL;

	/* after a failed barrier the row may be on disk all the same: then its file must stay (a
	 * start sweeps) */
	if ((p->item->flags & ENVELOPE_SPOOLED) != 0)
		spool_unclaim(p->item->qid, full);
	answer(p->to, full ? PUT_FULL : PUT_TEMPORARY,
	    full ? "the disk of the queue is full" : "the queue cannot be written now");
	index_remove(queue.index, p->item);
	put_bytes -= p->content->bytes;
	content_free(&p->content);
	free(p);
}

static void
put_done(struct op *op, const struct err *err)
{
	struct put *p = (struct put *)op;
	struct item *it = p->item;

	if (err != NULL) {
		put_failed(p, err);
		return;
	}
	answer(p->to, PUT_OK, "");
	if ((it->flags & ENVELOPE_SPOOLED) != 0)
		spool_unclaim(it->qid, false);
	queue.accepted++;
	put_event(&p->content->c.e);
	put_bytes -= p->content->bytes;
	content_keep(it, p->content);
	free(p);
	flow_begin(it);
}

static int
put_run(struct op *op, struct queue_store *s, struct err *err)
{
	struct put *p = (struct put *)op;

	return queue_store_put(s, &p->content->c.e, qid_time(op->qid), err);
}

/* -- commit */

static struct item *
put_item(const struct envelope *e)
{
	struct item *it =
	    index_add(queue.index, e->qid, (uint16_t)e->flags, e->size, (uint32_t)e->n_rcpts);

	for (size_t i = 0; it != NULL && i < e->n_rcpts; i++) {
		if (e->rcpts[i].kind != RCPT_REMOTE)
			continue;
		if (index_set_dest(queue.index, &it->entries[i], slice_of(e->rcpts[i].address)) ==
		    -1) {
			index_remove(queue.index, it);
			return NULL;
		}
	}
	return it;
}

static void
put_commit(struct put *p)
{
	const struct envelope *e = &p->content->c.e;
	const char *why;
	enum put_status status = intake_open(&why);

	if (status == PUT_OK && !queue_has_space(e->body.len + e->prefix.len)) {
		status = PUT_FULL;
		why = "free disk space is below limits.min_free";
	}
	if (status != PUT_OK) {
		put_refuse(p, status, why);
		return;
	}
	p->item = put_item(e);
	if (p->item == NULL) {
		put_refuse(
		    p, PUT_TEMPORARY, "a message of this id is queued already, or memory is gone");
		return;
	}
	p->op = (struct op){ .kind = OP_INTAKE,
		.bytes = e->body.len + e->prefix.len,
		.qid = e->qid,
		.run = put_run,
		.done = put_done };
	writer_submit(queue.writer, &p->op);
}

/* -- the spool file */

static void
put_spool(struct put *p)
{
	const struct envelope *e = &p->content->c.e;
	struct link *l = link_by_serial(p->to.link_serial);

	if ((e->flags & ENVELOPE_SPOOLED) == 0) {
		put_commit(p);
		return;
	}
	switch (l != NULL ? spool_claim(l, e->qid, e->size, &p->content->fd) : SPOOL_NONE) {
	case SPOOL_READY:
		put_commit(p);
		break;
	case SPOOL_PENDING:
		p->next = spooling;
		spooling = p;
		break;
	case SPOOL_NONE:
		put_refuse(p, PUT_TEMPORARY, "the body of the message is not in the spool");
		break;
	}
}

void
intake_spooled(uint64_t qid, const struct err *err)
{
	struct put **at = &spooling, *p;

	while (*at != NULL && (*at)->content->c.e.qid != qid)
		at = &(*at)->next;
	p = *at;
	if (p == NULL)
		return;
	*at = p->next;
	if (err == NULL)
		put_commit(p);
	else
		put_refuse(p, err->kind == ERR_FULL ? PUT_FULL : PUT_TEMPORARY, err->text);
}

/* -- the ticket */

static unsigned
ticket_slot(struct slice ticket)
{
	return ((unsigned char)ticket.at[0] ^ (unsigned char)ticket.at[7]) % TICKETS;
}

static bool
ticket_known(struct slice ticket, uint64_t link_serial)
{
	unsigned i = ticket_slot(ticket);

	return tickets[i].until > clock_mono() && tickets[i].link_serial == link_serial &&
	       memcmp(tickets[i].ticket, ticket.at, TICKET_BYTES) == 0;
}

static void
ticket_answer(void *arg, struct frame *f)
{
	struct put *p = arg;
	struct slice ticket = p->content->c.e.ticket;
	unsigned i = ticket_slot(ticket);

	if (f == NULL) {
		put_refuse(p, PUT_TEMPORARY, "the login cannot be confirmed now");
		return;
	}
	if (wire_u64(&f->in) != 1) {
		log_warning("a message with a false login ticket was refused");
		put_refuse(p, PUT_REFUSED, "the login is not valid any more");
		return;
	}
	memcpy(tickets[i].ticket, ticket.at, TICKET_BYTES);
	tickets[i].link_serial = p->to.link_serial;
	tickets[i].until = clock_mono() + TICKET_TRUST;
	put_spool(p);
}

static void
put_identity(struct put *p)
{
	const struct envelope *e = &p->content->c.e;

	if ((e->flags & ENVELOPE_SUBMITTED) == 0 || e->ticket.len == 0) {
		put_spool(p);
	} else if (e->ticket.len != TICKET_BYTES) {
		put_refuse(p, PUT_REFUSED, "the login is not valid");
	} else if (ticket_known(e->ticket, p->to.link_serial)) {
		put_spool(p);
	} else {
		wire_put_bytes(request_begin(MSG_TICKET_CHECK), e->ticket);
		if (link_request(role_link(ROLE_AUTH), -1, ticket_answer, p) == 0)
			put_refuse(p, PUT_TEMPORARY, "the login cannot be confirmed now");
	}
}

/* -- reading it */

/* What is wrong with it, or NULL. */
static const char *
envelope_fault(const struct envelope *e)
{
	bool spooled = (e->flags & ENVELOPE_SPOOLED) != 0;

	if (e->qid == 0 || e->n_rcpts == 0)
		return "the message has no recipients";
	if (strlen(e->from) > ADDRESS_MAX || e->prefix.len > ENVELOPE_PREFIX_MAX)
		return "the envelope is too large";
	if (spooled ? e->body.len != 0 : e->body.len != e->size || e->size > BODY_IN_FRAME_MAX)
		return "the body has not the size that was announced";
	if ((e->flags & ENVELOPE_REPORT) != 0)
		return "only the queue writes reports";
	return NULL;
}

/* The same for control, which sends reports to other domains and nothing else. */
static const char *
report_fault(const struct envelope *e)
{
	if (e->from[0] != '\0' || (e->flags & ~(unsigned)ENVELOPE_TLS_OPTIONAL) != 0)
		return "control sends nothing but reports";
	return NULL;
}

/* The slices of a frame live only as long as it does. */
static bool
own_slices(struct envelope *e, struct pool *pool)
{
	e->ticket = pool_slice(pool, e->ticket);
	e->prefix = pool_slice(pool, e->prefix);
	e->body = pool_slice(pool, e->body);
	return e->ticket.at != NULL && e->prefix.at != NULL && e->body.at != NULL;
}

static const char *
read_put(struct frame *f, struct queue_content *c)
{
	struct envelope *e = &c->e;
	struct wire peek =
	    f->in; /* the id comes first: recipients that came ahead bring the pool */
	struct partial **ahead;
	struct rcpt *rcpts = NULL;
	size_t n = 0, size = 0;
	bool ok = true;

	ahead = partial_find(wire_u64(&peek), reply_later(f).link_serial);
	if (*ahead != NULL) {
		struct partial *p = *ahead;

		c->pool = p->pool;
		p->pool = NULL;
		rcpts = p->rcpts;
		n = p->n;
		size = p->size;
		ok = !p->failed;
		partial_free(ahead);
	} else {
		c->pool = pool_new(POOL_MAX);
	}
	if (c->pool == NULL)
		return "out of memory";
	if (!ok || envelope_get(&f->in, c->pool, e) == -1 ||
	    !take_rcpts(&f->in, c->pool, &rcpts, &n, &size))
		return "the envelope cannot be read";
	e->rcpts = rcpts;
	e->n_rcpts = n;
	if (!own_slices(e, c->pool))
		return "out of memory";
	if (link_peer(f->link) == ROLE_CONTROL && report_fault(e) != NULL)
		return report_fault(e);
	return envelope_fault(e);
}

void
intake_on_put(struct frame *f)
{
	struct queue_content c = { 0 };
	struct reply_to to = reply_later(f);
	struct put *p;
	const char *why = read_put(f, &c);

	if (why != NULL) {
		queue_content_free(&c);
		answer(to, PUT_TEMPORARY, why);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL || (p->content = content_new(&c, -1)) == NULL) {
		if (p == NULL)
			queue_content_free(&c);
		free(p);
		answer(to, PUT_TEMPORARY, "out of memory");
		return;
	}
	p->to = to;
	put_bytes += p->content->bytes;
	put_identity(p);
}
