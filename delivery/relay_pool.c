/* relay_pool - sessions that wait a few seconds for the next mail to the same place
 *
 * A list, newest first; the newest fitting one is taken, so that the surplus grows old and is
 * closed. When the pool is full the oldest one goes. A peer that hangs up meanwhile takes its
 * session out by itself (relay_session.c). */
#include "delivery/relay_pool.h"

#include <string.h>

#include "base/clock.h"

static struct session *idle;
static unsigned n_idle;

void
pool_forget(struct session *s)
{
	if (s->at == NULL)
		return;
	*s->at = s->next;
	if (s->next != NULL)
		s->next->at = s->at;
	s->at = NULL;
	n_idle--;
}

static bool
worn_out(const struct session *s)
{
	return s->mails >= POOL_SESSION_MAILS ||
	       clock_mono() - s->born > POOL_SESSION_AGE * CLOCK_SECOND;
}

static unsigned
count_key(const char *key)
{
	unsigned n = 0;

	for (struct session *s = idle; s != NULL; s = s->next)
		n += strcmp(s->key, key) == 0;
	return n;
}

static void
close_oldest(void)
{
	struct session *s = idle;

	while (s->next != NULL)
		s = s->next;
	session_close(s);
}

void
pool_give(struct session *s, unsigned per_key)
{
	if (worn_out(s) || count_key(s->key) >= per_key) {
		session_close(s);
		return;
	}
	if (n_idle >= POOL_MAX)
		close_oldest();
	s->user = NULL;
	s->arg = NULL;
	s->at = &idle;
	s->next = idle;
	if (idle != NULL)
		idle->at = &s->next;
	idle = s;
	n_idle++;
	channel_deadline(s->channel, POOL_IDLE_MS);
}

struct session *
pool_take(const char *key)
{
	for (struct session *s = idle; s != NULL; s = s->next) {
		if (strcmp(s->key, key) == 0) {
			pool_forget(s);
			return s;
		}
	}
	return NULL;
}

struct session *
pool_take_peer(const char *peer_key)
{
	for (struct session *s = idle; s != NULL; s = s->next) {
		if (strcmp(s->peer_key, peer_key) == 0) {
			pool_forget(s);
			return s;
		}
	}
	return NULL;
}

void
pool_close_all(void)
{
	while (idle != NULL)
		session_close(idle);
}

unsigned
pool_count(void)
{
	return n_idle;
}
