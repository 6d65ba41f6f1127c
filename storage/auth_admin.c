/* auth_admin - the administrator's requests to `auth`
 *
 * A new main password is hashed in a thread, since that takes as long as a check; the verb then
 * runs with the hash instead of the password. All other verbs are answered at once. Whatever takes
 * a right away also ends the tickets of that account. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/admin.h"
#include "base/pool.h"
#include "storage/address.h"
#include "storage/auth.h"
#include "storage/credentials_admin.h"

struct request {
	struct job job;    /* first */
	struct pool *pool; /* holds the words */
	struct reply_to to;
	struct admin_request rq;
	const char *password; /* to be hashed; borrowed */
	char hash[PASSWORD_HASH_SIZE];
	struct err err;
	int rc;
};

struct rows {
	struct admin_out out; /* first */
	struct reply_to to;
};

static void
row(struct admin_out *out, const struct admin_word *words, size_t n)
{
	admin_reply_row(((struct rows *)out)->to, words, n);
}

static bool
takes_away(const char *verb)
{
	static const char *const verbs[] = { "cred.passwd", "cred.remove", "cred.disable",
		"app.remove" };
	size_t i;

	for (i = 0; i < COUNT(verbs); i++)
		if (strcmp(verbs[i], verb) == 0)
			return true;
	return false;
}

static bool
shows_use(const char *verb)
{
	return strcmp(verb, "app.list") == 0 || strcmp(verb, "cred.show") == 0 ||
	       strcmp(verb, "cred.list") == 0;
}

static void
end_tickets(const struct admin_request *rq)
{
	const char *text = admin_get(rq, "address");
	char address[ADDRESS_SIZE];
	struct address a;

	if (text == NULL || address_read(slice_of(text), &a, NULL) == -1)
		return;
	address_text(&a, address);
	tickets_end_user(auth.tickets, address);
}

static void
request_end(struct request *r)
{
	struct rows rows = { { row }, r->to };

	if (r->rc == 0 && shows_use(r->rq.verb))
		auth_used_write(); /* so that what is shown is so */
	if (r->rc == 0)
		r->rc = admin_run(
		    credentials_admin_verbs, auth.credentials, &r->rq, &rows.out, &r->err);
	if (r->rc == 0 && takes_away(r->rq.verb))
		end_tickets(&r->rq);
	admin_reply_end(r->to, r->rc == 0 ? NULL : &r->err);
	if (r->password != NULL)
		OPENSSL_cleanse((char *)r->password, strlen(r->password));
	OPENSSL_cleanse(r->hash, sizeof(r->hash));
	pool_free(&r->pool);
	free(r);
}

/* -- hashing first */

static void
hash_run(struct job *job)
{
	struct request *r = (struct request *)job;

	r->rc = password_hash(r->password, r->hash, &r->err);
}

static void
hash_done(struct job *job)
{
	struct request *r = (struct request *)job;
	size_t i;

	for (i = 0; i < r->rq.n_words; i++)
		if (strcmp(r->rq.words[i].key, "password") == 0)
			r->rq.words[i] = (struct admin_word){ "hash", r->hash };
	request_end(r);
}

/* Does it bring a password to be hashed? Words that are wrong anyway are left to the verb. */
static bool
needs_hash(struct request *r)
{
	if (strcmp(r->rq.verb, "cred.add") != 0 && strcmp(r->rq.verb, "cred.passwd") != 0)
		return false;
	r->password = admin_get(&r->rq, "password");
	return r->password != NULL && admin_get(&r->rq, "hash") == NULL &&
	       password_acceptable(r->password, NULL) == 0;
}

void
auth_on_admin(struct frame *f)
{
	static const struct err no_memory = { ERR_TEMPORARY, 0, "out of memory" };
	struct request *r = calloc(1, sizeof(*r));

	if (r != NULL)
		r->pool = pool_new(4 * FRAME_MAX);
	if (r == NULL || r->pool == NULL) {
		free(r);
		admin_reply_end(reply_later(f), &no_memory);
		return;
	}
	r->to = reply_later(f);
	if (admin_from_frame(f, r->pool, &r->rq) == -1) {
		r->rc = err_set(&r->err, ERR_USAGE, "the request cannot be read");
	} else if (needs_hash(r)) {
		r->job.run = hash_run;
		r->job.done = hash_done;
		if (workers_submit(auth.workers, &r->job) == 0)
			return;
		r->rc =
		    err_set(&r->err, ERR_TEMPORARY, "too many logins are being checked; try again");
	}
	request_end(r);
}
