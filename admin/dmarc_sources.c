/* dmarc_sources - who sends in a domain's name
 *
 * What a source is, in this order: an address of ours; a service, for which SPF passes (the domain's own
 * record names it); a forwarder, where DKIM passes without SPF, or whose receiver says so; else a
 * stranger, who proves nothing. */
#include "admin/dmarc_sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY 86400
#define DAYS_ENOUGH 14
#define MESSAGES_ENOUGH 100

typedef long long ll;

const char *
source_kind_word(enum source_kind kind)
{
	static const char *const words[SOURCE_KINDS] = { "yours", "service", "forwarder", "stranger" };

	return words[kind];
}

const char *
source_state_word(enum source_state state)
{
	static const char *const words[] = { "ok", "warning", "error" };

	return words[state];
}

/* -- adding up */

static bool
among(const char *ip, const char *const *own, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(own[i], ip) == 0)
			return true;
	return false;
}

static bool
is_pass(const struct row *r, const char *key)
{
	return strcmp(row_text(r, key), "pass") == 0;
}

static void
add_row(struct dmarc_source *s, const struct row *r)
{
	int64_t n = row_number(r, "messages");
	const char *done = row_text(r, "disposition"), *reason = row_text(r, "reason");
	bool passes = is_pass(r, "dkim") || is_pass(r, "spf");
	const char *dkim = row_text(r, "dkim_auth"), *spf = row_text(r, "spf_auth");

	s->messages += n;
	s->dkim += is_pass(r, "dkim") ? n : 0;
	s->spf += is_pass(r, "spf") ? n : 0;
	s->pass += passes ? n : 0;
	s->quarantine += strcmp(done, "quarantine") == 0 ? n : 0;
	s->reject += strcmp(done, "reject") == 0 ? n : 0;
	if (!passes && (strstr(reason, "forward") != NULL || strstr(reason, "mailing_list") != NULL))
		s->forwarded += n;
	if (!passes && (strstr(dkim, "=pass") != NULL || strstr(spf, "=pass") != NULL)) {
		s->foreign += n;
		if (*s->proves == '\0')
			s->proves = strstr(dkim, "=pass") != NULL ? dkim : spf;
	}
	if (!is_pass(r, "dkim") && *s->signed_as == '\0')
		s->signed_as = dkim;
	if (*s->envelope == '\0')
		s->envelope = row_text(r, "envelope_from");
}

static int
by_ip(const void *a, const void *b)
{
	const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;

	return strcmp(row_text(x, "ip"), row_text(y, "ip"));
}

static int
by_messages(const void *a, const void *b)
{
	const struct dmarc_source *x = a, *y = b;

	if (x->messages != y->messages)
		return x->messages > y->messages ? -1 : 1;
	return strcmp(x->ip, y->ip);
}

/* -- what each of them is, and what to do */

#define SAY(...) snprintf(s->text, sizeof(s->text), __VA_ARGS__)
#define DO(...) snprintf(s->advice, sizeof(s->advice), __VA_ARGS__)

static void
say_ours(struct dmarc_source *s, const char *domain)
{
	int64_t fails = s->messages - s->pass;

	s->state = fails > 0 ? SOURCE_ERROR : SOURCE_WARNING;
	if (fails > 0 && s->dkim < s->messages && s->spf < s->messages) {
		SAY("yours, and misconfigured: %lld of %lld messages pass neither DKIM nor SPF", (ll)fails,
		    (ll)s->messages);
		DO("`tegami dns check %s` shows what is missing: a DKIM key that is not published, or an SPF "
		   "record without %s",
		    domain, s->ip);
	} else if (s->dkim < s->messages) {
		SAY("yours; DKIM fails for %lld of %lld messages, so they do not survive being forwarded",
		    (ll)(s->messages - s->dkim), (ll)s->messages);
		if (*s->signed_as == '\0')
			DO("they are not signed: `tegami dkim list` shows whether %s has a key, `tegami dns check %s` "
			   "whether it is published",
			    domain, domain);
		else
			DO("the receiver saw %.120s: compare the key in DNS by `tegami dns check %s`", s->signed_as,
			    domain);
	} else if (s->spf < s->messages) {
		SAY("yours; SPF fails for %lld of %lld messages, DKIM alone carries them",
		    (ll)(s->messages - s->spf), (ll)s->messages);
		DO("name %s in the SPF record of %s; mail sent with another sender's domain needs that domain's",
		    s->ip, domain);
	} else {
		s->state = SOURCE_OK;
		SAY("yours, all is well");
	}
}

