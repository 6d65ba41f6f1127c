/* report_read - a report of another server from its text */
#include "filters/report_read.h"

#include <stdlib.h>
#include <string.h>

#include "filters/report_build.h"

enum form { FORM_UNKNOWN, FORM_XML, FORM_JSON };

struct report_reader {
	struct report_build build;
	enum form form;
	struct report_xml *xml;
	struct buf json;
};

struct report_reader *
report_reader_new(struct pool *pool)
{
	struct report_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->build.pool = pool;
	buf_init(&r->json, REPORT_JSON_MAX);
	return r;
}

void
report_reader_free(struct report_reader **r)
{
	if (*r == NULL)
		return;
	report_xml_free(&(*r)->xml);
	buf_free(&(*r)->json);
	free((*r)->build.report.rows);
	free(*r);
	*r = NULL;
}

/* UTF-16 and a byte order mark are expat's business. */
static int
find_form(struct report_reader *r, struct slice piece, struct err *err)
{
	struct slice begin = slice_trim(piece);

	if (slice_starts(begin, SLICE("\357\273\277")) && slice_starts(slice_trim(slice_skip(begin, 3)), SLICE("{")))
		begin = slice_trim(slice_skip(begin, 3));
	if (begin.len > 0 && begin.at[0] == '{') {
		r->form = FORM_JSON;
		return 0;
	}
	if (begin.len == 0)
		return 0;
	if (begin.at[0] != '<' && !slice_starts(begin, SLICE("\357\273\277<")) &&
		!slice_starts(begin, SLICE("\376\377")) && !slice_starts(begin, SLICE("\377\376")))
		return err_set(err, ERR_PERMANENT,
		    "what is in it is neither XML (DMARC reports) nor JSON (TLS reports)");
	r->form = FORM_XML;
	r->xml = report_xml_new(&r->build);
	return r->xml != NULL ? 0 : err_set(err, ERR_TEMPORARY, "out of memory");
}

int
report_reader_feed(struct report_reader *r, struct slice piece, struct err *err)
{
	if (r->form == FORM_UNKNOWN && find_form(r, piece, err) == -1)
		return -1;
	if (r->form == FORM_XML)
		return report_xml_feed(r->xml, piece, false, err);
	if (r->form == FORM_UNKNOWN)
		return 0; /* blanks so far */
	if (buf_slice(&r->json, piece) == -1)
		return err_set(err, ERR_PERMANENT, "it is larger than %u MiB", REPORT_JSON_MAX >> 20);
	return 0;
}

int
report_reader_end(struct report_reader *r, struct report *out, struct err *err)
{
	struct report_build *b = &r->build;
	int rc = -1;

	b->report.kind = report_reader_kind(r);
	if (r->form == FORM_XML)
		rc = report_xml_feed(r->xml, (struct slice){ "", 0 }, true, err);
	else if (r->form == FORM_JSON)
		rc = report_json_read(b, buf_all(&r->json), err);
	else
		err_set(err, ERR_PERMANENT, "there is nothing in it");
	if (rc == -1 || report_finish(b, err) == -1)
		return -1;
	*out = b->report;
	return 0;
}

enum report_kind
report_reader_kind(const struct report_reader *r)
{
	return r->form == FORM_JSON ? REPORT_TLS : REPORT_DMARC;
}

const char *
report_reader_domain(const struct report_reader *r)
{
	return r->build.report.domain != NULL ? r->build.report.domain : "";
}
