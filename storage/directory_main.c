/* directory_main - the `directory` role: answers who is who, and is the only one that writes
 * directory.db
 *
 * A question is answered at once from prepared statements. Only where a mailbox has a quota `mda`
 * is asked how full it is; that answer may come later, in any order. When mda is away or does not
 * know, mail is let through: a quota is a limit for people, not a reason to refuse mail on a guess.
 * An address with several targets is refused for quota only when all of them are full, so that one
 * full mailbox does not close a list. */
#include <string.h>

#include "base/admin.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "conf/conf.h"
#include "storage/directory.h"
#include "storage/directory_admin.h"

#define QUESTION_BYTES (1024 * 1024)
#define QUESTIONS_MAX 4096 /* waiting for mda */

static struct directory *directory;
static unsigned waiting;

struct question {
	struct pool *pool; /* it lives in it */
	struct reply_to to;
	const char *original;
	struct directory_answer answer;
	unsigned asked; /* answers of mda yet to come */
	unsigned full;
};

struct usage {
	struct question *question;
	int64_t quota;
};

/* -- recipients */

static void
put_targets(struct buf *b, const struct question *q)
{
	const struct directory_target *t;
	size_t i;

	for (i = 0; i < q->answer.n; i++) {
		t = &q->answer.targets[i];
		wire_put_u64(b, t->kind);
		wire_put_text(b, t->address);
		wire_put_text(b, t->home);
		wire_put_text(b, "");
		wire_put_text(b, q->original);
		wire_put_u64(b, (uint64_t)t->quota);
	}
}

static void
answer_status(struct reply_to to, enum rcpt_status status, const char *why)
{
	struct buf *b = reply_begin(to, MSG_DIR_RCPT_IS);

	wire_put_u64(b, status);
	wire_put_text(b, why);
	reply_send(to, -1);
}

/* Answer and forget the question. */
static void
question_end(struct question *q)
{
	struct pool *pool = q->pool; /* q lives in it */
	struct buf *b;

	if (q->full > 0 && q->full == q->answer.n) {
		answer_status(q->to, RCPT_OVER_QUOTA, "the mailbox is full");
	} else if (q->answer.status != RCPT_OK) {
		answer_status(q->to, q->answer.status, q->answer.why);
	} else {
		b = reply_begin(q->to, MSG_DIR_RCPT_IS);
		wire_put_u64(b, RCPT_OK);
		wire_put_text(b, q->answer.why);
		put_targets(b, q);
		if (reply_send(q->to, -1) == -1)
			answer_status(q->to, RCPT_TEMPORARY,
			    "the address leads to more others than an answer can hold");
	}
	pool_free(&pool);
}

static void
usage_is(void *arg, struct frame *f)
{
	struct usage *u = arg;
	struct question *q = u->question;
	uint64_t known, bytes;

	if (f != NULL) {
		known = wire_u64(&f->in);
		bytes = wire_u64(&f->in);
		if (known == 1 && bytes >= (uint64_t)u->quota)
			q->full++;
	}
	waiting--;
	if (--q->asked == 0)
		question_end(q);
}

static void
ask_usage(struct question *q, const struct directory_target *t)
{
	struct usage *u = pool_alloc(q->pool, sizeof(*u));
	struct buf *b;

	if (u == NULL || waiting >= QUESTIONS_MAX || role_link(ROLE_MDA) == NULL)
		return;
	u->question = q;
	u->quota = t->quota;
	b = request_begin(MSG_MDA_USAGE);
	wire_put_text(b, t->home);
	wire_put_u64(b, (uint64_t)t->quota);
	if (link_request(role_link(ROLE_MDA), -1, usage_is, u) == 0)
		return;
	q->asked++;
	waiting++;
}

static void
on_rcpt(struct frame *f)
{
	struct pool *pool = pool_new(QUESTION_BYTES);
	struct question *q = pool == NULL ? NULL : pool_alloc(pool, sizeof(*q));
	size_t i;

	if (q == NULL) {
		pool_free(&pool);
		answer_status(reply_later(f), RCPT_TEMPORARY, "out of memory");
		return;
	}
	q->pool = pool;
	q->to = reply_later(f);
	q->original = wire_text(&f->in, pool);
	directory_lookup(directory, slice_of(q->original), pool, &q->answer);
	q->asked = 1; /* ours: no answer may end it before all were asked */
	for (i = 0; i < q->answer.n; i++)
		if (q->answer.targets[i].kind == RCPT_LOCAL && q->answer.targets[i].quota > 0)
			ask_usage(q, &q->answer.targets[i]);
	if (--q->asked == 0)
		question_end(q);
}

