/* relay_session - a connection to a peer's SMTP server, from the greeting to QUIT
 *
 * The peer is a stranger. Every wait has an absolute deadline that single bytes do not move, every
 * reply has a ceiling (relay_reply.h), and whatever comes when nothing was asked ends the session.
 * A session that ends costs its mail one try, nothing else.
 *
 * What TLS has to achieve is the target's policy. `required` means encrypted: the certificate is not
 * checked against a name, since MX names come from plain DNS anyway. A `checked` session
 * (REQUIRETLS, RFC 8689 4.2.1) carries nothing until its host has proven its name and said that it
 * will demand the same of the next. How it went is counted once for each session. */
#include "delivery/relay_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/tls.h"
#include "delivery/relay_auth.h"
#include "delivery/relay_count.h"
#include "delivery/relay_pool.h"
#include "delivery/relay_tls.h"

#define IN_MAX (16 * 1024)
#define OUT_MAX (640 * 1024) /* the commands for all recipients of a transaction */

struct session_settings session_settings;

/* -- opening and ending */

void
session_peer_key(
    const struct target *target, const struct route *route, char key[static SESSION_KEY])
{
	snprintf(key, SESSION_KEY, "%s:%u/%s%s%s%s%s", target->host, route->port, target->policy->key,
	    route->lmtp ? " lmtp" : "",
	    route->checked ? " checked" : "", route->login[0] != '\0' ? " as " : "", route->login);
}

void
session_enter(struct session *s, enum session_state state, int64_t deadline)
{
	s->state = state;
	channel_deadline(s->channel, deadline);
}

static void
session_free(struct session *s)
{
	pool_forget(s);
	policy_drop(&s->policy);
	auth_end(&s->auth);
	channel_free(&s->channel);
	reply_free(&s->reply);
	if (s->busy)
		s->dead = true;
	else
		free(s);
}

void
session_close(struct session *s)
{
	if (s->state == SESSION_READY)
		channel_text(s->channel, "QUIT\r\n");
	session_free(s);
}

void
session_fail(struct session *s, enum session_progress progress, const struct result *why)
{
	const struct session_user *user = s->user;
	void *arg = s->arg;

	log_debug("session with %s ends: %u %s", s->who, why->code, why->text);
	session_free(s);
	if (user != NULL)
		user->failed(arg, why, progress);
}

/* -- how its TLS went */

static void
own_address(const struct session *s, char text[static INET6_ADDRSTRLEN])
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	text[0] = '\0';
	if (getsockname(channel_fd(s->channel), (struct sockaddr *)&sa, &len) == -1)
		return;
	if (sa.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&sa)->sin_addr, text, INET6_ADDRSTRLEN);
	else if (sa.ss_family == AF_INET6)
		inet_ntop(
		    AF_INET6, &((struct sockaddr_in6 *)&sa)->sin6_addr, text, INET6_ADDRSTRLEN);
}

static void
note_tls(struct session *s, enum tls_result result, const char *why)
{
	char own[INET6_ADDRSTRLEN];

	own_address(s, own);
	count_session(s->policy, s->target.host, s->target.address.text, own, result, why);
}

/* For the trace: "TLSv1.3 TLS_AES_256_GCM_SHA384, DANE, verified". */
static void
describe_tls(struct session *s, enum tls_result result)
{
	char what[100] = "no TLS";

	if (s->secured)
		tls_describe(channel_ssl(s->channel), what, sizeof(what));
	snprintf(s->tls, sizeof(s->tls), "%s, %s%s%s", what, policy_words(s->policy),
	    result != TLS_FINE || s->proof != PROOF_NONE ? ", " : "",
	    result != TLS_FINE       ? tls_result_name(result)
	    : s->proof != PROOF_NONE ? "verified"
				     : "");
}

