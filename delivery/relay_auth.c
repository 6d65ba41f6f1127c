/* relay_auth - our login at a host that wants one (AUTH, RFC 4954), between TLS and the first mail
 *
 * The mechanisms are libgsasl's. Where the host has proven who it is, PLAIN is as good as any and works with every way to
 * keep passwords; where TLS is with anybody (tls = required), SCRAM comes first, which never shows the password and
 * makes the host prove that it knows it. Nothing is said in plain text, whatever the configuration says.
 *
 * Whatever goes wrong here is ours to mend, or passes: mail waits, it is never returned for it. A refused login is
 * paused (relay_login.c). */
#include "delivery/relay_auth.h"

#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/log.h"
#include "delivery/relay_login.h"

#define LINE_MAX_AUTH 12288	/* RFC 4954 4 */
#define ITERATIONS_MAX 200000	/* a peer must not keep us counting: this is about a tenth of a second */

struct auth {
	Gsasl_session *session;
	enum auth_mechanism mechanism;
	bool complete;	/* we, or SCRAM, have nothing more to say or to check */
};

static const struct mechanism {
	enum auth_mechanism mechanism;
	const char *name;
	bool client_first;
} mechanisms[] = {
	{ AUTH_SCRAM, "SCRAM-SHA-256", true },
	{ AUTH_PLAIN, "PLAIN", true },
	{ AUTH_LOGIN, "LOGIN", false },
};
/* In this order, of those above. */
static const enum auth_mechanism proven[] = { AUTH_PLAIN, AUTH_LOGIN, AUTH_SCRAM };
static const enum auth_mechanism anybody[] = { AUTH_SCRAM, AUTH_PLAIN, AUTH_LOGIN };

void
auth_end(struct auth **auth)
{
	if (*auth == NULL)
		return;
	if ((*auth)->session != NULL)
		gsasl_finish((*auth)->session);
	free(*auth);
	*auth = NULL;
}

/* -- failing */

static void
fail(struct session *s, const char *words)
{
	char options[300];
	struct result why;

	login_options(s->login, options, sizeof(options));
	result_set(&why, STEP_TEMPORARY, "4.7.8", "cannot log in: %s (%s)", words, options);
	session_fail(s, PROGRESS_SOME, &why);
}

/* It said no. 4yz passes by itself, 5yz when somebody mends the login. */
static void
fail_refused(struct session *s)
{
	char said[300], options[300];
	struct result why;

	if (s->reply.code / 100 == 4) {
		session_fail_reply(s, "AUTH");
		return;
	}
	reply_sentence(&s->reply, said, sizeof(said));
	login_options(s->login, options, sizeof(options));
	if (s->reply.code / 100 == 5)
		result_set(&why, STEP_TEMPORARY, "4.7.8",
		    "it refuses our login (%.150s); correct %s, then `tegami reload`", said, options);
	else
		result_set(&why, STEP_TEMPORARY, "4.5.0", "unexpected reply to AUTH: %.200s", said);
	if (s->reply.code / 100 == 5)
		login_refused(s->login, &why);
	session_fail(s, PROGRESS_SOME, &why);
}

/* -- the exchange */

/* SCRAM's second message says how long we have to count (RFC 5802 5.1: "i="). */
static bool
counts_too_long(struct slice challenge)
{
	while (challenge.at != NULL) {
		struct slice field = slice_cut(&challenge, ',');
		uint64_t n;

		if (slice_starts(field, SLICE("i=")))
			return !slice_to_u64(slice_skip(field, 2), &n) || n > ITERATIONS_MAX;
	}
	return false;
}

/* What the mechanism has to say to `challenge`, in base64 behind `out`. false: it ended, in words. */
static bool
answer(struct auth *a, struct slice challenge, struct buf *out, const char **words)
{
	char *said = NULL;
	size_t len = 0;
	int rc;

	if (a->mechanism == AUTH_SCRAM && counts_too_long(challenge)) {
		*words = "the host asks for more iterations of SCRAM than anybody needs";
		return false;
	}
	rc = gsasl_step(a->session, challenge.at, challenge.len, &said, &len);
	if (rc == GSASL_OK || rc == GSASL_NEEDS_MORE) {
		a->complete = rc == GSASL_OK;
		if (base64_encode(out, (struct slice){ said, len }) == -1)
			rc = GSASL_MALLOC_ERROR;
	}
	if (said != NULL)
		explicit_bzero(said, len);
	gsasl_free(said);
	*words = a->mechanism == AUTH_SCRAM ? "the host does not prove that it knows the password"
					    : "the host asks for what we do not have";
	return rc == GSASL_OK || rc == GSASL_NEEDS_MORE;
}

