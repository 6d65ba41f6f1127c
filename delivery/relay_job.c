/* relay_job - the way of one message to one of the hosts that take its recipients' mail
 *
 * A job takes an idle session to the same place, or tries the route's addresses one after the other
 * until one took the message or refused it in words. Failures of a connection lead to the next
 * address as long as the final dot has not left; after it, a lost reply is STEP_TEMPORARY and no
 * second try is made here, because the peer may have the message.
 *
 * A session that dies after having idled costs nothing but a new connection. Refusals of single
 * recipients are final for this job. When every address failed, a temporary reason outweighs
 * permanent ones. */
#include "delivery/relay_job_state.h"

#include <stdio.h>
#include <string.h>

#include "base/role.h"
#include "conf/conf.h"
#include "delivery/relay_idn.h"
#include "delivery/relay_login.h"
#include "delivery/relay_pool.h"

static const struct session_user job_user;
static void job_advance(struct job *job);

/* -- results */

static const char *
keep_text(struct job *job, const char *text)
{
	const char *copy;

	for (size_t i = 0; i < job->n && i < 8; i++)
		if (job->rcpts[i].text != NULL && strcmp(job->rcpts[i].text, text) == 0)
			return job->rcpts[i].text;
	copy = pool_text(job->pool, slice_of(text));
	return copy != NULL ? copy : "";
}

void
rcpt_decide(struct job *job, struct job_rcpt *r, const struct result *result)
{
	if (r->decided)
		return;
	r->decided = true;
	r->status = result->status;
	r->code = result->code;
	memcpy(r->enhanced, result->enhanced, sizeof(r->enhanced));
	r->text = keep_text(job, result->text);
	job->undecided--;
}

void
decide_rest(struct job *job, const struct result *result)
{
	for (size_t i = 0; i < job->n; i++)
		rcpt_decide(job, &job->rcpts[i], result);
}

/* The host spoken to last failed. */
static void
note_failure(struct job *job, const struct result *why)
{
	if (result_keep(&job->why, why))
		memcpy(job->why_host, job->host, sizeof(job->why_host));
}

static void
job_give_up(struct job *job)
{
	if (job->hosts != NULL && result_keep(&job->why, hosts_why(job->hosts)))
		job->why_host[0] = '\0';
	if (job->why.status == STEP_OK)
		result_set(&job->why, STEP_TEMPORARY, "4.4.0",
		    "no mail host of %s could be reached", job->domain);
	memcpy(job->host, job->why_host, sizeof(job->host));
	job->tls[0] = '\0';
	decide_rest(job, &job->why);
	job_ended(job);
}

/* -- mail over a session */

static void
recipient_decided(struct mail *mail, size_t i, const struct result *result, bool again)
{
	struct job *job = (struct job *)((char *)mail - offsetof(struct job, mail));

	if (again)
		return;
	job->rcpts[job->map[i]].dsn = mail->dsn;
	rcpt_decide(job, &job->rcpts[job->map[i]], result);
}

/* The address as the peer can take it: as it is, or with its domain in ASCII (RFC 5890), which
 * names the same mailbox. */
static const char *
address_for(struct job *job, const char *address)
{
	struct slice local = slice_of(address);
	ptrdiff_t at = slice_find_last(local, '@');
	char domain[IDN_SIZE];
	const char *ascii;

	if (slice_is_ascii(local) || at < 0 || job->session->caps.set & CAP_SMTPUTF8)
		return address;
	local = slice_first(local, (size_t)at);
	if (!slice_is_ascii(local) || !idn_ascii(slice_of(address + at + 1), domain))
		return address;
	ascii = pool_printf(job->pool, "%.*s@%s", SLICE_ARG(local), domain);
	return ascii != NULL ? ascii : address;
}

