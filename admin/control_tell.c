/* control_tell - tells domains what they asked for, one report after the other
 *
 *   load (keeper) -> its destinations (DNS) -> who has it already (keeper) -> for each other: post, note (keeper)
 *   -> close (keeper)
 *
 * What a crash leaves of a destination, and what comes of it:
 *
 *   mail in the queue   noted (report_sent)   report in history.db   control, when it is back
 *          -                   -                      +              sends it
 *          +                   -                      +              sends it once more: the same rows, the same id
 *          +                   +                      +              passes it over, and closes the report
 *          +                   +                      -              nothing is left to do
 *
 * While that cannot be noted (the disk is full), nothing else is sent. So nobody is left out, and one crash costs one reader
 * one copy at most; copies bear the same report id and Message-ID. An https: URL is the same with "the server said 2xx" for the queue. Whoever is away makes the report
 * wait for its next time; after three days it is given up, an https: URL after a day of tries. */
#include "admin/control_tell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/dns/client.h"
#include "base/log.h"
#include "conf/conf.h"

#define POOL_MAX (16 * 1024 * 1024) /* rows of one report */
#define GIVE_UP (3 * INT64_C(86400))
#define RETRY_MAX 3600
#define MARK_AGAIN_S 5
#define HTTPS_TRIES 24 /* with RETRY_MAX between them a day, as RFC 8460 5.5 wants it */
#define LOOK_MAX_MS 30000
#define LOOK_MIN_MS 200
#define TXT_MAX 4096
#define DAY_MS (INT64_C(86400) * 1000)

static const struct tell_kind *const kinds[] = { &tell_dmarc, &tell_tls };

static struct telling *current;
static struct event *timer, *mark_timer;
static int64_t paused_until; /* clock_mono */

static void look(void);

static void
give_to_keeper(struct telling *t, void (*run)(struct job *), void (*done)(struct job *))
{
	t->rc = 0;
	t->now = clock_now() / CLOCK_SECOND;
	t->job = (struct job){ run, done, NULL };
	if (workers_submit(control.keeper, &t->job) == 0)
		return;
	t->rc = err_set(&t->err, ERR_TEMPORARY, "history.db is busy");
	done(&t->job);
}

static void
telling_over(struct telling *t)
{
	current = NULL;
	pool_free(&t->pool);
	buf_free(&t->file);
	free(t);
}

static void
trouble(struct telling *t)
{
	log_error("a report is put off: %s", t->err.text);
	paused_until = clock_mono() + 10 * CLOCK_SECOND;
	telling_over(t);
}

/* How long (s) a report waits when it cannot go now. */
static int64_t
retry_time(void)
{
	int64_t s = role_conf()->reports.interval / 1000 / 24;

	return s < 1 ? 1 : s > RETRY_MAX ? RETRY_MAX : s;
}

/* -- the end of a report */

static void
close_run(struct job *job)
{
	struct telling *t = (struct telling *)job;

	t->rc = t->later && t->now < t->until + GIVE_UP ? t->kind->later(t, t->now + retry_time())
							 : t->kind->told(t);
}

static void
close_done(struct job *job)
{
	struct telling *t = (struct telling *)job;

	if (t->rc == -1) {
		trouble(t);
		return;
	}
	if (t->later && t->now >= t->until + GIVE_UP)
		log_warning("the %s report on %s is given up: it could not be sent for three days",
		    t->kind->name, t->domain);
	telling_over(t);
	look();
}

/* -- its destinations, one by one */

static void next_destination(struct telling *t);

static void
sent_run(struct job *job)
{
	struct telling *t = (struct telling *)job;

	t->rc = history_report_sent(control.history, t->id, t->to[t->at].to, t->now, &t->err);
}

/* What was sent has to be marked before anything else is: a report begun anew would go there once more, every ten
 * seconds for as long as the disk is full. */
