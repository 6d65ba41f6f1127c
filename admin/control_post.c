/* control_post - one report to one destination
 *
 * permission (DNS) -> recipients (directory) -> signature (signer) -> QUEUE_PUT -> done
 *
 * or, to an https: URL (RFC 8460 5.4): REPORT_POST to relay -> done
 *
 * A host outside the organization must say in DNS that it takes reports about the domain (RFC 9990,
 * "Verifying External Destinations"); else anybody could have us write to anybody. The report goes from <>, so
 * that nobody is told when it cannot be delivered. Unsigned it does not go at all: readers could not tell
 * it from a forged one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control_tell.h"
#include "base/clock.h"
#include "base/dns/client.h"
#include "base/envelope.h"
#include "base/qid.h"

#define RCPTS_MAX 100
#define TXT_MAX 4096
#define POOL_MAX (512 * 1024)

static void
post_end(struct post *p, enum post_end end, const char *why)
{
	char said[300];

	snprintf(said, sizeof(said), "%s", why); /* it may lie in the pool */
	pool_free(&p->pool);
	buf_free(&p->message);
	p->done(p, end, said);
}

/* -- queue */

static void
put_is(void *arg, struct frame *f)
{
	struct post *p = arg;
	enum put_status status = f != NULL ? (enum put_status)wire_u64(&f->in) : PUT_TEMPORARY;
	char why[200] = "the queue does not answer";

	if (f != NULL)
		wire_text_to(&f->in, why, sizeof(why));
	post_end(p, status == PUT_OK ? POST_SENT : status == PUT_REFUSED ? POST_NEVER : POST_LATER, why);
}

static void
put(struct post *p, struct slice signature)
{
	struct envelope e = { .qid = qid_new(),
		.flags = p->flags,
		.from = "",
		.msgid = p->mail.msgid,
		.ip = "",
		.envid = "",
		.prefix = signature,
		.size = p->message.len,
		.body = buf_all(&p->message) };
	struct buf *b = request_begin(MSG_QUEUE_PUT);

	envelope_put(b, &e);
	for (size_t i = 0; i < p->n_rcpts; i++)
		rcpt_put(b, &p->rcpts[i]);
	if (link_request(role_link(ROLE_QUEUE), -1, put_is, p) == 0)
		post_end(p, POST_LATER, "the queue is not there");
}

/* -- signer */

static void
sign_is(void *arg, struct frame *f)
{
	struct post *p = arg;
	enum sign_status status = f != NULL ? (enum sign_status)wire_u64(&f->in) : SIGN_LATER;
	struct slice fields = { 0 };
	char why[200] = "the signer does not answer";

	if (f != NULL) {
		fields = pool_slice(p->pool, wire_bytes(&f->in));
		wire_text_to(&f->in, why, sizeof(why));
	}
	if (status == SIGN_DONE && fields.len > 0)
		put(p, fields);
	else if (status == SIGN_LATER)
		post_end(p, POST_LATER, why);
	else
		post_end(p, POST_STOP, why);
}

static void
sign(struct post *p)
{
	tell_mail_write(&p->message, &p->mail);
	if (p->message.failed) {
		post_end(p, POST_NEVER, "the report is too long");
		return;
	}
	if (p->to.limit > 0 && p->message.len > p->to.limit) {
		post_end(p, POST_NEVER, "the report is longer than it takes");
		return;
	}
	wire_put_bytes(request_begin(MSG_SIGN_REPORT), buf_all(&p->message));
	if (link_request(role_link(ROLE_SIGNER), -1, sign_is, p) == 0)
		post_end(p, POST_LATER, "the signer is not there");
}

/* -- relay */

static void
posted_is(void *arg, struct frame *f)
{
	struct post *p = arg;
	enum put_status status = f != NULL ? (enum put_status)wire_u64(&f->in) : PUT_TEMPORARY;
	char why[200] = "the relay does not answer";

	if (f != NULL)
		wire_text_to(&f->in, why, sizeof(why));
	post_end(p, status == PUT_OK ? POST_SENT : status == PUT_REFUSED ? POST_NEVER : POST_LATER, why);
}

static void
hand_in(struct post *p)
{
	struct buf *b = request_begin(MSG_REPORT_POST);

	wire_put_text(b, p->to.to);
	wire_put_text(b, p->mail.type);
	wire_put_bytes(b, p->mail.file);
	if (link_request(role_link(ROLE_RELAY), -1, posted_is, p) == 0)
		post_end(p, POST_LATER, "the relay is not there");
}

/* -- directory */

static void
add_rcpt(struct post *p, enum rcpt_kind kind, const char *address, const char *home,
    const char *folder)
{
	p->rcpts[p->n_rcpts++] = (struct rcpt){ kind, address, home, folder, p->mail.to,
		NOTIFY_NEVER, "" };
}