/* This peer cannot be told of them; the others need not suffer for it. */
static void
refuse_utf8(struct job *job)
{
	struct result r;

	result_set(&r, STEP_PERMANENT, "5.6.7",
	    "it takes only ASCII in addresses, and this one has others (SMTPUTF8)");
	if (job->session->caps.set & CAP_SMTPUTF8)
		return;
	for (size_t i = 0; i < job->n; i++)
		if (!slice_is_ascii(slice_of(address_for(job, job->rcpts[i].to))))
			rcpt_decide(job, &job->rcpts[i], &r);
}

static void
put_rcpt(struct job *job, size_t i)
{
	struct mail *m = &job->mail;
	const struct job_rcpt *r = &job->rcpts[i];

	job->map[m->n] = i;
	m->to[m->n] = address_for(job, r->to);
	m->notify[m->n] = r->notify;
	m->orcpt[m->n] = r->orcpt;
	m->utf8 = m->utf8 || !slice_is_ascii(slice_of(m->to[m->n]));
	m->state[m->n++] = RCPT_WAITING;
}

void
job_send(struct job *job)
{
	struct mail *m = &job->mail;

	memcpy(job->tls, job->session->tls, sizeof(job->tls));
	refuse_utf8(job);
	if (job->undecided > 0 && !job_convert(job))
		return;
	if (job->undecided == 0) {
		job_ended(job);
		return;
	}
	m->n = 0;
	m->from = address_for(job, job->from);
	m->utf8 = job->utf8_header || !slice_is_ascii(slice_of(m->from));
	for (size_t i = 0; i < job->n && m->n < MAIL_RCPTS_MAX; i++)
		if (!job->rcpts[i].decided)
			put_rcpt(job, i);
	m->envid = job->envid;
	m->decide = recipient_decided;
	relay_body_start(&m->body, m->prefix, job->body.bytes, job->cuts, job->n_cuts);
	session_send(job->session, m);
}

static void
use_idle(struct job *job, struct session *s)
{
	job->session = s;
	job->reused = true;
	s->user = &job_user;
	s->arg = job;
	memcpy(job->host, s->who, sizeof(job->host));
	job_send(job);
}

static void job_advance(struct job *job);

/* What is said of this address, and of the session with it. */
static void
set_host(struct job *job, const struct target *target)
{
	snprintf(job->host, sizeof(job->host), "%s[%s]:%u", target->host, target->address.text,
	    job->route.port);
}

static void
set_target(struct job *job, const struct target *target)
{
	struct tls_policy *old = job->policy;

	job->policy = policy_hold(target->policy);
	job->target = *target;
	policy_drop(&old);
}

static bool
implicit_tls(void *arg)
{
	return ((struct job *)arg)->route.port == 465;
}

static bool
more_addresses(void *arg, struct target *target)
{
	return hosts_more(((struct job *)arg)->hosts, target);
}

static enum hosts_step
next_host(void *arg, struct target *target)
{
	return hosts_next_host(((struct job *)arg)->hosts, target);
}

static void
address_lost(void *arg, const struct target *target, const struct result *why)
{
	struct job *job = arg;

	set_host(job, target);
	note_failure(job, why);
}

static void
race_is_over(void *arg, const struct target *target, int fd, const struct result *why)
{
	struct job *job = arg;
	struct result no_memory;

	job->race = NULL;
	set_target(job, target);
	set_host(job, target);
	if (fd != -1) {
		job->session =
		    session_open(fd, target, &job->route, job->plain_only, &job_user, job);
		result_set(&no_memory, STEP_TEMPORARY, "4.3.0", "no memory for a session");
		why = &no_memory;
	}
	if (job->session != NULL)
		return;
	note_failure(job, why);
	job_advance(job);
}

/* The same address once more must not lead to another. */
static bool
no_more(void *arg, struct target *target)
{
	(void)arg;
	(void)target;
	return false;
}

static const struct race_user any_address = { implicit_tls, more_addresses, next_host, address_lost,
	race_is_over };
static const struct race_user this_address = { implicit_tls, no_more, NULL, address_lost, race_is_over };

