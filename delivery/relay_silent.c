/* relay_silent - addresses that did not answer a little while ago, to be tried after the others
 *
 * An address is silent for us whoever's mail it takes, so this knows addresses and ports, no domains. It changes an order
 * and nothing else: where only silent ones are left, they are tried. */
#include "delivery/relay_silent.h"

#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"

struct silent {
	char text[INET6_ADDRSTRLEN];
	in_port_t port;
	int64_t until; /* clock_mono; 0: nobody */
};

static struct silent known[SILENT_MAX];
static unsigned next; /* to be written over */

static in_port_t
port_of(const struct address *a)
{
	if (a->sa.ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *)&a->sa)->sin6_port;
	return ((const struct sockaddr_in *)&a->sa)->sin_port;
}

static struct silent *
find(const struct address *a)
{
	for (size_t i = 0; i < SILENT_MAX; i++)
		if (known[i].until != 0 && known[i].port == port_of(a) && strcmp(known[i].text, a->text) == 0)
			return &known[i];
	return NULL;
}

void
silent_note(const struct address *a)
{
	struct silent *s = find(a);

	if (s == NULL) {
		s = &known[next];
		next = (next + 1) % SILENT_MAX;
	}
	memcpy(s->text, a->text, sizeof(s->text));
	s->port = port_of(a);
	s->until = clock_mono() + SILENT_FOR * CLOCK_SECOND;
}

void
silent_forget(const struct address *a)
{
	struct silent *s = find(a);

	if (s != NULL)
		s->until = 0;
}

bool
silent_is(const struct address *a)
{
	const struct silent *s = find(a);

	return s != NULL && clock_mono() < s->until;
}

void
silent_forget_all(void)
{
	memset(known, 0, sizeof(known));
}