/* It broke in the middle of something. */
static void
session_broke(struct session *s, const char *words)
{
	static const char *const doing[] = { [SESSION_CONNECT] = "connecting",
		[SESSION_GREETING] = "waiting for the greeting",
		[SESSION_EHLO] = "saying EHLO",
		[SESSION_HELO] = "saying HELO",
		[SESSION_STARTTLS] = "asking for STARTTLS",
		[SESSION_HANDSHAKE] = "the TLS handshake",
		[SESSION_AUTH] = "logging in",
		[SESSION_READY] = "waiting",
		[SESSION_ENVELOPE] = "sending the envelope",
		[SESSION_BODY] = "sending the message",
		[SESSION_FINAL] = "waiting for the final reply" };
	enum session_progress progress =
	    s->state >= SESSION_ENVELOPE ? mail_progress(s) : PROGRESS_SOME;
	struct result why;

	if (s->state == SESSION_HANDSHAKE) {
		progress = PROGRESS_TLS;
		note_tls(s, TLS_VALIDATION_FAILURE, words);
	}
	result_set(&why, STEP_TEMPORARY, s->state == SESSION_CONNECT ? "4.4.1" : "4.4.2",
	    "while %s: %s", doing[s->state], words);
	session_fail(s, progress, &why);
}

void
session_fail_reply(struct session *s, const char *command)
{
	struct result why;

	result_from_reply(&why, &s->reply);
	if (s->reply.code < 400) {
		char words[300];

		reply_sentence(&s->reply, words, sizeof(words));
		result_set(
		    &why, STEP_TEMPORARY, "4.5.0", "unexpected reply to %s: %s", command, words);
	}
	session_fail(s, PROGRESS_SOME, &why);
}

/* -- the first steps */

static void
say(struct session *s, enum session_state state, const char *verb, const char *word)
{
	session_enter(s, state, session_settings.command_timeout);
	channel_cork(s->channel);
	channel_text(s->channel, verb);
	channel_text(s->channel, word);
	channel_text(s->channel, "\r\n");
	channel_uncork(s->channel);
}

static void
say_ehlo(struct session *s)
{
	say(s, SESSION_EHLO, s->lmtp ? "LHLO " : "EHLO ", session_settings.helo);
}

/* The peer cannot keep what REQUIRETLS promises: for the next host, or for good. */
static void
fail_checked(struct session *s, const char *words)
{
	struct result why;

	result_set(&why, STEP_PERMANENT, "5.7.30",
	    "its sender requires TLS with a proven host, but %s", words);
	session_fail(s, PROGRESS_SOME, &why);
}

/* The certificate, or that there is none, breaks the policy. Somebody in between may be at work: it is tried again. */
static void
fail_policy(struct session *s, enum tls_result result, const char *words)
{
	struct result why;

	if (s->checked) {
		fail_checked(s, words);
		return;
	}
	result_set(&why, STEP_TEMPORARY, "4.7.5", "its TLS has to be verified (%s), but %s (%s)",
	    policy_words(s->policy), words, tls_result_name(result));
	session_fail(s, PROGRESS_SOME, &why);
}

void
session_become_ready(struct session *s)
{
	if (s->checked && !s->secured) {
		fail_checked(s, "this one does not offer STARTTLS");
		return;
	}
	if (s->checked && !(s->caps.set & CAP_REQUIRETLS)) {
		fail_checked(s, "this one does not offer REQUIRETLS");
		return;
	}
	if (s->tls[0] == '\0')
		describe_tls(s, TLS_FINE);
	if (s->login[0] != '\0' && !s->logged_in) {
		auth_begin(s);
		return;
	}
	session_enter(s, SESSION_READY, 0);
	s->user->ready(s->arg);
}

static void
start_tls(struct session *s)
{
	SSL_CTX *ctx = relay_tls_context(s->proof);
	const char *name = s->target.named ? s->target.host : NULL;

	/* what came glued to the reply was sent in plain text, maybe by somebody in between: it
	 * must not count */
	channel_discard(s->channel);
	session_enter(s, SESSION_HANDSHAKE, session_settings.command_timeout);
	if (ctx == NULL || channel_start_tls(s->channel, ctx, false, name) == -1)
		session_broke(s, "cannot start TLS");
	else if (!relay_tls_prepare(channel_ssl_early(s->channel), s->policy, s->target.host))
		session_broke(s, "its TLSA records cannot be used");
}

static void
greeting_reply(struct session *s)
{
	if (s->reply.code / 100 == 2)
		say_ehlo(s);
	else
		session_fail_reply(s, "the connection");
}

/* STARTTLS cannot be had. */
static void
go_without_tls(struct session *s, const char *words)
{
	struct result why;

	note_tls(s, TLS_NOT_SUPPORTED, words);
	describe_tls(s, TLS_NOT_SUPPORTED);
	if (s->checked || !s->policy->mandatory) {
		session_become_ready(s);
		return;
	}
	if (s->policy->kind == POLICY_REQUIRED)
		result_set(&why, STEP_TEMPORARY, "4.7.4", "%s, but TLS is required", words);
	else
		result_set(&why, STEP_TEMPORARY, "4.7.4", "%s, but TLS is required (%s, %s)", words,
		    policy_words(s->policy), tls_result_name(TLS_NOT_SUPPORTED));
	session_fail(s, PROGRESS_SOME, &why);
}

