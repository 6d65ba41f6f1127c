/* resolver - the one process that speaks DNS, for all others
 *
 * A question frame (name, type) becomes a question to libunbound, which runs on the role's event
 * loop, caches, coalesces equal questions and validates. Its packet is taken apart here (packet.c),
 * so that no other process ever parses one.
 *
 * Every question is answered once, at the latest after resolver.timeout: DNS_TEMPORARY then.
 * libunbound goes on with it for some seconds more, which fills its cache for the next try; such
 * abandoned questions are counted too, so a flood of questions about dead zones costs bounded
 * memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>

#include "base/dns/client.h"
#include "base/dns/context.h"
#include "base/dns/packet.h"
#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "conf/conf.h"

#define RCODE_NXDOMAIN 3 /* RFC 1035 4.1.1 */
#define LIVE_MAX 1024    /* questions somebody waits for */
#define OPEN_MAX 8192    /* with those given up but still under way */

struct question {
	struct question *next, **at; /* list of all */
	struct reply_to to;
	struct event *timer;
	unsigned type;
	char name[DNS_NAME_TEXT + 1]; /* as it was asked */
	bool live;                    /* not answered yet */
	bool asking;                  /* ub_resolve_event is still on the stack */
	bool done;                    /* libunbound is through with it */
	bool fresh;		      /* asked in that context */
};

static struct ub_ctx *ctx;

/* The administrator has just published something: control's questions are asked anew, in a context that remembers
 * nothing from before the questions that are under way together. It goes when nobody has asked for FRESH_S. */
#define FRESH_S 2
static struct ub_ctx *fresh;
static struct event *fresh_timer;
static unsigned n_fresh; /* questions under way in it */
static struct question *questions;
static unsigned n_live, n_open;
static const struct timeval *timeout; /* a common one: all timers wait equally long */

/* -- answers */

static void
answer_failure(struct reply_to to, enum dns_status status, const char *why)
{
	struct buf *out = reply_begin(to, MSG_DNS_IS);

	wire_put_u64(out, status);
	wire_put_u64(out, 0);
	wire_put_u64(out, 0);
	wire_put_text(out, why);
	reply_send(to, -1);
}

static void
answer_reply(struct reply_to to, bool secure, const struct dns_reply *reply)
{
	struct buf *out = reply_begin(to, MSG_DNS_IS);

	wire_put_u64(out, reply->status);
	wire_put_u64(out, secure && reply->status != DNS_TEMPORARY);
	wire_put_u64(out, reply->ttl);
	wire_put_text(out, reply->text);
	buf_slice(out, buf_all(&reply->rdata));
	if (reply_send(to, -1) == -1 && link_by_serial(to.link_serial) != NULL)
		answer_failure(to, DNS_TEMPORARY, "the answer is too large");
}

/* -- the life of a question */

static struct question *
question_new(struct reply_to to, const char *name, unsigned type)
{
	struct question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->to = to;
	q->type = type;
	snprintf(q->name, sizeof(q->name), "%s", name);
	q->live = true;
	q->next = questions;
	q->at = &questions;
	if (questions != NULL)
		questions->at = &q->next;
	questions = q;
	n_live++;
	n_open++;
	return q;
}

static void
question_free(struct question *q)
{
	if (q->timer != NULL)
		event_free(q->timer);
	*q->at = q->next;
	if (q->next != NULL)
		q->next->at = q->at;
	n_fresh -= q->fresh;
	n_live -= q->live;
	n_open--;
	free(q);
}

/* Nobody waits for it any more. */
static void
question_settled(struct question *q)
{
	n_live -= q->live;
	q->live = false;
	if (q->timer != NULL)
		event_del(q->timer);
}

static void
timed_out(evutil_socket_t fd, short what, void *arg)
{
	struct question *q = arg;

	(void)fd, (void)what;
	answer_failure(q->to, DNS_TEMPORARY, "no DNS server answered in time");
	question_settled(q);
}

/* Is the packet about this question? When a question fails, libunbound calls back with a buffer that
 * still holds its answer to another one. */
static bool
is_about(struct slice packet, const struct question *q)
{
	struct dns_name name;
	ptrdiff_t at = dns_name_read(packet, 12, &name);

	return at >= 0 && (size_t)at + 4 <= packet.len && dns_name_is(&name, slice_of(q->name)) &&
	       ((unsigned char)packet.at[at] << 8 | (unsigned char)packet.at[at + 1]) ==
		   (int)q->type;
}

static void
answer_packet(struct question *q, int rcode, struct slice packet, int sec, const char *why)
{
	struct dns_reply reply;

	if (sec == 1) {
		answer_failure(
		    q->to, DNS_BOGUS, why != NULL ? why : "the answer's signature is wrong");
		return;
	}
	if ((rcode != 0 && rcode != RCODE_NXDOMAIN) || !is_about(packet, q)) {
		answer_failure(q->to, DNS_TEMPORARY, "no server gave a usable answer (SERVFAIL)");
		return;
	}
	dns_packet_read(packet, q->type, &reply);
	answer_reply(q->to, sec == 2, &reply);
	dns_reply_free(&reply);
}

