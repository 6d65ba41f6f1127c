/* report_mail - the attachments of a message that may be reports, decoded */
#include "filters/report_mail.h"

#include <string.h>

#include "filters/mime.h"

/* The types that the standards name, and what senders use instead. */
static const char *const types[] = { "application/gzip", "application/x-gzip", "application/zip",
	"application/x-zip", "application/x-zip-compressed", "application/xml", "text/xml",
	"application/tlsrpt+gzip", "application/tlsrpt+json", "application/json" };
static const char *const vague[] = { "application/octet-stream", "application/x-compressed",
	"application/gzip-compressed", "application/x-gunzip", "text/plain", "application/zlib" };
static const char *const ends[] = { ".xml", ".xml.gz", ".gz", ".zip", ".json", ".json.gz" };

static bool
among(const char *const *words, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], text) == 0)
			return true;
	return false;
}

static bool
is_report(const struct mime_part *p)
{
	if (among(types, COUNT(types), p->type))
		return true;
	for (size_t i = 0; i < COUNT(ends); i++)
		if (among(vague, COUNT(vague), p->type) &&
		    slice_ends_nocase(slice_of(p->filename), slice_of(ends[i])))
			return true;
	return false;
}

static bool
want(void *arg, const struct mime_part *p)
{
	struct report_mail *m = arg;

	if (!is_report(p))
		return false;
	if (m->n == REPORT_PARTS_MAX) {
		m->left++;
		return false;
	}
	slice_copy(slice_of(p->filename), m->part[m->n].file, sizeof(m->part[m->n].file));
	buf_init(&m->part[m->n++].bytes, REPORT_PACKED_MAX);
	return true;
}

static void
take(void *arg, const struct mime_part *p, struct slice bytes)
{
	struct report_mail *m = arg;

	if (is_report(p) && m->n > 0 && m->left == 0)
		buf_slice(&m->part[m->n - 1].bytes, bytes);
}

void
report_mail_find(struct slice message, struct report_mail *m)
{
	struct mime_sink sink = { .arg = m, .want = want, .text = take };
	struct mime_facts facts;

	memset(m, 0, sizeof(*m));
	mime_read(message, &sink, &facts);
}

void
report_mail_free(struct report_mail *m)
{
	for (size_t i = 0; i < m->n; i++)
		buf_free(&m->part[i].bytes);
	m->n = 0;
}

void
report_mail_domain(const char *file, char out[static 256])
{
	struct slice rest = slice_of(file), domain;

	slice_cut(&rest, '!');
	domain = slice_cut(&rest, '!');
	out[0] = '\0';
	if (rest.at == NULL || slice_find(domain, '.') < 1 || !slice_is_ascii(domain))
		return;
	for (size_t i = 0; i < domain.len; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
			domain.at[i]) == NULL)
			return;
	slice_copy(domain, out, 256);
}