/* Over to TLS, or on as it is? */
static void
choose_tls(struct session *s)
{
	if (s->secured || !policy_wants_tls(s->policy) || s->plain_only)
		session_become_ready(s);
	else if (s->caps.set & CAP_STARTTLS)
		say(s, SESSION_STARTTLS, "STARTTLS", "");
	else
		go_without_tls(s, "it does not offer STARTTLS");
}

/* The first word of its reply to EHLO is its name (RFC 5321 4.1.1.1). */
static bool
says_our_name(const struct session *s)
{
	struct slice text = buf_all(&s->reply.text), name = text;

	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] != ' ' && text.at[i] != '\n')
			continue;
		name = slice_first(text, i);
		break;
	}
	return slice_eq_nocase(name, slice_of(session_settings.helo));
}

/* Whoever wrote the route took it for something else: no reason to return mail. */
static void
fail_lmtp(struct session *s)
{
	char said[200];
	struct result why;

	reply_sentence(&s->reply, said, sizeof(said));
	result_set(&why, STEP_TEMPORARY, "4.5.0",
	    "it does not speak LMTP (%s); is the port of the route right, or should it say host instead of lmtp?", said);
	session_fail(s, PROGRESS_SOME, &why);
}

static void
ehlo_reply(struct session *s)
{
	caps_read(&s->caps, &s->reply);
	if (s->by_mx && s->reply.code / 100 == 2 && says_our_name(s)) {
		struct result why;

		result_set(&why, STEP_PERMANENT, "5.4.6",
		    "its MX record leads back to this server, which is not set up to receive its mail: it would loop");
		session_fail(s, PROGRESS_SOME, &why);
		return;
	}
	if (s->reply.code / 100 == 2)
		choose_tls(s);
	else if (s->reply.code / 100 == 5 && s->lmtp)
		fail_lmtp(s);
	else if (s->reply.code / 100 == 5)
		say(s, SESSION_HELO, "HELO ", session_settings.helo);
	else
		session_fail_reply(s, "EHLO");
}

static void
helo_reply(struct session *s)
{
	s->caps = (struct caps){ 0 };
	if (s->reply.code / 100 == 2)
		choose_tls(s);
	else
		session_fail_reply(s, "HELO");
}

static void
starttls_reply(struct session *s)
{
	char words[300], sentence[200];

	if (s->reply.code == 220) {
		start_tls(s);
	} else if (s->reply.code == 421) {
		session_fail_reply(s, "STARTTLS");
	} else {
		reply_sentence(&s->reply, sentence, sizeof(sentence));
		snprintf(
		    words, sizeof(words), "it refuses STARTTLS: %u %s", s->reply.code, sentence);
		go_without_tls(s, words);
	}
}

static void
unasked_reply(struct session *s)
{
	session_fail_reply(s, "nothing");
}

/* Who takes the reply that is complete. */
static void (*const on_reply[])(struct session *s) = {
	[SESSION_CONNECT] = unasked_reply,
	[SESSION_GREETING] = greeting_reply,
	[SESSION_EHLO] = ehlo_reply,
	[SESSION_HELO] = helo_reply,
	[SESSION_STARTTLS] = starttls_reply,
	[SESSION_HANDSHAKE] = unasked_reply,
	[SESSION_AUTH] = auth_reply,
	[SESSION_READY] = unasked_reply,
	[SESSION_ENVELOPE] = mail_reply,
	[SESSION_BODY] = mail_reply,
	[SESSION_FINAL] = mail_reply,
};

/* -- events */

static void
on_input(struct session *s)
{
	if (s->user == NULL) { /* an idle peer has nothing to say but good-bye */
		session_broke(s, "it spoke without being asked");
		return;
	}
	while (!s->dead && s->state != SESSION_HANDSHAKE) {
		size_t used;
		enum reply_status status = reply_feed(&s->reply, channel_input(s->channel), &used);

		if (status == REPLY_BAD) {
			session_broke(s, s->reply.fault);
			return;
		}
		channel_consume(s->channel, used);
		if (status == REPLY_MORE)
			return;
		on_reply[s->state](s);
		if (!s->dead)
			reply_reset(&s->reply);
	}
}