static void
say(struct session *s, struct buf *line)
{
	buf_text(line, "\r\n");
	session_enter(s, SESSION_AUTH, session_settings.command_timeout);
	channel_write(s->channel, buf_all(line));
	if (line->at != NULL)
		explicit_bzero(line->at, line->len);
}

static void
challenged(struct session *s)
{
	struct buf challenge, line;
	const char *words = "its challenge is no base64";
	struct slice text = buf_all(&s->reply.text);
	bool ok;

	buf_init(&challenge, LINE_MAX_AUTH);
	buf_init(&line, LINE_MAX_AUTH);
	/* LOGIN's prompts are said in many ways, and mean nothing */
	ok = (s->auth->mechanism == AUTH_LOGIN || base64_decode(&challenge, text) == 0) &&
	     answer(s->auth, buf_all(&challenge), &line, &words);
	if (ok)
		say(s, &line);
	buf_free(&challenge);
	buf_free(&line);
	if (!ok)
		fail(s, words);
}

void
auth_reply(struct session *s)
{
	if (s->reply.code == 334) {
		if (s->auth->complete && s->auth->mechanism != AUTH_SCRAM)
			fail(s, "the host asks for more than a name and a password");
		else
			challenged(s);
	} else if (s->reply.code / 100 != 2) {
		fail_refused(s);
	} else if (!s->auth->complete) {
		fail(s, "the host ends the exchange before it has proven that it knows the password");
	} else {
		s->logged_in = true;
		auth_end(&s->auth);
		session_become_ready(s);
	}
}

/* -- the beginning */

static const struct mechanism *
choose(const struct session *s)
{
	const enum auth_mechanism *order = s->proof != PROOF_NONE ? proven : anybody;

	for (size_t i = 0; i < COUNT(proven); i++)
		for (size_t k = 0; k < COUNT(mechanisms); k++)
			if (mechanisms[k].mechanism == order[i] && s->caps.auth & order[i])
				return &mechanisms[k];
	return NULL;
}

static struct auth *
auth_new(const struct mechanism *m, const struct login *login)
{
	static Gsasl *library;
	struct auth *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->mechanism = m->mechanism;
	if ((library == NULL && gsasl_init(&library) != GSASL_OK) ||
	    gsasl_client_start(library, m->name, &a->session) != GSASL_OK ||
	    gsasl_property_set(a->session, GSASL_AUTHID, login->user) != GSASL_OK ||
	    gsasl_property_set(a->session, GSASL_PASSWORD, login->password) != GSASL_OK)
		auth_end(&a);
	return a;
}

/* Why it cannot begin, in words; NULL: it can. */
static const char *
obstacle(const struct session *s, const struct login *login, const struct mechanism *m)
{
	if (!s->secured || !s->policy->mandatory)
		return "the connection is not protected by TLS";
	if (login == NULL)
		return "the login is no longer configured";
	if (login->password == NULL)
		return "there is no password; write it into the first line of the file, then `tegami reload`";
	if (m == NULL)
		return "the host offers none of PLAIN, LOGIN and SCRAM-SHA-256 over TLS; is this the port for mail of users (587)?";
	return NULL;
}

void
auth_begin(struct session *s)
{
	const struct login *login = login_find(s->login);
	const struct mechanism *m = choose(s);
	const char *words = obstacle(s, login, m);
	struct buf line;
	bool ok;

	if (words == NULL && (s->auth = auth_new(m, login)) == NULL)
		words = "no memory";
	if (words != NULL) {
		fail(s, words);
		return;
	}
	buf_init(&line, LINE_MAX_AUTH);
	buf_printf(&line, "AUTH %s%s", m->name, m->client_first ? " " : "");
	ok = !m->client_first || answer(s->auth, SLICE(""), &line, &words);
	if (ok)
		say(s, &line);
	buf_free(&line);
	if (!ok)
		fail(s, words);
}