static void
sent_done(struct job *job)
{
	static const struct timeval again = { MARK_AGAIN_S, 0 };
	struct telling *t = (struct telling *)job;

	if (t->rc == -1) {
		log_error("that the report %s went to %s cannot be noted just now; no other goes before: %s", t->id,
		    t->to[t->at].to, t->err.text);
		event_add(mark_timer, &again);
		return;
	}
	t->at++;
	next_destination(t);
}

static void
mark_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	give_to_keeper(current, sent_run, sent_done);
}

/* This destination gets it later. */
static void
wait_for(struct telling *t, const char *why)
{
	const char *kind = t->kind->name, *to = t->to[t->at].to;

	if (t->to[t->at].kind == RUA_HTTPS && t->tries + 1 >= HTTPS_TRIES) {
		log_warning("the %s report on %s to %s is given up after %d tries: %s", kind, t->domain, to,
		    HTTPS_TRIES, why);
		return;
	}
	log_info("the %s report on %s to %s waits: %s", kind, t->domain, to, why);
	snprintf(t->why, sizeof(t->why), "%s: %.180s", to, why);
	t->later = true;
}

static void
posted(struct post *p, enum post_end end, const char *why)
{
	struct telling *t = current;
	const char *kind = t->kind->name, *to = t->to[t->at].to;

	(void)p;
	switch (end) {
	case POST_SENT:
		log_info("%s report %s on %s goes to %s", kind, t->id, t->domain, to);
		give_to_keeper(t, sent_run, sent_done);
		return;
	case POST_NEVER:
		log_info("no %s report on %s goes to %s: %s", kind, t->domain, to, why);
		break;
	case POST_LATER:
		wait_for(t, why);
		break;
	case POST_STOP:
		log_warning("reports cannot be sent from %s, for they cannot be signed (%s); make a key for its "
			    "domain with `tegami dkim create`, or set reports.from",
		    t->by.from, why);
		paused_until = clock_mono() + retry_time() * CLOCK_SECOND;
		snprintf(t->why, sizeof(t->why), "mail from %s cannot be signed", t->by.from);
		t->later = true;
		t->no_mail = true;
		break;
	}
	t->at++;
	next_destination(t);
}

static void
write_texts(struct telling *t)
{
	const char *host = t->by.hostname;

	snprintf(t->subject, sizeof(t->subject),
	    "Report Domain: %.255s\r\n Submitter: %.255s\r\n Report-ID: <%s>", t->domain, host, t->id);
	snprintf(t->msgid, sizeof(t->msgid), "<%s.%zu@%.255s>", t->id, t->at, host);
	t->kind->texts(t);
}

/* Is nothing to be done about it now? */
static bool
pass_over(const struct telling *t, size_t i)
{
	if (t->has[i])
		return true;
	if (t->to[i].kind == RUA_MAILTO)
		return t->no_mail;
	if (!t->kind->https)
		log_info("no %s report on %s goes to %s: such reports are sent by mail only", t->kind->name,
		    t->domain, t->to[i].to);
	return !t->kind->https;
}

static void
next_destination(struct telling *t)
{
	while (t->at < t->n && pass_over(t, t->at))
		t->at++;
	if (t->at >= t->n) {
		give_to_keeper(t, close_run, close_done);
		return;
	}
	write_texts(t);
	t->post = (struct post){ .to = t->to[t->at],
		.domain = t->domain,
		.organization = t->organization,
		.flags = t->kind->flags,
		.done = posted,
		.mail = { .by = &t->by,
		    .subject = t->subject,
		    .msgid = t->msgid,
		    .fields = t->fields,
		    .multipart = t->kind->multipart,
		    .text = t->text,
		    .type = t->kind->type,
		    .name = t->name,
		    .file = buf_all(&t->file),
		    .now = clock_now() } };
	post_start(&t->post);
}

