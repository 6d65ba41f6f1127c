/* relay_count - how many sessions had the TLS they should have, for the reports of RFC 8460
 *
 * Equal sessions of a day are one entry with a number. While control is away entries wait; when
 * there are too many the oldest go, because reports are a courtesy and memory is not. */
#include "delivery/relay_count.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"

#define ENTRIES_MAX 200
#define FLUSH_S 2
#define DAY_US (INT64_C(86400) * 1000000)

struct entry {
	struct tls_policy *policy;
	int64_t day; /* since 1970 */
	char host[256], ip[46], own_ip[46], why[200];
	enum tls_result result;
	uint64_t n;
};

static struct entry entries[ENTRIES_MAX]; /* the oldest first */
static size_t n_entries;
static struct event *timer;

static void
forget(size_t n)
{
	for (size_t i = 0; i < n; i++)
		policy_drop(&entries[i].policy);
	memmove(entries, entries + n, (n_entries - n) * sizeof(entries[0]));
	n_entries -= n;
}

static void
put_entry(struct buf *out, const struct entry *e)
{
	wire_put_i64(out, e->day);
	wire_put_text(out, e->policy->domain);
	wire_put_text(out, policy_type(e->policy));
	wire_put_text(out, e->policy->lines);
	wire_put_text(out, e->host);
	wire_put_text(out, e->ip);
	wire_put_text(out, e->own_ip);
	wire_put_text(out, tls_result_name(e->result));
	wire_put_text(out, e->why);
	wire_put_u64(out, e->n);
}

void
count_flush(void)
{
	struct link *control = role_link(ROLE_CONTROL);

	while (control != NULL && n_entries > 0) {
		struct buf *out = frame_begin(MSG_TLS_COUNT, 0);
		size_t n = 0;

		while (n < n_entries &&
		       out->len + sizeof(struct entry) + POLICY_LINES + 600 < FRAME_MAX)
			put_entry(out, &entries[n++]);
		if (link_send(control, -1) == -1)
			return;
		forget(n);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	count_flush();
}

static bool
same(const struct entry *a, const struct entry *b)
{
	return a->day == b->day && a->result == b->result && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->ip, b->ip) == 0 && strcmp(a->own_ip, b->own_ip) == 0 &&
	       strcmp(a->why, b->why) == 0 && a->policy->kind == b->policy->kind &&
	       strcmp(a->policy->domain, b->policy->domain) == 0 &&
	       strcmp(a->policy->lines, b->policy->lines) == 0;
}

static void
add(const struct entry *e)
{
	static const struct timeval soon = { FLUSH_S, 0 };

	for (size_t i = 0; i < n_entries; i++) {
		if (same(&entries[i], e)) {
			entries[i].n++;
			return;
		}
	}
	if (n_entries == ENTRIES_MAX)
		count_flush();
	if (n_entries == ENTRIES_MAX)
		forget(1);
	entries[n_entries++] = *e;
	entries[n_entries - 1].policy = policy_hold(e->policy);
	if (timer == NULL)
		timer = evtimer_new(role_base(), on_timer, NULL);
	if (timer != NULL)
		evtimer_add(timer, &soon);
}

void
count_session(struct tls_policy *p, const char *host, const char *ip, const char *own_ip,
    enum tls_result result, const char *why)
{
	struct entry e = { .policy = p, .day = clock_now() / DAY_US, .result = result, .n = 1 };

	if (!policy_wants_tls(p))
		return;
	if (result != TLS_FINE) { /* of those that went well only the number is wanted */
		slice_copy(slice_of(host), e.host, sizeof(e.host));
		slice_copy(slice_of(ip), e.ip, sizeof(e.ip));
		slice_copy(slice_of(own_ip), e.own_ip, sizeof(e.own_ip));
		slice_copy(slice_of(why), e.why, sizeof(e.why));
	}
	add(&e);
}