static void
say_service(struct dmarc_source *s, const char *domain)
{
	int64_t fails = s->messages - s->pass;

	s->state = fails > 0 || s->dkim < s->messages ? SOURCE_WARNING : SOURCE_OK;
	if (s->state == SOURCE_OK) {
		SAY("a service that your SPF record names; it signs as well");
		return;
	}
	if (fails > 0)
		SAY("a service that your SPF record names; %lld of %lld messages pass nothing", (ll)fails,
		    (ll)s->messages);
	else
		SAY("a service that your SPF record names; DKIM fails for %lld of %lld messages",
		    (ll)(s->messages - s->dkim), (ll)s->messages);
	DO("let it sign with d=%s (it gives you a record to publish); if you do not know it, take it out of "
	   "SPF",
	    domain);
}

static void
say_forwarder(struct dmarc_source *s)
{
	s->state = SOURCE_OK;
	if (s->dkim == s->messages)
		SAY("forwards your mail, or signs for you: DKIM passes, SPF does not name it");
	else
		SAY("forwards your mail or runs a list; %lld of %lld messages lost their signature there",
		    (ll)(s->messages - s->dkim), (ll)s->messages);
}

static void
say_stranger(struct dmarc_source *s, const char *domain)
{
	const char *done = s->reject == s->messages ? ", all refused"
	    : s->reject + s->quarantine == s->messages ? ", all refused or put into spam"
	    : s->reject + s->quarantine == 0 ? ", all delivered"
					     : ", some delivered";

	s->state = s->reject + s->quarantine == s->messages ? SOURCE_OK : SOURCE_WARNING;
	if (s->foreign > 0)
		SAY("a stranger%s: proves %.100s, not %s", done, s->proves, domain);
	else
		SAY("a stranger%s: proves nothing, so it is forged or a server that you forgot", done);
	DO("if it is a service of yours, let it sign with d=%s or name it in SPF; if not, a stricter policy "
	   "stops it",
	    domain);
}

static void
judge_source(struct dmarc_source *s, const char *domain, bool ours)
{
	s->kind = ours ? SOURCE_OURS
	    : s->spf > 0 ? SOURCE_SERVICE
	    : s->dkim > 0 || s->forwarded * 2 >= s->messages ? SOURCE_FORWARDER
							     : SOURCE_STRANGER;
	switch (s->kind) {
	case SOURCE_OURS:
		say_ours(s, domain);
		break;
	case SOURCE_SERVICE:
		say_service(s, domain);
		break;
	case SOURCE_FORWARDER:
		say_forwarder(s);
		break;
	default:
		say_stranger(s, domain);
	}
	if (s->state == SOURCE_OK)
		s->advice[0] = '\0';
}

/* -- the whole */

/* The value of p in "adkim=r p=none sp=none". */
static void
find_policy(const char *policy, char *out, size_t size)
{
	struct slice rest = slice_of(policy), word;

	do {
		word = slice_cut(&rest, ' ');
		if (slice_starts(word, SLICE("p=")))
			slice_copy(slice_skip(word, 2), out, size);
	} while (rest.at != NULL);
}

static void
add_report(struct dmarc_view *v, const struct row *r)
{
	if (v->seen.n == 0) /* the newest comes first */
		find_policy(row_text(r, "policy"), v->policy, sizeof(v->policy));
	cli_reports_see(&v->seen, r);
}

static void
add_source(struct dmarc_view *v, const struct dmarc_source *s)
{
	bool own = s->kind == SOURCE_OURS || s->kind == SOURCE_SERVICE;

	v->messages += s->messages;
	v->pass += s->pass;
	v->own_failing += own ? s->messages - s->pass : 0;
	v->own_unsigned += own ? s->messages - s->dkim : 0;
	v->strangers += s->kind == SOURCE_STRANGER ? s->messages : 0;
}

