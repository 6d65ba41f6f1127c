/* session_all - all sessions together: their list, what overload asks of them, and the memory that
 * a flood leaves behind */
#include <malloc.h>

#include "smtp/session_inner.h"

#define TRIM_FROM 200 /* sessions that leave enough memory behind */
#define TRIM_TO 8

static struct session *sessions;
static unsigned n_sessions;
static unsigned owed; /* sessions whose memory the heap may still hold */

void
sessions_add(struct session *s)
{
	s->next = sessions;
	if (sessions != NULL)
		sessions->prev = s;
	sessions = s;
	n_sessions++;
}

void
sessions_drop(struct session *s)
{
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		sessions = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	n_sessions--;
	if (n_sessions >= owed)
		owed = n_sessions + 1;
}

/* What is left of a flood keeps its pages, each with a little of it, from being given back: so
 * this is done again and again until hardly any session is left. */
void
session_give_back(void)
{
	static bool flooded;

	if (owed >= TRIM_FROM)
		flooded = true;
	if (!flooded || n_sessions > owed / 4)
		return;
	malloc_trim(0);
	owed = n_sessions;
	flooded = n_sessions > TRIM_TO;
}

unsigned
session_count(void)
{
	return n_sessions;
}

void
session_each(void (*fn)(struct session *s, void *arg), void *arg)
{
	for (struct session *s = sessions, *next; s != NULL; s = next) {
		next = s->next;
		fn(s, arg);
	}
}

size_t
session_memory(const struct session *s)
{
	return sizeof(*s) + channel_memory(s->channel) +
	       (s->tx != NULL ? transaction_memory(s->tx) : 0);
}

bool
session_may_shed(const struct session *s)
{
	return s->token == 0 && !session_may_relay(s) &&
	       (IN(GREETED) | IN(IDLE) | IN(MAIL) | IN(RCPT) | IN(DATA) | IN(CHUNK) | IN(BDAT)) &
		   1u << s->state;
}

void
session_shed(struct session *s, const char *why)
{
	session_shed_reply(s, why);
	session_refused(s, NULL, why);
	session_close(s);
	session_settle(s);
}

void
session_hurry_all(void)
{
	for (struct session *s = sessions; s != NULL; s = s->next)
		if (session_may_shed(s) && s->hold_ms == 0 && !s->waiting)
			session_move_deadline(s);
}

void
session_stop_all(void)
{
	for (struct session *s = sessions, *next; s != NULL; s = next) {
		next = s->next;
		session_settle(s);
	}
}