/* -- senders */

static void
on_sender(struct frame *f)
{
	struct pool *pool = pool_new(QUESTION_BYTES);
	struct err err = { ERR_TEMPORARY, 0, "out of memory" };
	const char *why = "", *user, *address;
	struct buf *b;
	int yes = -1;

	if (pool != NULL) {
		user = wire_text(&f->in, pool);
		address = wire_text(&f->in, pool);
		yes = directory_may_send(
		    directory, slice_of(user), slice_of(address), pool, &why, &err);
	}
	b = reply_begin(reply_later(f), MSG_DIR_SENDER_IS);
	wire_put_u64(b, yes == -1 ? SENDER_LATER : yes == 1 ? SENDER_OK : SENDER_NOT_THEIRS);
	wire_put_text(b, yes == -1 ? err.text : why);
	reply_send(reply_later(f), -1);
	if (yes == -1)
		log_warning("whether a user may send as an address cannot be told: %s", err.text);
	pool_free(&pool);
}

/* Said before the change, not after: a question that an smtpd asks from then on is read when the change is done. */
static void
tell_change(void)
{
	struct link *l;

	for (unsigned i = 0; (l = role_link_at(ROLE_SMTPD, i)) != NULL; i++) {
		frame_begin(MSG_DIR_CHANGED, 0);
		link_send(l, -1);
	}
}

static void
on_admin(struct frame *f)
{
	tell_change();
	admin_serve(f, directory_admin_verbs, directory);
}

/* -- mail that goes on to another server */

static void
on_forward(struct frame *f)
{
	char sender[ADDRESS_MAX + 1], alias[ADDRESS_MAX + 1], out[DIRECTORY_FORWARD_SIZE];
	struct err err;
	struct buf *b;
	int rc;

	wire_text_to(&f->in, sender, sizeof(sender));
	wire_text_to(&f->in, alias, sizeof(alias));
	rc = directory_forward(directory, clock_now(), slice_of(sender), slice_of(alias), out, &err);
	if (rc == -1)
		log_error("under which sender mail goes on cannot be told: %s", err.text);
	b = reply_begin(reply_later(f), MSG_DIR_FORWARD_IS);
	wire_put_u64(b, rc == -1 ? 2 : (uint64_t)rc);
	wire_put_text(b, rc == 1 ? out : sender);
	reply_send(reply_later(f), -1);
}

/* -- life */

static struct directory_settings
settings(void)
{
	const struct conf *c = role_conf();

	return (struct directory_settings){ c->hostname, c->delivery.subaddress_separator,
		c->delivery.default_quota };
}

static int
open_store(struct err *err)
{
	struct directory_settings s = settings();

	directory = directory_open(DB_WRITE, &s, err);
	if (directory == NULL)
		return -1;
	sandbox_grant("directory.db", SANDBOX_READ | SANDBOX_WRITE);
	sandbox_grant("directory.db-wal", SANDBOX_READ | SANDBOX_WRITE);
	sandbox_grant("directory.db-shm", SANDBOX_READ | SANDBOX_WRITE);
	return 0;
}

static int
reload(struct err *err)
{
	struct directory_settings s = settings();

	return directory_configure(directory, &s, err);
}

static void
stop(void)
{
	directory_close(&directory);
	role_exit(0);
}

static const struct msg_handler handlers[] = {
	{ MSG_DIR_RCPT, on_rcpt },
	{ MSG_DIR_SENDER, on_sender },
	{ MSG_DIR_FORWARD, on_forward },
	{ MSG_ADMIN, on_admin },
	{ MSG_NONE, NULL },
};

static const struct role_ops ops = {
	.role = ROLE_DIRECTORY,
	.handlers = handlers,
	.open = open_store,
	.reload = reload,
	.stop = stop,
};

int
main(void)
{
	return role_main(&ops);
}
