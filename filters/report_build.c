/* report_build - a report as it grows */
#include "filters/report_build.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "filters/judge.h"

#define YEAR_2100 INT64_C(4102444800)

static int
no_memory(struct err *err)
{
	return err_set(err, ERR_PERMANENT, "it holds more than is taken of one report");
}

int
report_take(const struct report_path *paths, size_t n, struct report_build *b, const char *path,
    struct slice text, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(paths[i].path, path) == 0)
			return paths[i].take(b, paths[i].at, text, err);
	return 0; /* an extension, or nothing that we keep */
}

/* -- texts */

int
report_text(struct report_build *b, struct slice text, const char **out, struct err *err)
{
	char clean[REPORT_TEXT_MAX + 1];
	size_t n = 0;
	uint32_t c;

	for (text = slice_trim(text); text.len > 0;) {
		size_t len = utf8_next(text, &c);

		if (n + (len > 0 ? len : 1) > REPORT_TEXT_MAX)
			break;
		if (len == 0 || (utf8_is_hidden(c) && c != ' '))
			clean[n++] = c == '\n' || c == '\t' ? ' ' : '?';
		else
			memcpy(clean + n, text.at, len), n += len;
		text = slice_skip(text, len > 0 ? len : 1);
	}
	*out = n == 0 ? "" : pool_text(b->pool, (struct slice){ clean, n });
	return *out != NULL ? 0 : no_memory(err);
}

int
report_more(struct report_build *b, const char **to, const char *text, struct err *err)
{
	const char *old = *to != NULL ? *to : "";

	if (*text == '\0' || strlen(old) + strlen(text) + 2 > REPORT_TEXT_MAX)
		return 0;
	*to = pool_printf(b->pool, "%s%s%s", old, *old != '\0' ? ", " : "", text);
	return *to != NULL ? 0 : no_memory(err);
}

int
report_take_text(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	return report_text(b, text, (const char **)((char *)b + at), err);
}

int
report_domain(struct report_build *b, struct slice text, const char **out, struct err *err)
{
	char *name;

	text = slice_trim(text);
	if (text.len > 0 && text.at[text.len - 1] == '.')
		text.len--;
	if (text.len > 255 || report_text(b, text, out, err) == -1)
		return err_set(err, ERR_PERMANENT, "a domain in it is no domain");
	name = (char *)(uintptr_t)*out; /* just made */
	for (; *name != '\0'; name++) {
		if (*name >= 'A' && *name <= 'Z')
			*name = (char)(*name + 'a' - 'A');
		if (strchr(" /@:;,\"'<>()", *name) != NULL)
			return err_set(err, ERR_PERMANENT, "a domain in it is no domain");
	}
	return 0;
}

int
report_take_domain(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	return report_domain(b, text, (const char **)((char *)b + at), err);
}

int
report_number(struct slice text, const char *what, int64_t *out, struct err *err)
{
	uint64_t n;

	if (!slice_to_u64(slice_trim(text), &n) || n > REPORT_COUNT_MAX)
		return err_set(err, ERR_PERMANENT, "%s is no number from 0 to %lld", what,
		    (long long)REPORT_COUNT_MAX);
	*out = (int64_t)n;
	return 0;
}

int
report_ip(struct report_build *b, struct slice text, const char **out, struct err *err)
{
	char copy[64], shown[64];
	struct ip ip;

	*out = "";
	if (!slice_copy(slice_trim(text), copy, sizeof(copy)) || !ip_parse(copy, &ip) ||
	    !ip_text(&ip, shown, sizeof(shown)))
		return 0;
	return report_text(b, slice_of(shown), out, err);
}

/* -- rows */

/* Texts that repeat from row to row are kept once. */
static void
share(struct report_row *row, const struct report_row *before)
{
	for (size_t t = 0; t < REPORT_TEXTS; t++) {
		if (row->text[t] == NULL)
			row->text[t] = "";
		if (before != NULL && strcmp(row->text[t], before->text[t]) == 0)
			row->text[t] = before->text[t];
	}
}

int
report_row_add(struct report_build *b, const struct report_row *row, struct err *err)
{
	struct report *r = &b->report;

	if (r->n >= REPORT_ROWS_MAX)
		return err_set(err, ERR_PERMANENT, "it has more than %d records", REPORT_ROWS_MAX);
	if (r->n == b->rows_size) {
		size_t size = b->rows_size > 0 ? b->rows_size * 2 : 64;
		struct report_row *more = realloc(r->rows, size * sizeof(*more));

		if (more == NULL)
			return no_memory(err);
		r->rows = more;
		b->rows_size = size;
	}
	r->rows[r->n] = *row;
	share(&r->rows[r->n], r->n > 0 ? &r->rows[r->n - 1] : NULL);
	r->n++;
	return 0;
}

/* -- the end */

static int
missing(const char *text, const char *what, struct err *err)
{
	if (text != NULL && *text != '\0')
		return 0;
	return err_set(err, ERR_PERMANENT, "it does not say %s", what);
}

int
report_finish(struct report_build *b, struct err *err)
{
	struct report *r = &b->report;

	if (missing(r->org, "who made it (org_name, organization-name)", err) == -1 ||
	    missing(r->id, "its own id (report_id, report-id)", err) == -1 ||
	    missing(r->domain, "which domain it is about (policy_published, policy-domain)", err) == -1)
		return -1;
	if (r->begins <= 0 || r->ends < r->begins || r->ends > YEAR_2100)
		return err_set(err, ERR_PERMANENT, "it does not say for which time it is");
	if (r->n == 0)
		return err_set(err, ERR_PERMANENT, "there is no record in it");
	r->contact = r->contact != NULL ? r->contact : "";
	r->policy = r->policy != NULL ? r->policy : "";
	r->note = r->note != NULL ? r->note : "";
	r->sender = "";
	return 0;
}
