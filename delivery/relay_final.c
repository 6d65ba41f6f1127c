/* relay_final - the replies from the message on
 *
 * SMTP has one for all accepted recipients. LMTP has one for each, in the order of their RCPT: each decides its own
 * recipient at once, so that a connection that breaks between two of them leaves only the later ones in doubt. */
#include "delivery/relay_final.h"

static void
take_reply(const struct session *s, struct result *r)
{
	result_from_reply(r, &s->reply);
	if (s->reply.code / 100 == 3)
		r->status = STEP_TEMPORARY;
}

/* The next accepted recipient that has had no reply; m->n: there is none. */
static size_t
next_fate(const struct mail *m, size_t from)
{
	while (from < m->n && m->state[from] != RCPT_ACCEPTED)
		from++;
	return from;
}

static void
lmtp_reply(struct session *s)
{
	struct mail *m = s->mail;
	size_t i = next_fate(m, m->fates);
	struct result r;

	take_reply(s, &r);
	mail_decide(m, i, &r);
	m->fates = i + 1;
	if (next_fate(m, m->fates) == m->n)
		mail_over(s, true);
}

void
mail_final_reply(struct session *s)
{
	struct result r;

	if (s->lmtp && s->mail->accepted > 0) {
		lmtp_reply(s);
		return;
	}
	take_reply(s, &r);
	mail_decide_all(s->mail, RCPT_ACCEPTED, &r);
	mail_over(s, s->reply.code / 100 == 2);
}

/* No can be believed, yes cannot. Either way the peer is out of step. In LMTP it is the first recipient's; what it would
 * have said of the others is not known. */
void
mail_early_reply(struct session *s)
{
	struct mail *m = s->mail;
	struct result r;

	if (s->reply.code / 100 < 4) {
		session_fail_reply(s, "half a message");
		return;
	}
	result_from_reply(&r, &s->reply);
	if (s->lmtp) {
		mail_decide(m, next_fate(m, 0), &r);
		result_set(&r, STEP_TEMPORARY, "4.5.0",
		    "it answered for another recipient before it had the message");
	}
	mail_decide_all(m, RCPT_ACCEPTED, &r);
	mail_over_closed(s);
}