static void
got_packet(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited)
{
	struct question *q = arg;

	(void)limited;
	if (q->live)
		answer_packet(q, rcode,
		    (struct slice){ packet, packet != NULL && len > 0 ? (size_t)len : 0 }, sec,
		    why);
	question_settled(q);
	q->done = true;
	if (!q->asking)
		question_free(q);
}

static void
fresh_end(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval life = { FRESH_S, 0 };

	(void)fd, (void)what, (void)arg;
	if (n_fresh > 0) {
		evtimer_add(fresh_timer, &life);
		return;
	}
	if (fresh != NULL)
		ub_ctx_delete(fresh);
	fresh = NULL;
}

/* Where control's question is asked: the usual context if there is no memory for one of its own. */
static struct ub_ctx *
fresh_context(void)
{
	static const struct timeval life = { FRESH_S, 0 };
	struct err err;

	if (fresh_timer == NULL)
		fresh_timer = evtimer_new(role_base(), fresh_end, NULL);
	if (fresh_timer == NULL || evtimer_add(fresh_timer, &life) == -1)
		return ctx;
	if (n_fresh > 0)
		return fresh;
	if (fresh != NULL)
		ub_ctx_delete(fresh);
	fresh = context_new(role_base(), role_conf(), &err);
	return fresh != NULL ? fresh : ctx;
}

/* Give the question to libunbound, which may answer at once. */
static void
question_ask(struct question *q, const char *name, bool anew)
{
	struct ub_ctx *where = anew ? fresh_context() : ctx;
	int id, r;

	q->fresh = where == fresh && fresh != NULL;
	n_fresh += q->fresh;
	q->asking = true;
	r = ub_resolve_event(where, name, (int)q->type, 1, q, got_packet, &id);
	q->asking = false;
	if (r != 0 && !q->done) {
		answer_failure(q->to, DNS_TEMPORARY, ub_strerror(r));
		q->done = true;
	}
	if (q->done) {
		question_free(q);
		return;
	}
	q->timer = evtimer_new(role_base(), timed_out, q);
	if (q->timer == NULL || evtimer_add(q->timer, timeout) == -1)
		log_error("no memory for a DNS timer");
}

/* -- frames */

static void
handle_ask(struct frame *f)
{
	struct reply_to to = reply_later(f);
	struct question *q;
	char name[DNS_NAME_TEXT + 1];
	unsigned type;

	wire_text_to(&f->in, name, sizeof(name));
	type = (unsigned)wire_u64(&f->in);
	if (wire_end(&f->in) == -1 || !dns_name_ok(slice_of(name))) {
		answer_failure(to, DNS_NXDOMAIN, "");
		return;
	}
	if (type == 0 || type > 65535 || type == 255) {
		answer_failure(to, DNS_TEMPORARY, "this type cannot be asked for");
		return;
	}
	if (n_live >= LIVE_MAX || n_open >= OPEN_MAX ||
	    (q = question_new(to, name, type)) == NULL) {
		answer_failure(to, DNS_TEMPORARY, "too many DNS questions are under way");
		return;
	}
	question_ask(q, name, link_peer(f->link) == ROLE_CONTROL);
}

/* -- the role */

static void
set_timeout(void)
{
	int64_t ms = role_conf()->resolver.timeout;
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	timeout = event_base_init_common_timeout(role_base(), &tv);
	if (timeout == NULL) {
		static struct timeval plain;

		plain = tv;
		timeout = &plain;
	}
}

static int
resolver_open(struct err *err)
{
	const struct conf *conf = role_conf();

	if (context_prepare(conf, role_file(SETUP_FILE_TRUST_ANCHOR, ""), err) == -1)
		return -1;
	set_timeout();
	ctx = context_new(role_base(), conf, err);
	if (ctx == NULL)
		return -1;
	/* a reload makes a new context, which reads these again */
	sandbox_grant("/usr/share/dns", SANDBOX_READ);
	sandbox_grant("/etc/hosts", SANDBOX_READ);
	return 0;
}

/* A new context for the new options; questions under way are told to come again. */
static int
resolver_reload(struct err *err)
{
	struct ub_ctx *made = context_new(role_base(), role_conf(), err);

	if (made == NULL)
		return -1;
	set_timeout();
	/* both before the questions: libunbound may answer some of them while it goes */
	ub_ctx_delete(ctx);
	ctx = made;
	if (fresh != NULL)
		ub_ctx_delete(fresh);
	fresh = NULL;
	while (questions != NULL) {
		if (questions->live)
			answer_failure(
			    questions->to, DNS_TEMPORARY, "the resolver was reconfigured");
		question_free(questions);
	}
	return 0;
}

static const struct msg_handler handlers[] = { { MSG_DNS_ASK, handle_ask }, { MSG_NONE, NULL } };

static const struct role_ops ops = {
	.role = ROLE_RESOLVER,
	.handlers = handlers,
	.open = resolver_open,
	.reload = resolver_reload,
};

int
main(void)
{
	return role_main(&ops);
}
