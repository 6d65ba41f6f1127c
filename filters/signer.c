/* signer - signs our own users' mail with DKIM
 *
 * A message is signed when its From has one address whose domain has keys here (signer_keys.h), with every one that is
 * active, RSA first, and that `control` has not stopped because its record is not in DNS. Whose session it is, `auth`
 * says by its ticket; that this user may write as the address in From, `directory` says. smtpd has asked the
 * same, but it is the one that strangers speak to: if it is broken into, it must not get our signature under other
 * names than those of who is logged in.
 *
 * Mail of strangers that an alias sends on gets an ARC set (signer_seal.c).
 *
 * Errors: "try later" when auth or directory do not answer, memory is gone or the library fails;
 * "refused" for an author who is not the user; "no key" when there is none to sign with. */
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/admin.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "filters/dkim_sign.h"
#include "filters/signer.h"
#include "filters/signer_keys.h"

#define JOBS_MAX 64
#define PER_DOMAIN_MAX 4 /* signatures on one message */
#define FIELDS_MAX (16 * 1024)
#define SEVEN_STEP (1024 * 1024)
#define CHECK_SECONDS 10 /* that auth and directory may take together */

/* -- signing */

struct job {
	struct pool *pool;
	struct reply_to to;
	struct slice prefix;
	struct body body;
	bool seven; /* a signature for hosts that take seven bits is wanted, too */
	int fd;
	char author[DKIM_AUTHOR_SIZE];
	const char *domain; /* in author */
	uint64_t asked;     /* token of the request to auth or directory */
	struct event *timer;
};
static unsigned n_jobs;

static void
answer(struct reply_to to, enum sign_status status, struct slice fields, const char *why)
{
	struct buf *b = reply_begin(to, MSG_SIGN_IS);

	wire_put_u64(b, status);
	wire_put_bytes(b, fields);
	wire_put_text(b, why);
	reply_send(to, -1);
}

static void
job_free(struct job *job)
{
	link_forget(job->asked);
	if (job->timer != NULL)
		event_free(job->timer);
	body_close(&job->body);
	if (job->fd >= 0)
		close(job->fd);
	pool_free(&job->pool);
	free(job);
	n_jobs--;
	if (role_stopping() && n_jobs == 0)
		role_exit(0);
}

static void
job_end(struct job *job, enum sign_status status, struct slice fields, const char *why)
{
	answer(job->to, status, fields, why);
	job_free(job);
}

static void
job_later(struct job *job, const char *why)
{
	job_end(job, SIGN_LATER, (struct slice){ 0 }, why);
}

/* A field for each of the domain's keys that sign, RSA on top, for not every receiver reads on past a kind it does not
 * know; how many, -1: it cannot be done. */
static int
sign_with_all(const struct job *job, struct seven *seven, struct buf *out, struct err *err)
{
	static const enum dkim_algorithm order[] = { DKIM_RSA, DKIM_ED25519 };
	int n = 0;

	for (size_t i = 0; i < COUNT(order) * signer_keys.n && n < PER_DOMAIN_MAX; i++) {
		const struct signer_key *k = signer_keys.at[i % signer_keys.n];
		struct dkim_signer with = { k->domain, k->selector, k->algorithm, k->pem };

		if (k->algorithm != order[i / signer_keys.n] || !signer_keys_signs(k, job->domain))
			continue;
		if (dkim_sign_message(&with, job->prefix, job->body.bytes, seven, clock_now(), out,
			err) == -1)
			return -1;
		n++;
	}
	return n;
}

/* The same for what the relay makes of it where only seven bits pass, when that is something else. Without
 * these fields it is only that signature that is missing there. */
static void
sign_seven(const struct job *job, struct buf *out)
{
	struct seven *seven = seven_new(job->body.bytes, SEVEN_FOR_7BIT);
	enum seven_status status = SEVEN_CANNOT;
	size_t len = out->len;
	struct err err = { 0 };

	while (seven != NULL && (status = seven_step(seven, SEVEN_STEP)) == SEVEN_MORE)
		;
	if (status == SEVEN_CHANGED &&
	    (buf_char(out, '\0') == -1 || sign_with_all(job, seven, out, &err) == -1)) {
		log_warning("no second signature for hosts without 8BITMIME: %s", err.text);
		out->failed = false;
		out->len = len;
	}
	seven_free(&seven);
}

static void
job_sign(struct job *job)
{
	struct err err = { 0 };
	struct buf out;
	int n;

	buf_init(&out, FIELDS_MAX);
	n = sign_with_all(job, NULL, &out, &err);
	if (n == -1) {
		log_error("%s", err.text);
		job_later(job, err.text);
	} else {
		if (n > 0 && job->seven)
			sign_seven(job, &out);
		job_end(job, n > 0 ? SIGN_DONE : SIGN_NO_KEY, buf_all(&out), "");
	}
	buf_free(&out);
}