static void
read_rcpts(struct post *p, struct frame *f)
{
	while (wire_more(&f->in) && p->n_rcpts < RCPTS_MAX) {
		enum rcpt_kind kind = wire_u64(&f->in) == RCPT_LOCAL ? RCPT_LOCAL : RCPT_REMOTE;
		const char *address = wire_text(&f->in, p->pool);
		const char *home = wire_text(&f->in, p->pool);
		const char *folder = wire_text(&f->in, p->pool);

		wire_bytes(&f->in);
		wire_u64(&f->in);
		add_rcpt(p, kind, address, home, folder);
	}
}

static void
rcpt_is(void *arg, struct frame *f)
{
	struct post *p = arg;
	enum rcpt_status status = f != NULL ? (enum rcpt_status)wire_u64(&f->in) : RCPT_TEMPORARY;

	p->rcpts = pool_alloc(p->pool, RCPTS_MAX * sizeof(*p->rcpts));
	if (p->rcpts == NULL || status == RCPT_TEMPORARY || status == RCPT_OVER_QUOTA) {
		post_end(p, POST_LATER, "the directory does not answer, or a mailbox is full");
		return;
	}
	wire_bytes(&f->in);
	if (status == RCPT_OK)
		read_rcpts(p, f);
	else if (status == RCPT_NOT_OURS)
		add_rcpt(p, RCPT_REMOTE, p->mail.to, "", "");
	if (p->n_rcpts == 0 || f->in.failed)
		post_end(p, POST_NEVER, "there is no such address here");
	else
		sign(p);
}

static void
ask_directory(struct post *p)
{
	p->mail.to = pool_text(p->pool, slice_of(p->to.to));
	if (p->mail.to == NULL) {
		post_end(p, POST_LATER, "out of memory");
		return;
	}
	wire_put_text(request_begin(MSG_DIR_RCPT), p->mail.to);
	if (link_request(role_link(ROLE_DIRECTORY), -1, rcpt_is, p) == 0)
		post_end(p, POST_LATER, "the directory is not there");
}

/* -- permission */

static bool
is_at_or_below(const char *name, const char *top)
{
	size_t n = strlen(name), m = strlen(top);

	return n >= m && strcmp(name + n - m, top) == 0 && (n == m || name[n - m - 1] == '.');
}

/* "v=DMARC1; rua=..."; the list in *rua, empty when there is none. */
static bool
read_permission(struct slice text, struct slice *rua)
{
	struct slice first = slice_cut(&text, ';'), name = slice_trim(slice_cut(&first, '='));

	*rua = SLICE("");
	if (!slice_eq_nocase(name, SLICE("v")) || !slice_eq(slice_trim(first), SLICE("DMARC1")))
		return false;
	while (text.len > 0) {
		struct slice pair = slice_cut(&text, ';');

		name = slice_trim(slice_cut(&pair, '='));
		if (slice_eq_nocase(name, SLICE("rua")) && rua->len == 0)
			*rua = slice_trim(pair);
	}
	return true;
}

/* Who takes the reports may name another address, on the same host. */
static void
take_override(struct post *p, struct slice list)
{
	struct rua other[RUA_MAX];
	size_t n = rua_read(list, other);

	for (size_t i = 0; i < n; i++) {
		if (other[i].kind == RUA_MAILTO && strcmp(other[i].host, p->to.host) == 0) {
			p->to = other[i];
			return;
		}
	}
}

static void
got_permission(void *arg, const struct dns_answer *a)
{
	struct post *p = arg;
	bool permitted = false;
	char text[TXT_MAX];
	struct slice rua;
	size_t len;

	if (a->status == DNS_TEMPORARY || a->status == DNS_BOGUS) {
		post_end(p, POST_LATER, "DNS does not say whether it takes reports about others");
		return;
	}
	for (size_t i = 0; a->status == DNS_OK && i < a->n && !permitted; i++) {
		permitted = dns_rdata_txt(a->rdata[i], text, sizeof(text), &len) &&
			    read_permission((struct slice){ text, len }, &rua);
		if (permitted)
			take_override(p, rua);
	}
	if (permitted)
		ask_directory(p);
	else
		post_end(p, POST_NEVER, "its host does not say in DNS that it takes reports about the domain");
}

static void
ask_permission(struct post *p)
{
	char name[700];

	snprintf(name, sizeof(name), "%.255s._report._dmarc.%.255s", p->domain, p->to.host);
	if (!dns_name_ok(slice_of(name)))
		post_end(p, POST_NEVER, "the name to ask for permission is too long");
	else if (dns_ask(name, DNS_TXT, got_permission, p) == NULL)
		post_end(p, POST_LATER, "the resolver is not there");
}

void
post_start(struct post *p)
{
	p->pool = pool_new(POOL_MAX);
	p->rcpts = NULL;
	p->n_rcpts = 0;
	buf_init(&p->message, BODY_IN_FRAME_MAX);
	if (p->pool == NULL)
		post_end(p, POST_LATER, "out of memory");
	else if (p->to.kind == RUA_HTTPS)
		hand_in(p);
	else if (p->organization == NULL || is_at_or_below(p->to.host, p->organization))
		ask_directory(p);
	else
		ask_permission(p);
}
