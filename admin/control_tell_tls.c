/* control_tell_tls - the kind of report that RFC 8460 describes
 *
 * Whom to tell stands in DNS, in the record of _smtp._tls.DOMAIN; most domains have none, and their counts go. */
#include <inttypes.h>
#include <stdio.h>

#include "admin/control_tell.h"
#include "base/envelope.h"

static int
load(struct telling *t)
{
	struct tls_report *r = &t->tls;
	int got = history_tls_due(control.history, t->now, t->at_once, t->pool, r, &t->err);

	if (got != 1)
		return got;
	t->domain = r->domain;
	t->start = r->start;
	t->until = r->until;
	t->tries = r->tries;
	tell_id(t->id, t->by.hostname, r->start, 't', r->id);
	if (r->n == 0)
		return 1;
	snprintf(t->ask, sizeof(t->ask), "_smtp._tls.%.240s", r->domain);
	return tell_tls_file(&t->file, &t->by, r, t->id, &t->err) == -1 ? -1 : 1;
}

/* "v=TLSRPTv1; rua=..." (RFC 8460 3). */
static bool
record(struct slice text, struct slice *rua)
{
	struct slice version = slice_trim(slice_cut(&text, ';'));

	*rua = SLICE("");
	if (!slice_eq(version, SLICE("v=TLSRPTv1")))
		return false;
	while (text.len > 0) {
		struct slice pair = slice_cut(&text, ';'), name = slice_trim(slice_cut(&pair, '='));

		if (slice_eq_nocase(name, SLICE("rua")) && rua->len == 0)
			*rua = slice_trim(pair);
	}
	return true;
}

static void
texts(struct telling *t)
{
	const char *host = t->by.hostname;

	snprintf(t->name, sizeof(t->name), "%.255s!%.255s!%" PRId64 "!%" PRId64 "!%s.json.gz", host, t->domain,
	    t->start, t->until > t->start ? t->until - 1 : t->start, t->id);
	snprintf(t->fields, sizeof(t->fields),
	    "TLS-Report-Domain: %.255s\r\nTLS-Report-Submitter: %.255s\r\nTLS-Required: No\r\n", t->domain, host);
	snprintf(t->text, sizeof(t->text),
	    "This is a TLS report (RFC 8460) from %.255s\r\n"
	    "on connections to the mail servers of %.255s.\r\n"
	    "The domain's TLSRPT record asks for it (rua).\r\n",
	    host, t->domain);
}

static int
told(struct telling *t)
{
	return history_tls_told(control.history, t->tls.id, &t->err);
}

static int
later(struct telling *t, int64_t next)
{
	return history_tls_later(control.history, t->tls.id, next, t->why, &t->err);
}

const struct tell_kind tell_tls = { "TLS", load, record, texts, told, later, "report; report-type=tlsrpt",
	"application/tlsrpt+gzip", ENVELOPE_TLS_OPTIONAL, true };
