/* auth_login - logins under way: the exchange with the client, then the check of the password in a
 * thread
 *
 * An exchange is found by the smtpd process (its link) and that one's number for the session. While
 * a password is being checked the exchange stays, so that an abort is seen: then no ticket is made.
 * A SCRAM proof costs a few hashes (it is PBKDF2 that is slow, and the client does that), so it is
 * judged at once, with what is kept at that moment.
 *
 * There is a ceiling on exchanges and on checks; above it the answer is AUTH_TEMPORARY. A guess
 * that the limiter refuses costs no hashing. */
#include "storage/auth.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/role.h"
#include "storage/address.h"
#include "storage/auth_exchange.h"

#define LOGINS_MAX 8192
#define BUCKETS 1024
#define LOGIN_LIFE (180 * CLOCK_SECOND)

struct login {
	struct job job; /* first */
	struct login *next;
	uint64_t owner, session;
	int64_t started;
	struct exchange *exchange;
	char ip[64];
	/* while the password is checked: */
	bool checking, aborted;
	struct reply_to to;
	char user[ADDRESS_SIZE];
	char *password;
	struct password_set *set;
	int slot;
};

static struct login *logins[BUCKETS];
static unsigned n_logins;

/* -- the table */

static struct login **
bucket_of(uint64_t owner, uint64_t session)
{
	return &logins[(owner * 31 + session) % BUCKETS];
}

static struct login *
login_find(uint64_t owner, uint64_t session)
{
	struct login *l = *bucket_of(owner, session);

	while (l != NULL && (l->owner != owner || l->session != session))
		l = l->next;
	return l;
}

static void
login_unlink(struct login *l)
{
	struct login **at = bucket_of(l->owner, l->session);

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	n_logins--;
}

static void
login_free(struct login *l)
{
	exchange_free(&l->exchange);
	if (l->password != NULL)
		OPENSSL_cleanse(l->password, strlen(l->password));
	free(l->password);
	if (l->set != NULL)
		OPENSSL_cleanse(l->set, sizeof(*l->set));
	free(l->set);
	free(l);
}

/* Nobody waits for it any more. A check under way ends first. */
static void
login_drop(struct login *l)
{
	l->aborted = true;
	if (l->checking)
		return;
	login_unlink(l);
	login_free(l);
}

static void
drop_where(bool (*fits)(const struct login *l, int64_t v), int64_t v)
{
	struct login *l, *next;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		for (l = logins[i]; l != NULL; l = next) {
			next = l->next;
			if (fits(l, v))
				login_drop(l);
		}
}

static bool
fits_owner(const struct login *l, int64_t owner)
{
	return l->owner == (uint64_t)owner;
}

static bool
fits_old(const struct login *l, int64_t now)
{
	return !l->checking && now - l->started > LOGIN_LIFE;
}

void
auth_forget_link(uint64_t serial)
{
	drop_where(fits_owner, (int64_t)serial);
}

void
auth_forget_old(int64_t now)
{
	drop_where(fits_old, now);
}

/* -- answers */

static void
answer(struct reply_to to, enum auth_status status, struct slice challenge, const char *user,
    struct slice ticket, const char *why)
{
	struct buf *b = reply_begin(to, MSG_AUTH_IS);

	wire_put_u64(b, status);
	wire_put_bytes(b, challenge);
	wire_put_text(b, user);
	wire_put_bytes(b, ticket);
	wire_put_text(b, why);
	reply_send(to, -1);
}

static void
answer_no(struct reply_to to, enum auth_status status, const char *why)
{
	static const struct slice none;

	answer(to, status, none, "", none, why);
}

static void
event(enum trace_event what, const struct login *l, const char *text)
{
	struct event_note note = { .event = what, .text = text, .ip = l->ip, .user = l->user };

	role_event(&note);
}

/* -- the check */

/* In a thread: only what the job itself holds. */
static void
check_run(struct job *job)
{
	struct login *l = (struct login *)job;

	l->slot = password_check(l->set, l->password);
}

static const char *
way_in(const struct login *l, bool scram)
{
	if (l->slot == 0)
		return "logged in with the main password";
	return scram ? "logged in with an app password (SCRAM)" : "logged in with an app password";
}

static void
login_good(struct login *l)
{
	unsigned char ticket[TICKET_SIZE];
	struct err err;

	auth_limit_forgive(auth.limit, l->ip, l->user, clock_mono(), true);
	if (tickets_issue(auth.tickets, l->user, l->owner, clock_mono(), ticket, &err) == -1) {
		log_warning("no ticket for %s: %s", l->user, err.text);
		answer_no(l->to, AUTH_TEMPORARY, err.text);
		return;
	}
	auth_used(l->user, l->slot, clock_now());
	event(EVENT_AUTH_OK, l, way_in(l, l->exchange != NULL));
	answer(l->to, AUTH_OK, (struct slice){ NULL, 0 }, l->user,
	    (struct slice){ (char *)ticket, TICKET_SIZE }, "");
	OPENSSL_cleanse(ticket, sizeof(ticket));
}