static void
on_connected(struct session *s)
{
	if (s->target.address.sa.ss_family == AF_INET ||
	    s->target.address.sa.ss_family == AF_INET6) {
		int on = 1;

		setsockopt(channel_fd(s->channel), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	session_enter(s, SESSION_GREETING, session_settings.command_timeout);
	if (policy_wants_tls(s->policy) && !s->plain_only &&
	    ((struct sockaddr_in *)&s->target.address.sa)->sin_port == htons(465))
		start_tls(s);
}

static void
on_secured(struct session *s)
{
	bool implicit = s->reply.lines == 0 && s->mails == 0 && s->caps.set == 0;
	char fault[300];
	enum tls_result result = relay_tls_fault(
	    channel_ssl(s->channel), s->policy, s->proof, s->target.host, fault, sizeof(fault));

	s->secured = true;
	if (s->policy->kind == POLICY_DANE_UNUSABLE)
		note_tls(s, TLS_TLSA_INVALID, "no TLSA record of the host can be used");
	else
		note_tls(s, result, fault);
	describe_tls(s, result);
	if (result != TLS_FINE && (s->checked || s->policy->mandatory)) {
		fail_policy(s, result, fault);
		return;
	}
	reply_reset(&s->reply);
	if (implicit)
		session_enter(s, SESSION_GREETING, session_settings.command_timeout);
	else
		say_ehlo(s);
}

static void
on_timeout(struct session *s)
{
	if (s->user == NULL)
		session_close(s);
	else
		session_broke(s, "it took too long");
}

static void
dispatch(struct session *s, enum channel_event event)
{
	switch (event) {
	case CHANNEL_CONNECTED:
		on_connected(s);
		break;
	case CHANNEL_INPUT:
		on_input(s);
		break;
	case CHANNEL_SECURED:
		on_secured(s);
		break;
	case CHANNEL_DRAINED:
		if (s->state == SESSION_BODY)
			mail_go_on(s);
		break;
	case CHANNEL_TIMEOUT:
		on_timeout(s);
		break;
	case CHANNEL_EOF:
		session_broke(s, "it closed the connection");
		break;
	case CHANNEL_FAILED:
		session_broke(s, channel_error(s->channel));
		break;
	}
}

static void
on_event(struct channel *c, enum channel_event event, void *arg)
{
	struct session *s = arg;

	(void)c;
	s->busy = true;
	dispatch(s, event);
	s->busy = false;
	if (s->dead)
		free(s);
}

/* -- the beginning */

/* REQUIRETLS wants a certificate from a CA unless DANE proves more (RFC 8689 4.2.1). */
static enum proof
proof_for(const struct tls_policy *p, bool checked)
{
	enum proof proof = policy_proof(p);

	return checked && proof == PROOF_NONE ? PROOF_PKIX : proof;
}

struct session *
session_open(int fd, const struct target *target, const struct route *route, bool plain_only,
    const struct session_user *user, void *arg)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		close(fd);
		return NULL;
	}
	*s = (struct session){ .target = *target,
		.policy = policy_hold(target->policy),
		.proof = proof_for(target->policy, route->checked),
		.lmtp = route->lmtp,
		.checked = route->checked,
		.by_mx = route->by_mx,
		.plain_only = plain_only,
		.user = user,
		.arg = arg,
		.born = clock_mono() };
	reply_init(&s->reply);
	slice_copy(slice_of(route->key), s->key, sizeof(s->key));
	slice_copy(slice_of(route->login), s->login, sizeof(s->login));
	if (route->trusted)
		snprintf(s->named, sizeof(s->named), "%s%s",
		    strcmp(route->name, LOGIN_SMARTHOST) == 0 ? "" : LOGIN_ROUTE, route->name);
	session_peer_key(target, route, s->peer_key);
	snprintf(
	    s->who, sizeof(s->who), "%s[%s]:%u", target->host, target->address.text, route->port);
	s->channel = channel_new(session_settings.base, fd, true, IN_MAX, OUT_MAX, on_event, s);
	if (s->channel == NULL) {
		policy_drop(&s->policy);
		free(s);
		return NULL;
	}
	session_enter(s, SESSION_CONNECT, session_settings.connect_timeout);
	return s;
}