/* -- whose message is it? */

static void
got_sender(void *arg, struct frame *f)
{
	struct job *job = arg;
	uint64_t status = f != NULL ? wire_u64(&f->in) : SENDER_LATER;
	char why[400] = "";

	job->asked = 0;
	if (f != NULL)
		wire_text_to(&f->in, why, sizeof(why));
	if (status == SENDER_OK) {
		job_sign(job);
	} else if (status == SENDER_NOT_THEIRS) {
		log_warning("not signed for %s: %s", job->domain, why);
		job_end(job, SIGN_REFUSED, (struct slice){ 0 }, why);
	} else {
		job_later(job, "the directory did not say whether the author is theirs");
	}
}

static void
ask_directory(struct job *job, const char *user)
{
	struct buf *b = request_begin(MSG_DIR_SENDER);

	wire_put_text(b, user);
	wire_put_text(b, job->author);
	job->asked = link_request(role_link(ROLE_DIRECTORY), -1, got_sender, job);
	if (job->asked == 0)
		job_later(job, "the directory is not there");
}

static void
got_ticket(void *arg, struct frame *f)
{
	struct job *job = arg;
	bool good;

	job->asked = 0;
	if (f == NULL) {
		job_later(job, "auth did not confirm the session");
		return;
	}
	good = wire_u64(&f->in) == 1;
	if (good)
		ask_directory(job, wire_text(&f->in, job->pool));
	else
		job_later(job, "auth does not know the session");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	job_later(arg, "it takes too long to confirm the session and its author");
}

/* Copies what must outlive the frame. false: memory is gone, or the body cannot be read. */
static bool
job_fill(struct job *job, struct slice prefix, struct slice body, int fd)
{
	job->fd = fd;
	job->pool = pool_new(2 * FRAME_MAX);
	if (job->pool == NULL)
		return false;
	job->prefix = pool_slice(job->pool, prefix);
	if (fd < 0)
		body = pool_slice(job->pool, body);
	return job->prefix.at != NULL && (fd >= 0 || body.at != NULL) &&
	       body_open(&job->body, body, fd) == 0;
}

static bool
ask_auth(struct job *job, struct slice ticket)
{
	static const struct timeval most = { CHECK_SECONDS, 0 };
	struct buf *b;

	job->timer = event_new(role_base(), -1, 0, on_timer, job);
	if (job->timer == NULL || event_add(job->timer, &most) == -1)
		return false;
	b = request_begin(MSG_TICKET_CHECK);
	wire_put_bytes(b, ticket);
	job->asked = link_request(role_link(ROLE_AUTH), -1, got_ticket, job);
	return job->asked != 0;
}

static void
on_sign(struct frame *f)
{
	struct reply_to to = reply_later(f);
	struct slice ticket, prefix, body;
	struct job *job;

	wire_u64(&f->in);
	ticket = wire_bytes(&f->in);
	prefix = wire_bytes(&f->in);
	body = wire_bytes(&f->in);
	if (signer_keys.n == 0) {
		answer(to, SIGN_NO_KEY, (struct slice){ 0 }, "there are no keys");
		return;
	}
	job = n_jobs < JOBS_MAX ? calloc(1, sizeof(*job)) : NULL;
	if (job == NULL) {
		answer(to, SIGN_LATER, (struct slice){ 0 }, "the signer is busy");
		return;
	}
	n_jobs++;
	job->to = to;
	job->seven = wire_u64(&f->in) == 1;
	if (!job_fill(job, prefix, body, frame_take_fd(f)))
		job_later(job, "the message cannot be read");
	else if (!dkim_sign_author(job->prefix, job->body.bytes, job->author) ||
		 !signer_keys_have(job->domain = strrchr(job->author, '@') + 1))
		job_end(job, SIGN_NO_KEY, (struct slice){ 0 }, "the domain in From has no key");
	else if (!ask_auth(job, ticket))
		job_later(job, "auth is not there");
}

/* -- reports to other domains: control's, and only under the one address that they come from */

static bool
is_reporter(const char *author)
{
	char from[320];

	conf_report_from(role_conf(), from);
	return slice_eq_nocase(slice_of(author), slice_of(from));
}