static void
check_done(struct job *job)
{
	struct login *l = (struct login *)job;

	login_unlink(l);
	if (l->slot == -1) {
		event(EVENT_AUTH_FAILED, l, "wrong user or password");
		answer_no(l->to, AUTH_BAD, "wrong user or password");
	} else if (!l->aborted) {
		login_good(l);
	}
	login_free(l);
}

/* Give the password to a thread. -1 + err: nothing was started. */
static int
check_start(struct login *l, const char *typed_password, struct err *err)
{
	l->set = calloc(1, sizeof(*l->set));
	l->password = strdup(typed_password);
	if (l->set == NULL || l->password == NULL)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	/* an empty set makes the thread do the same work for nothing */
	if (l->user[0] != '\0' &&
	    credentials_find(auth.credentials, l->user, "smtp", clock_now(), l->set, err) == -1)
		return -1;
	l->job.run = check_run;
	l->job.done = check_done;
	if (workers_submit(auth.workers, &l->job) == -1)
		return err_set(err, ERR_TEMPORARY, "too many logins at once; try again soon");
	l->checking = true;
	return 0;
}

/* The client's name for itself, in its one form; "" when it can be nobody's. */
static void
login_name(struct login *l, const char *typed)
{
	struct address a;

	l->user[0] = '\0';
	if (address_read(slice_of(typed), &a, NULL) == 0 && address_is_mailbox(&a, NULL) == 0)
		address_text(&a, l->user);
}

static void
end_no(struct login *l, enum auth_status status, const char *why)
{
	answer_no(l->to, status, why);
	login_unlink(l);
	login_free(l);
}

/* Does the limiter allow one more guess? It counts then; if not, that was the answer. */
static bool
may_guess(struct login *l)
{
	struct err err;
	unsigned wait;

	if (auth_limit_admit(auth.limit, l->ip, l->user, clock_mono(), &wait))
		return true;
	event(EVENT_AUTH_FAILED, l, "too many failed logins from this network: not checked");
	err_set(&err, ERR_TEMPORARY,
	    "too many failed logins from your network; try again in %u minutes", wait / 60 + 1);
	end_no(l, AUTH_TEMPORARY, err.text);
	return false;
}

/* A guess that was admitted cannot be checked: it is no guess, and the client may come again. */
static void
not_checked(struct login *l, const struct err *err)
{
	auth_limit_forgive(auth.limit, l->ip, l->user, clock_mono(), false);
	log_warning("login not checked: %s", err->text);
	end_no(l, AUTH_TEMPORARY, err->text);
}

static void
login_check(struct login *l)
{
	const char *password = exchange_password(l->exchange);
	struct err err;

	login_name(l, exchange_user(l->exchange));
	if (strlen(password) > PASSWORD_MAX)
		end_no(l, AUTH_BAD, "wrong user or password");
	else if (!may_guess(l))
		return;
	else if (check_start(l, password, &err) == -1)
		not_checked(l, &err);
	else
		exchange_free(&l->exchange);
}

/* -- SCRAM */

/* The salt that the account's app passwords have; one that has none, or is none, has one too. */
static int
salt_of(struct login *l, struct verifier *salt, struct err *err)
{
	const char *name = l->user[0] != '\0' ? l->user : exchange_user(l->exchange);
	struct password_set set;
	bool found = false;
	int i, rc = credentials_find(auth.credentials, l->user, "smtp", clock_now(), &set, err);

	credentials_salt(auth.credentials, name, salt);
	for (i = 0; i < PASSWORD_APPS_MAX && rc != -1 && !found; i++) {
		struct verifier kept;

		found = verifier_read(set.apps[i], &kept);
		if (found)
			*salt = kept;
	}
	OPENSSL_cleanse(&set, sizeof(set));
	return rc == -1 ? -1 : 0;
}

static void
login_named(struct login *l, struct buf *challenge)
{
	struct verifier salt;
	struct err err;

	login_name(l, exchange_user(l->exchange));
	if (salt_of(l, &salt, &err) == -1)
		end_no(l, AUTH_TEMPORARY, err.text);
	else if (exchange_salt(l->exchange, &salt, challenge) != EXCHANGE_MORE)
		end_no(l, AUTH_TEMPORARY, "there are no random numbers");
	else
		answer(l->to, AUTH_CONTINUE, buf_all(challenge), "", (struct slice){ NULL, 0 }, "");
	OPENSSL_cleanse(&salt, sizeof(salt));
}

