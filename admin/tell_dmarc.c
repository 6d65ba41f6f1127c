/* tell_dmarc - a DMARC aggregate report (RFC 9990, Appendix A)
 *
 * Everything that strangers chose (names in From, signatures, envelopes) is escaped; bytes that XML or its
 * readers would not take are replaced. */
#include "admin/tell.h"

#include <inttypes.h>
#include <stdio.h>

/* -- XML */

static void
escape(struct buf *out, struct slice text)
{
	static const struct {
		char c;
		const char *entity;
	} entities[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" },
		{ '\'', "&apos;" } };

	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		size_t k = 0;

		while (k < COUNT(entities) && entities[k].c != c)
			k++;
		if (k < COUNT(entities))
			buf_text(out, entities[k].entity);
		else
			buf_char(out, c >= ' ' && c < 127 ? c : '?');
	}
}

static void
element(struct buf *out, unsigned depth, const char *name, struct slice text)
{
	buf_printf(out, "%*s<%s>", (int)depth * 2, "", name);
	escape(out, text);
	buf_printf(out, "</%s>\n", name);
}

static void
number(struct buf *out, unsigned depth, const char *name, int64_t n)
{
	buf_printf(out, "%*s<%s>%" PRId64 "</%s>\n", (int)depth * 2, "", name, n, name);
}

/* -- its parts */

static void
metadata(struct buf *out, const struct reporter *by, const struct dmarc_report *r, const char *id)
{
	char text[160];

	buf_text(out, "  <report_metadata>\n");
	element(out, 2, "org_name", slice_of(by->hostname));
	element(out, 2, "email", slice_of(by->from));
	element(out, 2, "report_id", slice_of(id));
	buf_text(out, "    <date_range>\n");
	number(out, 3, "begin", r->start);
	number(out, 3, "end", r->until > r->start ? r->until - 1 : r->start);
	buf_text(out, "    </date_range>\n");
	if (r->dropped > 0) {
		snprintf(text, sizeof(text),
		    "%" PRId64 " more messages are not in this report: there were too many different "
		    "rows",
		    r->dropped);
		element(out, 2, "error", slice_of(text));
	}
	element(out, 2, "generator", SLICE("Tegami"));
	buf_text(out, "  </report_metadata>\n");
}

static void
policy(struct buf *out, const struct dmarc_report *r)
{
	static const char *const names[] = { "p", "sp", "np", "adkim", "aspf", "testing" };
	struct slice words = slice_of(r->policy);

	buf_text(out, "  <policy_published>\n");
	element(out, 2, "domain", slice_of(r->domain));
	element(out, 2, "discovery_method", SLICE("treewalk"));
	for (size_t i = 0; i < COUNT(names); i++)
		element(out, 2, names[i], slice_cut(&words, ' '));
	buf_text(out, "  </policy_published>\n");
}

static void
reasons(struct buf *out, const char *lines)
{
	struct slice rest = slice_of(lines), line;

	while (slice_line(&rest, &line)) {
		buf_text(out, "        <reason>\n");
		element(out, 5, "type", slice_cut(&line, '\t'));
		if (line.len > 0)
			element(out, 5, "comment", line);
		buf_text(out, "        </reason>\n");
	}
}

static void
one_result(struct buf *out, struct slice line)
{
	struct slice by = slice_cut(&line, '\t'), domain = slice_cut(&line, '\t'),
		     which = slice_cut(&line, '\t'), result = slice_cut(&line, '\t');
	bool spf = slice_eq(by, SLICE("spf"));

	buf_printf(out, "      <%s>\n", spf ? "spf" : "dkim");
	element(out, 4, "domain", domain);
	element(out, 4, spf ? "scope" : "selector", which);
	element(out, 4, "result", result);
	if (line.len > 0)
		element(out, 4, "human_result", line);
	buf_printf(out, "      </%s>\n", spf ? "spf" : "dkim");
}

/* Signatures stand before SPF. */
static void
results(struct buf *out, const char *lines)
{
	buf_text(out, "    <auth_results>\n");
	for (int spf = 0; spf <= 1; spf++) {
		struct slice rest = slice_of(lines), line;

		while (slice_line(&rest, &line))
			if (slice_starts(line, SLICE("spf\t")) == (spf == 1))
				one_result(out, line);
	}
	buf_text(out, "    </auth_results>\n");
}

static void
record(struct buf *out, const struct dmarc_seen *m)
{
	buf_text(out, "  <record>\n    <row>\n");
	element(out, 3, "source_ip", slice_of(m->ip));
	number(out, 3, "count", m->messages);
	buf_text(out, "      <policy_evaluated>\n");
	element(out, 4, "disposition", slice_of(m->disposition));
	element(out, 4, "dkim", slice_of(m->dkim));
	element(out, 4, "spf", slice_of(m->spf));
	reasons(out, m->reasons);
	buf_text(out, "      </policy_evaluated>\n    </row>\n    <identifiers>\n");
	element(out, 3, "envelope_from", slice_of(m->envelope_from));
	element(out, 3, "header_from", slice_of(m->header_from));
	buf_text(out, "    </identifiers>\n");
	results(out, m->results);
	buf_text(out, "  </record>\n");
}

int
tell_dmarc_xml(struct buf *out, const struct reporter *by, const struct dmarc_report *r, size_t n,
    const char *id)
{
	buf_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n"
		      "  <version>1.0</version>\n");
	metadata(out, by, r, id);
	policy(out, r);
	for (size_t i = 0; i < n; i++)
		record(out, &r->rows[i]);
	buf_text(out, "</feedback>\n");
	return out->failed ? -1 : 0;
}

int
tell_dmarc_file(struct buf *out, const struct reporter *by, const struct dmarc_report *r,
    const char *id, size_t *n, struct err *err)
{
	struct buf xml;

	buf_init(&xml, TELL_XML_MAX);
	for (*n = r->n; *n > 0; *n /= 2) {
		buf_reset(&xml);
		buf_reset(out);
		if (tell_dmarc_xml(&xml, by, r, *n, id) == 0 &&
		    tell_gzip(out, buf_all(&xml)) == 0 && out->len <= TELL_FILE_MAX)
			break;
	}
	buf_free(&xml);
	return *n > 0 ? 0 : err_set(err, ERR_TEMPORARY, "the report does not fit");
}