static void
judge_view(struct dmarc_view *v)
{
	int64_t days = (v->seen.ends - v->seen.begins + DAY / 2) / DAY;
	const char *next = strcmp(v->policy, "reject") == 0 ? NULL
	    : strcmp(v->policy, "quarantine") == 0	    ? "reject"
							    : "quarantine";

#define TELL(...) snprintf(v->text, sizeof(v->text), __VA_ARGS__)
	v->state = SOURCE_WARNING;
	if (v->messages == 0)
		TELL("No mail was reported, so nothing can be said about the policy.");
	else if (v->own_failing > 0)
		TELL("p=%s would hurt: %lld messages of your own pass neither DKIM nor SPF. Mend these first.",
		    next != NULL ? next : v->policy, (ll)v->own_failing);
	else if (v->own_unsigned > 0)
		TELL("Let DKIM pass everywhere before p=%s: %lld messages of your own go by SPF alone, which ends "
		     "where mail is forwarded.",
		    next != NULL ? next : v->policy, (ll)v->own_unsigned);
	else if (next != NULL && (days < DAYS_ENOUGH || v->messages < MESSAGES_ENOUGH))
		TELL("So far nothing speaks against p=%s, but the reports cover %lld day%s and %lld messages only; "
		     "wait for %d days and %d messages.",
		    next, (ll)days, days == 1 ? "" : "s", (ll)v->messages, DAYS_ENOUGH, MESSAGES_ENOUGH);
	else if (next != NULL)
		TELL("p=%s would be safe: all that is known to be yours passes. It would hit %lld messages of "
		     "strangers; look through them once more.",
		    next, (ll)v->strangers);
	else
		TELL("The policy is p=reject, the strictest, and all that is known to be yours passes.");
	v->safe = v->messages > 0 && v->own_failing + v->own_unsigned == 0 &&
		  (next == NULL || (days >= DAYS_ENOUGH && v->messages >= MESSAGES_ENOUGH));
	if (v->own_failing > 0)
		v->state = SOURCE_ERROR;
	else if (v->safe)
		v->state = SOURCE_OK;
}

static size_t
sort_rows(const struct rows *rows, const struct row **sorted)
{
	size_t n = 0;

	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(row_text(&rows->at[i], "what"), "source") == 0)
			sorted[n++] = &rows->at[i];
	qsort(sorted, n, sizeof(*sorted), by_ip);
	return n;
}

int
dmarc_view_make(struct dmarc_view *v, const struct rows *rows, const char *domain,
    const char *const *own, size_t n_own)
{
	const struct row **sorted = calloc(rows->n + 1, sizeof(*sorted));
	size_t n;

	memset(v, 0, sizeof(*v));
	v->at = calloc(rows->n + 1, sizeof(*v->at));
	if (sorted == NULL || v->at == NULL) {
		free(sorted);
		return -1;
	}
	n = sort_rows(rows, sorted);
	for (size_t i = 0; i < n; i++) {
		const char *ip = row_text(sorted[i], "ip");

		if (v->n == 0 || strcmp(v->at[v->n - 1].ip, ip) != 0)
			v->at[v->n++] = (struct dmarc_source){ .ip = ip, .proves = "", .signed_as = "", .envelope = "" };
		add_row(&v->at[v->n - 1], sorted[i]);
	}
	free(sorted);
	for (size_t i = 0; i < v->n; i++) {
		judge_source(&v->at[i], domain, among(v->at[i].ip, own, n_own));
		add_source(v, &v->at[i]);
	}
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(row_text(&rows->at[i], "what"), "report") == 0)
			add_report(v, &rows->at[i]);
	qsort(v->at, v->n, sizeof(*v->at), by_messages);
	judge_view(v);
	return 0;
}

void
dmarc_view_free(struct dmarc_view *v)
{
	free(v->at);
	v->at = NULL;
	v->n = 0;
}