/* For the administrator: the client never learns what kind of password there is. */
static const char *
why_not(const struct password_set *set)
{
	for (int i = 0; i < PASSWORD_APPS_MAX; i++)
		if (set->apps[i][0] != '\0')
			return "wrong user or password";
	return set->main[0] != '\0'
		   ? "wrong user or password (the program used SCRAM, for which only "
		     "app passwords can serve; there is none)"
		   : "wrong user or password";
}

static void
login_prove(struct login *l, struct buf *challenge)
{
	struct password_set set;
	struct err err;

	if (!may_guess(l))
		return;
	if (credentials_find(auth.credentials, l->user, "smtp", clock_now(), &set, &err) == -1) {
		not_checked(l, &err);
		return;
	}
	l->slot = exchange_prove(l->exchange, &set, challenge);
	if (l->slot == -1) {
		event(EVENT_AUTH_FAILED, l, why_not(&set));
		end_no(l, AUTH_BAD, "wrong user or password");
	} else {
		answer(l->to, AUTH_CONTINUE, buf_all(challenge), "", (struct slice){ NULL, 0 }, "");
	}
	OPENSSL_cleanse(&set, sizeof(set));
}

static void
login_proved(struct login *l)
{
	login_good(l);
	login_unlink(l);
	login_free(l);
}

/* -- frames */

static void
go_on(struct login *l, enum exchange_state state, struct buf *challenge)
{
	static const struct slice none;

	switch (state) {
	case EXCHANGE_MORE:
		answer(l->to, AUTH_CONTINUE, buf_all(challenge), "", none, "");
		break;
	case EXCHANGE_NAMED:
		login_named(l, challenge);
		break;
	case EXCHANGE_ASKED:
		login_check(l);
		break;
	case EXCHANGE_PROOF:
		login_prove(l, challenge);
		break;
	case EXCHANGE_DONE:
		login_proved(l);
		break;
	default:
		end_no(l, AUTH_BAD, "the response is not of the form that the mechanism wants");
		break;
	}
}

static struct login *
login_new(struct frame *f, uint64_t session, struct pool *pool, struct err *err)
{
	struct login *l = n_logins < LOGINS_MAX ? calloc(1, sizeof(*l)) : NULL;
	const char *mechanism = wire_text(&f->in, pool);
	struct scram_bindings bindings;

	if (l == NULL) {
		err_set(err, ERR_TEMPORARY, "too many logins at once; try again soon");
		return NULL;
	}
	l->owner = reply_later(f).link_serial;
	l->session = session;
	l->started = clock_mono();
	l->to = reply_later(f);
	wire_text_to(&f->in, l->ip, sizeof(l->ip));
	bindings.exporter = wire_bytes(&f->in);
	bindings.end_point = wire_bytes(&f->in);
	l->exchange = exchange_new(mechanism, &bindings, err);
	if (l->exchange == NULL) {
		login_free(l);
		return NULL;
	}
	l->next = *bucket_of(l->owner, session);
	*bucket_of(l->owner, session) = l;
	n_logins++;
	return l;
}

static void
login_begin(struct frame *f, uint64_t session)
{
	struct pool *pool = pool_new(4096);
	struct err err = { ERR_TEMPORARY, 0, "out of memory" };
	struct login *l = pool == NULL ? NULL : login_new(f, session, pool, &err);
	struct buf challenge;
	bool has_initial;

	buf_init(&challenge, 4096);
	if (l == NULL) {
		answer_no(reply_later(f),
		    err.kind == ERR_USAGE ? AUTH_NO_MECHANISM : AUTH_TEMPORARY, err.text);
	} else {
		has_initial = wire_u64(&f->in) == 1;
		go_on(l, exchange_start(l->exchange, has_initial, wire_bytes(&f->in), &challenge),
		    &challenge);
	}
	buf_free(&challenge);
	pool_free(&pool);
}

void
auth_on_start(struct frame *f)
{
	uint64_t session = wire_u64(&f->in);
	struct login *l = login_find(reply_later(f).link_serial, session);

	if (l != NULL && l->checking) {
		answer_no(reply_later(f), AUTH_TEMPORARY,
		    "the login before this one is still being checked");
		return;
	}
	if (l != NULL) /* the client gave that one up without a word */
		login_drop(l);
	login_begin(f, session);
}

void
auth_on_step(struct frame *f)
{
	uint64_t session = wire_u64(&f->in);
	struct slice response = wire_bytes(&f->in);
	struct login *l = login_find(reply_later(f).link_serial, session);
	struct buf challenge;

	if (l == NULL || l->checking) {
		answer_no(reply_later(f), AUTH_TEMPORARY, "no login is under way in this session");
		return;
	}
	l->to = reply_later(f);
	buf_init(&challenge, 4096);
	go_on(l, exchange_step(l->exchange, response, &challenge), &challenge);
	buf_free(&challenge);
}

void
auth_on_abort(struct frame *f)
{
	struct login *l = login_find(reply_later(f).link_serial, wire_u64(&f->in));

	if (l != NULL)
		login_drop(l);
}