static void
known_run(struct job *job)
{
	struct telling *t = (struct telling *)job;

	for (size_t i = 0; i < t->n && t->rc != -1; i++) {
		int was = history_report_was_sent(control.history, t->id, t->to[i].to, &t->err);

		t->has[i] = was > 0;
		t->rc = was == -1 ? -1 : 0;
	}
}

static void
known_done(struct job *job)
{
	struct telling *t = (struct telling *)job;

	if (t->rc == -1)
		trouble(t);
	else
		next_destination(t);
}

/* -- where they stand in DNS */

/* Exactly one record counts. */
static void
got_record(void *arg, const struct dns_answer *a)
{
	struct telling *t = arg;
	char text[TXT_MAX];
	struct slice rua;
	unsigned found = 0;
	size_t len;

	t->later = a->status == DNS_TEMPORARY || a->status == DNS_BOGUS;
	if (t->later)
		snprintf(t->why, sizeof(t->why), "%s cannot be looked up: %s", t->ask, dns_status_text(a->status));
	for (size_t i = 0; a->status == DNS_OK && i < a->n; i++) {
		if (!dns_rdata_txt(a->rdata[i], text, sizeof(text), &len) ||
		    !t->kind->record((struct slice){ text, len }, &rua))
			continue;
		t->n = found++ == 0 ? rua_read(rua, t->to) : 0;
	}
	give_to_keeper(t, known_run, known_done);
}

/* -- its beginning */

static void
load_run(struct job *job)
{
	struct telling *t = (struct telling *)job;

	for (size_t i = 0; i < COUNT(kinds) && t->rc == 0; i++) {
		t->kind = kinds[i];
		if (t->wanted[i])
			t->rc = t->kind->load(t);
	}
}

static void
load_done(struct job *job)
{
	struct telling *t = (struct telling *)job;

	if (t->rc == -1) {
		trouble(t);
	} else if (t->rc == 0) {
		telling_over(t);
	} else if (t->ask[0] == '\0') {
		give_to_keeper(t, known_run, known_done);
	} else if (!dns_name_ok(slice_of(t->ask))) {
		give_to_keeper(t, close_run, close_done);
	} else if (dns_ask(t->ask, DNS_TXT, got_record, t) == NULL) {
		t->later = true;
		snprintf(t->why, sizeof(t->why), "the resolver is not there");
		give_to_keeper(t, close_run, close_done);
	}
}

static void
look(void)
{
	struct telling *t;

	if (current != NULL || role_stopping() || clock_mono() < paused_until)
		return;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return;
	t->pool = pool_new(POOL_MAX);
	if (t->pool == NULL) {
		free(t);
		return;
	}
	current = t;
	/* the keeper does not look at the configuration, which a reload may take away */
	t->wanted[0] = role_conf()->reports.dmarc;
	t->wanted[1] = role_conf()->reports.tls;
	t->at_once = role_conf()->reports.interval < DAY_MS;
	conf_report_from(role_conf(), t->from);
	t->by = (struct reporter){ pool_text(t->pool, slice_of(role_conf()->hostname)), t->from };
	buf_init(&t->file, TELL_XML_MAX + TELL_XML_MAX / 64);
	give_to_keeper(t, load_run, load_done);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	int64_t ms = role_conf()->reports.interval / 4;
	struct timeval again;

	(void)fd;
	(void)what;
	(void)arg;
	ms = ms < LOOK_MIN_MS ? LOOK_MIN_MS : ms > LOOK_MAX_MS ? LOOK_MAX_MS : ms;
	again = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	event_add(timer, &again);
	look();
}

int
tell_start(struct err *err)
{
	static const struct timeval soon = { 1, 0 };

	timer = evtimer_new(role_base(), on_timer, NULL);
	mark_timer = evtimer_new(role_base(), mark_again, NULL);
	if (mark_timer == NULL || timer == NULL || event_add(timer, &soon) == -1)
		return err_set(err, ERR_TEMPORARY, "out of memory");
	return 0;
}
