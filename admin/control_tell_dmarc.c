/* control_tell_dmarc - the kind of report that RFC 9990 describes */
#include <inttypes.h>
#include <stdio.h>

#include "admin/control_tell.h"

static int
load(struct telling *t)
{
	struct dmarc_report *d = &t->dmarc;
	int got = history_dmarc_due(control.history, t->now, t->pool, d, &t->err);

	if (got != 1 || d->n == 0)
		return got;
	t->domain = d->domain;
	t->organization = d->organization;
	t->start = d->start;
	t->until = d->until;
	t->tries = d->tries;
	tell_id(t->id, t->by.hostname, d->start, 'r', d->rows[0].id);
	if (tell_dmarc_file(&t->file, &t->by, d, t->id, &t->rows, &t->err) == -1)
		return -1;
	t->n = rua_read(slice_of(d->rua), t->to);
	return 1;
}

static void
texts(struct telling *t)
{
	const char *host = t->by.hostname;

	snprintf(t->name, sizeof(t->name), "%.255s!%.255s!%" PRId64 "!%" PRId64 "!%s.xml.gz", host, t->domain,
	    t->start, t->until > t->start ? t->until - 1 : t->start, t->id);
	snprintf(t->text, sizeof(t->text),
	    "This is a DMARC aggregate report (RFC 9990) from %.255s\r\n"
	    "on mail that bore the name of %.255s.\r\n"
	    "The domain's DMARC record asks for it (rua).\r\n",
	    host, t->domain);
}

static int
told(struct telling *t)
{
	return history_dmarc_told(control.history, t->dmarc.id,
	    t->rows > 0 ? t->dmarc.rows[t->rows - 1].id : 0, &t->err);
}

static int
later(struct telling *t, int64_t next)
{
	return history_dmarc_later(control.history, t->dmarc.id, next, t->why, &t->err);
}

const struct tell_kind tell_dmarc = { "DMARC", load, NULL, texts, told, later, "mixed",
	"application/gzip", 0, false };
