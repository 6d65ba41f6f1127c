/* history_admin - `trace` and the reports of others, as `control` and the CLI answer it */
#include "storage/history_admin.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/qid.h"
#include "storage/history_received.h"
#include "storage/history_waiting.h"

static void
event_row(void *arg, const struct history_event *e)
{
	struct admin_out *out = arg;
	char time[24], seq[24], id[QID_TEXT] = "";

	snprintf(time, sizeof(time), "%" PRId64, e->time);
	snprintf(seq, sizeof(seq), "%" PRId64, e->seq);
	if (e->qid != 0)
		qid_text(e->qid, id);
	admin_row(out, "time", time, "id", id, "event", trace_event_name(e->event), "text", e->text,
	    "from", e->from, "to", e->to, "ip", e->ip, "msgid", e->msgid, "user", e->user, "role",
	    e->role < ROLE_COUNT ? role_name(e->role) : "", "seq", seq, NULL);
}

static int
trace(void *owner, const struct admin_request *rq, struct admin_out *out, struct err *err)
{
	const char *what = admin_get(rq, "what");
	struct history_query q;
	uint64_t since, after;

	if (history_query_of(what != NULL ? what : "", &q, err) == -1 ||
	    admin_get_u64(rq, "since", 0, &since, err) == -1 ||
	    admin_get_u64(rq, "after", 0, &after, err) == -1)
		return -1;
	q.since = (int64_t)since;
	q.after = (int64_t)after;
	return history_find(owner, &q, event_row, out, err) == -1 ? -1 : 0;
}

const struct admin_verb history_admin_verbs[] = { { "trace", trace },
	{ "dmarc.show", received_show }, { "tlsrpt.show", received_show },
	{ "tlsrpt.waiting", history_waiting }, { NULL, NULL } };