static void
on_sign_report(struct frame *f)
{
	struct reply_to to = reply_later(f);
	struct job job = { .fd = -1, .body = { .bytes = wire_bytes(&f->in) } };
	struct err err = { 0 };
	struct buf out;
	int n = 0;

	if (!dkim_sign_author(job.prefix, job.body.bytes, job.author) || !is_reporter(job.author)) {
		answer(to, SIGN_REFUSED, (struct slice){ 0 }, "it is not from the address of reports");
		return;
	}
	buf_init(&out, FIELDS_MAX);
	job.domain = strrchr(job.author, '@') + 1;
	if (signer_keys_have(job.domain))
		n = sign_with_all(&job, NULL, &out, &err);
	answer(to, n > 0 ? SIGN_DONE : n == 0 ? SIGN_NO_KEY : SIGN_LATER, buf_all(&out),
	    n == 0 ? "its domain has no key" : err.text);
	buf_free(&out);
}

/* -- the administrator */

static int
dkim_list(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	char name[600], since[24];

	(void)owner;
	(void)rq;
	(void)err;
	for (size_t i = 0; i < signer_keys.n; i++) {
		const struct signer_key *k = signer_keys.at[i];

		snprintf(name, sizeof(name), "%s._domainkey.%s", k->selector, k->domain);
		snprintf(since, sizeof(since), "%" PRId64, k->standing.since);
		admin_row(out, "domain", k->domain, "selector", k->selector, "algorithm",
		    dkim_algorithm_name(k->algorithm), "name", name, "record", k->record, "state",
		    dkim_state_name(k->standing.state), "since", since, "seen",
		    k->standing.seen ? "yes" : "no", "stopped", k->stopped ? "yes" : "no", "stop_kept",
		    k->standing.stopped ? "yes" : "no", NULL);
	}
	return 0;
}

/* From control: may this key sign? */
static int
dkim_stop(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *domain = admin_get(rq, "domain"), *selector = admin_get(rq, "selector"),
		   *stop = admin_get(rq, "stop");
	struct signer_key *k = domain != NULL && selector != NULL ? signer_keys_find(&signer_keys, domain, selector) : NULL;

	(void)owner;
	(void)out;
	if (k == NULL)
		return err_set(err, ERR_NOT_FOUND, "there is no such key");
	k->stopped = stop != NULL && strcmp(stop, "yes") == 0;
	return 0;
}

static const struct admin_verb verbs[] = {
	{ "dkim.list", dkim_list },
	{ "dkim.stop", dkim_stop },
	{ NULL, NULL },
};

static void
on_admin(struct frame *f)
{
	admin_serve(f, verbs, NULL);
}

/* -- the role */

/* OpenSSL reads its files at its first use: sign something before the door closes. */
static void
warm_up(void)
{
	static const char text[] = "From: a@b.example\r\n\r\nwarm\r\n";
	struct buf out;

	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	buf_init(&out, FIELDS_MAX);
	for (size_t i = 0, seen = 0; i < signer_keys.n && seen != 3; i++) {
		const struct signer_key *k = signer_keys.at[i];
		struct dkim_signer with = { k->domain, k->selector, k->algorithm, k->pem };
		struct err err = { 0 };

		if (k->pem == NULL)
			continue;
		buf_reset(&out);
		seen |= k->algorithm == DKIM_RSA ? 1 : 2;
		if (dkim_sign_message(
			&with, (struct slice){ 0 }, slice_of(text), NULL, clock_now(), &out, &err) == -1)
			log_error("%s", err.text);
	}
	buf_free(&out);
}

static int
signer_open(struct err *err)
{
	(void)err;
	signer_keys_read(&signer_keys);
	warm_up();
	return 0;
}

static int
signer_reload(struct err *err)
{
	static struct signer_keys fresh;

	(void)err;
	fresh.n = 0;
	signer_keys_read(&fresh);
	for (size_t i = 0; i < fresh.n; i++) {
		const struct signer_key *old = signer_keys_find(&signer_keys, fresh.at[i]->domain, fresh.at[i]->selector);

		if (old != NULL) /* what control said last; that may not be written down yet */
			fresh.at[i]->stopped = old->stopped;
	}
	signer_keys_free(&signer_keys);
	signer_keys = fresh;
	return 0;
}

/* Keys went on their way: the same, without a configuration. */
static int
signer_renew(struct buf *notes, struct err *err)
{
	(void)notes;
	return signer_reload(err);
}

static void
signer_stop(void)
{
	if (n_jobs == 0)
		role_exit(0);
}

static const struct msg_handler handlers[] = {
	{ MSG_SIGN, on_sign },
	{ MSG_SEAL, signer_on_seal },
	{ MSG_SIGN_REPORT, on_sign_report },
	{ MSG_ADMIN, on_admin },
	{ MSG_NONE, NULL },
};

static const struct role_ops ops = {
	.role = ROLE_SIGNER,
	.handlers = handlers,
	.open = signer_open,
	.reload = signer_reload,
	.renew = signer_renew,
	.stop = signer_stop,
};

int
main(void)
{
	return role_main(&ops);
}
