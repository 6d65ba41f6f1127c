/* relay_convert - a message in the form that its host can take: seven bits where 8BITMIME is not
 * offered (RFC 6152 3), no binary where BINARYMIME or CHUNKING is not (RFC 3030 3)
 *
 * How to convert is found out once for a message, a piece at a time so that a long one stops
 * nobody else's session; the conversion itself happens while it is sent. A message that has
 * nothing to convert goes as it is. One that cannot be converted is refused for that host, in
 * words.
 *
 * Our own users' mail has a signature of ours for either form, and so has the ARC set of mail that an alias
 * sends on. One of somebody else (DKIM) covers
 * the unconverted body and does not survive: RFC 6152 leaves only refusal otherwise, and a message
 * that arrived unsigned is worth more than one that did not. */
#include <string.h>

#include "delivery/relay_job_state.h"

#define STEP (512 * 1024)

void
job_forget_conversion(struct job *job)
{
	if (job->think != NULL)
		event_free(job->think);
	job->think = NULL;
	seven_free(&job->seven);
}

static bool
is_signature(struct slice line)
{
	static const char *const names[] = { "DKIM-Signature:", "ARC-Seal:", "ARC-Message-Signature:",
		"ARC-Authentication-Results:" };

	for (size_t i = 0; i < COUNT(names); i++)
		if (slice_starts_nocase(line, slice_of(names[i])))
			return true;
	return false;
}

/* All but our signatures and the ARC set at its top, to `out`, which has room for it; the Delivered-To of an alias that sends it on may stand
 * among them. The length. */
static size_t
without_signatures(struct slice prefix, char *out)
{
	bool ours = false;
	struct slice rest = prefix, line;
	size_t len = 0;

	while (slice_line(&rest, &line)) {
		bool folded = line.len > 0 && (line.at[0] == ' ' || line.at[0] == '\t');
		size_t whole = prefix.len - rest.len;

		ours = folded ? ours : is_signature(line);
		if (!ours && !folded && !slice_starts_nocase(line, SLICE("Delivered-To:")))
			break;
		if (!ours) {
			memcpy(out + len, prefix.at, whole);
			len += whole;
		}
		prefix = rest;
	}
	memcpy(out + len, prefix.at, prefix.len);
	return len + prefix.len;
}

int
job_prefixes(struct job *job, struct slice prefix)
{
	struct slice seven = prefix_seven(prefix);
	char *both;

	job->prefix = pool_slice(job->pool, prefix_shown(prefix));
	job->seven_prefix = job->prefix;
	if (seven.len == 0)
		return job->prefix.at != NULL ? 0 : -1;
	both = pool_alloc(job->pool, seven.len + job->prefix.len);
	if (job->prefix.at == NULL || both == NULL)
		return -1;
	memcpy(both, seven.at, seven.len);
	job->seven_prefix = (struct slice){ both, seven.len + without_signatures(job->prefix, both + seven.len) };
	return 0;
}

/* What the peer wants; false: the message can go to it as it is. */
static bool
target_for(const struct job *job, enum seven_target *target)
{
	const unsigned binary = CAP_CHUNKING | CAP_BINARYMIME, caps = job->session->caps.set;

	if (job->flags & ENVELOPE_BINARY && (caps & binary) == binary)
		return false;
	*target = SEVEN_FOR_7BIT;
	/* who takes SMTPUTF8 takes such bodies, too (RFC 6531 3.1) */
	if (job->flags & ENVELOPE_8BIT && !(caps & (CAP_8BITMIME | CAP_SMTPUTF8)))
		return true;
	/* a signature is there for the message as it is and for seven bits, not for what is
	 * between */
	if (job->seven_prefix.at == job->prefix.at)
		*target = SEVEN_FOR_8BIT;
	return (job->flags & ENVELOPE_BINARY) != 0;
}

static void
go_on(evutil_socket_t fd, short what, void *arg)
{
	struct job *job = arg;

	(void)fd, (void)what;
	/* without one, the next session's readiness goes on with it */
	if (job->session != NULL && job->session->state == SESSION_READY)
		job_send(job);
}

static bool
begin(struct job *job, enum seven_target target)
{
	if (job->seven != NULL && seven_target(job->seven) != target)
		job_forget_conversion(job);
	if (job->seven == NULL)
		job->seven = seven_new(job->body.bytes, target);
	if (job->think == NULL)
		job->think = event_new(session_settings.base, -1, 0, go_on, job);
	return job->seven != NULL && job->think != NULL;
}

static void
refuse(struct job *job, const char *enhanced, const char *why)
{
	struct result r;

	result_set(&r, enhanced[0] == '4' ? STEP_TEMPORARY : STEP_PERMANENT, enhanced, "%s, and %s",
	    job->session->caps.set & CAP_8BITMIME ? "it does not take binary mail (BINARYMIME)"
						  : "it takes only 7-bit mail (no 8BITMIME)",
	    why);
	decide_rest(job, &r);
}

bool
job_convert(struct job *job)
{
	static const struct timeval soon = { 0, 0 };
	struct mail *m = &job->mail;
	enum seven_target target;
	const char *enhanced, *why;

	m->seven = NULL;
	m->prefix = job->prefix;
	m->flags = job->flags;
	if (!target_for(job, &target))
		return true;
	m->flags &= ~(unsigned)ENVELOPE_BINARY;
	if (!begin(job, target)) {
		refuse(job, "4.3.0", "there is no memory to convert it");
		return true;
	}
	switch (seven_step(job->seven, STEP)) {
	case SEVEN_MORE:
		event_add(job->think, &soon);
		return false;
	case SEVEN_CHANGED:
		m->seven = job->seven;
		if (target == SEVEN_FOR_7BIT)
			m->prefix = job->seven_prefix;
		break;
	case SEVEN_CANNOT:
		why = seven_why(job->seven, &enhanced);
		refuse(job, enhanced, why);
		break;
	case SEVEN_AS_IS:
		break;
	}
	return true;
}
