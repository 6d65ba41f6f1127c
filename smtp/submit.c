/* submit - what a user's own program hands in is held against who logged in (RFC 6409 4, 6, 8)
 *
 * Every address in From, Sender, Resent-From and Resent-Sender must be the user's own, as MAIL's sender
 * was (cmd_mail.c): the directory says. Bcc is cut out. Who is on a trusted network or on this machine has no account that addresses could
 * belong to, so From is not held against anything there, and such mail is not signed. */
#include <string.h>

#include "base/role.h"
#include "smtp/author.h"
#include "smtp/proto/path.h"
#include "smtp/session.h"
#include "smtp/spool.h"
#include "smtp/submit_head.h"

struct author {
	const char *field, *address;
};

static void ask_next(struct session *s);

static bool
is_submission(const struct session *s)
{
	return s->kind == LISTEN_SUBMISSION || s->kind == LISTEN_SUBMISSIONS ||
	       s->kind == LISTEN_LOCAL;
}

static void
no_directory(struct session *s)
{
	deliver_refuse(
	    s, 451, "4.3.0", "The directory cannot be asked now; please try again later");
}

static void
author_is(void *arg, struct frame *answer)
{
	struct session *s = arg;
	uint64_t status = SENDER_LATER;
	char why[400] = "";

	session_answered(s);
	if (answer != NULL) {
		status = wire_u64(&answer->in);
		wire_text_to(&answer->in, why, sizeof(why));
	}
	if (status == SENDER_OK)
		ask_next(s);
	else if (status == SENDER_NOT_THEIRS)
		deliver_refuse(s, 550, "5.7.1", "The header's %s: %s", s->tx->authors[-1].field,
		    why[0] != '\0' ? why : "you may not write as this address");
	else
		no_directory(s);
	session_run(s);
}

/* The next author that is not known to be theirs yet; without one, go on. */
static void
ask_next(struct session *s)
{
	struct transaction *t = s->tx;
	const char *author = NULL;
	struct buf *b;

	while (author == NULL && t->n_authors > 0) {
		author = t->authors++->address;
		t->n_authors--;
		if (path_same(author, t->from))
			author = NULL; /* that was asked at MAIL */
	}
	if (author == NULL) {
		deliver_judge(s);
		return;
	}
	b = request_begin(MSG_DIR_SENDER);
	wire_put_text(b, s->user);
	wire_put_text(b, author);
	s->token = link_request(role_link(ROLE_DIRECTORY), -1, author_is, s);
	if (s->token == 0)
		no_directory(s);
}

static void
no_memory(struct session *s)
{
	deliver_refuse(s, 451, "4.3.0", "This server is short of memory; please try again later");
}

/* The addresses of one field join the others; false: it was refused. */
static bool
read_claim(struct session *s, const struct claim *c, struct authors *read)
{
	struct transaction *t = s->tx;

	switch (authors_read(c->value, t->pool, read)) {
	case AUTHORS_OK:
		if (!c->single || read->n == 1)
			break;
		deliver_refuse(s, 550, "5.6.0",
		    "The header's %s names several addresses; it must name one", c->field);
		return false;
	case AUTHORS_UNREADABLE:
		deliver_refuse(s, 550, "5.6.0",
		    "The header's %s cannot be read; it must be like %s: \"Your Name\" "
		    "<you@your.domain>",
		    c->field, c->field);
		return false;
	case AUTHORS_TOO_MANY:
		deliver_refuse(s, 550, "5.6.0", "The header's %s names more than %d authors",
		    c->field, AUTHORS_MAX);
		return false;
	case AUTHORS_NO_MEMORY:
		no_memory(s);
		return false;
	}
	for (size_t i = 0; i < read->n; i++)
		t->authors[t->n_authors++] = (struct author){ c->field, read->at[i] };
	return true;
}

/* false: it was refused. */
static bool
read_authors(struct session *s, const struct submit_head *h)
{
	struct transaction *t = s->tx;
	struct authors *read = pool_alloc(t->pool, sizeof(*read));

	if (h->from != 1 || h->sender > 1) {
		deliver_refuse(s, 550, "5.6.0", "The header has %s field; it must have %sone",
		    h->from == 0  ? "no From"
		    : h->from > 1 ? "more than one From"
				  : "more than one Sender",
		    h->from != 1 ? "" : "none or ");
		return false;
	}
	if (h->twofold != NULL) {
		deliver_refuse(s, 550, "5.6.0",
		    "The header can be read in two ways: some readers see its %s and others do not; every "
		    "line of it must be a field, and an empty line end it",
		    h->twofold);
		return false;
	}
	if (h->too_many_claims) {
		deliver_refuse(s, 550, "5.6.0",
		    "The header was resent too often: it has more than %d fields of senders",
		    SUBMIT_CLAIMS_MAX);
		return false;
	}
	t->authors = pool_alloc(t->pool, h->n_claims * AUTHORS_MAX * sizeof(*t->authors));
	if (read == NULL || t->authors == NULL) {
		no_memory(s);
		return false;
	}
	for (size_t i = 0; i < h->n_claims; i++)
		if (!read_claim(s, &h->claims[i], read))
			return false;
	return true;
}

static bool
cut_bcc(struct session *s, const struct submit_head *h)
{
	struct transaction *t = s->tx;

	if (!h->complete || h->too_many) {
		deliver_refuse(s, 550, "5.6.0", "The header %s",
		    h->too_many ? "has too many Bcc fields" : "is longer than 256 KiB");
		return false;
	}
	if (h->n_bcc == 0)
		return true;
	t->cuts = pool_alloc(t->pool, h->n_bcc * sizeof(*t->cuts));
	if (t->cuts == NULL) {
		no_memory(s);
		return false;
	}
	memcpy(t->cuts, h->bcc, h->n_bcc * sizeof(*t->cuts));
	t->n_cuts = h->n_bcc;
	return true;
}

void
submit_begin(struct session *s)
{
	struct transaction *t = s->tx;
	struct submit_head head;
	struct body body;
	bool fine;

	if (!is_submission(s)) {
		deliver_judge(s);
		return;
	}
	if (body_open(&body, buf_all(&t->body), t->spool != NULL ? spool_fd(t->spool) : -1) == -1) {
		deliver_refuse(
		    s, 451, "4.3.0", "The message cannot be read now; please try again later");
		return;
	}
	submit_head_read(&head, body.bytes);
	fine = cut_bcc(s, &head) && (s->user == NULL || read_authors(s, &head));
	body_close(&body); /* what is needed of it was copied */
	if (fine)
		ask_next(s);
}