static void
open_session(struct job *job, const struct race_user *user)
{
	struct result why;

	job->reused = false;
	set_host(job, &job->target);
	if (job->route.login[0] == '\0' || !login_paused(job->route.login, &why))
		job->race = race_start(&job->target, user, job, &why);
	if (job->race == NULL)
		note_failure(job, &why);
}

/* Try addresses until one is being connected to. */
static void
job_advance(struct job *job)
{
	while (job->session == NULL && job->race == NULL) {
		char key[SESSION_KEY];
		struct target target;
		struct session *s;

		switch (hosts_next(job->hosts, &target)) {
		case HOSTS_WAIT:
			return;
		case HOSTS_END:
			job_give_up(job);
			return;
		case HOSTS_TARGET:
			break;
		}
		set_target(job, &target);
		job->have_target = true;
		job->plain_only = false;
		session_peer_key(&job->target, &job->route, key);
		if (!job->fresh_only && (s = pool_take_peer(key)) != NULL)
			use_idle(job, s);
		else
			open_session(job, &any_address);
	}
}

static void
hosts_ready(void *arg)
{
	struct job *job = arg;

	if (job->race != NULL)
		race_go_on(job->race);
	else
		job_advance(job);
}

/* From the first address on. */
static void
job_connect(struct job *job)
{
	if (job->hosts == NULL)
		job->hosts = hosts_new(&job->route, hosts_ready, job);
	if (job->hosts == NULL)
		job_give_up(job);
	else
		job_advance(job);
}

/* The same address once more, over a new connection. */
static void
job_again(struct job *job)
{
	if (job->have_target)
		open_session(job, &this_address);
	if (job->session == NULL && job->race == NULL)
		job_connect(job);
}

static void
session_ready(void *arg)
{
	job_send(arg);
}

static void
session_sent(void *arg, bool usable)
{
	struct job *job = arg;

	if (!usable)
		job->session = NULL;
	if (job->undecided == 0)
		job_ended(job);
	else if (usable)
		job_send(job);
	else
		job_again(job);
}

/* The final dot had left. */
static void
reply_lost(struct job *job, const struct result *why)
{
	struct result r;

	result_set(&r, STEP_TEMPORARY, "4.4.2", "%s; the message may have arrived", why->text);
	decide_rest(job, &r);
	job_ended(job);
}

static void
session_failed(void *arg, const struct result *why, enum session_progress progress)
{
	struct job *job = arg;
	bool reused = job->reused;

	job->session = NULL;
	if (progress == PROGRESS_SENT) {
		reply_lost(job, why);
	} else if (progress == PROGRESS_TLS && !job->target.policy->mandatory &&
		   !job->route.checked && !job->plain_only) {
		job->plain_only = true;
		job_again(job);
	} else if (reused) {
		/* what the peer said or did then may be about its long life, not about this mail */
		job->fresh_only = true;
		job_again(job);
	} else {
		note_failure(job, why);
		job_connect(job);
	}
}

static const struct session_user job_user = { session_ready, session_sent, session_failed };

/* -- the beginning of a job */

void
job_start(struct job *job)
{
	char domain[IDN_SIZE];
	struct session *s;
	struct err err = { 0 };

	if (job->undecided == 0) {
		job_ended(job);
		return;
	}
	if (!idn_ascii(slice_of(job->domain), domain))
		slice_copy(slice_of(job->domain), domain, sizeof(domain));
	if (route_choose(role_conf(), domain, job->from, &job->route, &err) == -1) {
		bool permanent = err.kind == ERR_PERMANENT;

		result_set(&job->why, permanent ? STEP_PERMANENT : STEP_TEMPORARY,
		    permanent ? "5.1.2" : "4.3.5", "%s", err.text);
		job_give_up(job);
		return;
	}
	route_for_message(&job->route, job->flags);
	s = pool_take(job->route.key);
	if (s != NULL)
		use_idle(job, s);
	else
		job_connect(job);
}
