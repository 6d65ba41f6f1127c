/* report_tls - what stands where in a TLS report (RFC 8460 4.4)
 *
 * A policy becomes a row of the sessions that went well and one for each kind of failure; failures that
 * its summary counts and no detail names are a row of their own, "not-told". */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "filters/report_build.h"

#define HEAD(f) offsetof(struct report_build, report.f)
#define ROW(i) (offsetof(struct report_build, row.text) + (i) * sizeof(const char *))

/* The failure that is being read stands behind those that are whole. */
static struct report_row *
detail(struct report_build *b)
{
	return &b->details[b->n_details];
}

/* "2026-11-24T00:00:00Z", or with "+01:00". */
static int
take_time(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	char copy[40], sign = 'Z';
	struct tm tm = { 0 };
	int hours = 0, minutes = 0, n = 0;
	const char *rest;

	if (!slice_copy(slice_trim(text), copy, sizeof(copy)) ||
	    sscanf(copy, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		&tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6 || n == 0)
		return err_set(err, ERR_PERMANENT, "its time is none: it should read 2026-11-24T00:00:00Z");
	rest = copy + n;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if ((*rest == '+' || *rest == '-') && sscanf(rest + 1, "%2d:%2d", &hours, &minutes) >= 1)
		sign = *rest;
	if (tm.tm_year < 1970 || tm.tm_year > 2200 || tm.tm_mon < 1 || tm.tm_mon > 12)
		return err_set(err, ERR_PERMANENT, "its time is none that can be");
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*(int64_t *)(void *)((char *)b + at) =
	    (int64_t)timegm(&tm) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return 0;
}

static int
take_row_more(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	const char *word;

	if (report_text(b, text, &word, err) == -1)
		return -1;
	return report_more(b, &b->row.text[at], word, err);
}

static int
take_detail(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	return report_text(b, text, &detail(b)->text[at], err);
}

static int
take_detail_ip(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	return report_ip(b, text, &detail(b)->text[at], err);
}

static int
take_detail_count(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	(void)at;
	return report_number(text, "a count of failed sessions", &detail(b)->count, err);
}

static int
take_summary(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	return report_number(text, "a count of sessions", (int64_t *)(void *)((char *)b + at), err);
}

static int
detail_ends(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	struct report_row *d = detail(b);

	(void)at;
	(void)text;
	(void)err;
	if (d->text[TLS_RESULT] == NULL || *d->text[TLS_RESULT] == '\0')
		d->text[TLS_RESULT] = "not-told";
	if (b->n_details < REPORT_DETAILS_MAX)
		b->n_details++;
	else
		b->details_left = true;
	*detail(b) = (struct report_row){ 0 };
	return 0;
}

/* A row of what failed, with the policy's own texts. */
static int
add_failure(struct report_build *b, const struct report_row *d, struct err *err)
{
	struct report_row row = *d;

	for (size_t t = 0; t < TLS_RESULT; t++)
		row.text[t] = b->row.text[t];
	return row.count == 0 ? 0 : report_row_add(b, &row, err);
}

static int
policy_ends(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	struct report_row rest = { .text = { [TLS_RESULT] = "not-told" } };
	int64_t told = 0;

	(void)at;
	(void)text;
	if (b->row.text[TLS_DOMAIN] == NULL || *b->row.text[TLS_DOMAIN] == '\0')
		return err_set(err, ERR_PERMANENT, "a policy in it is of no domain (policy-domain)");
	if (b->report.domain == NULL)
		b->report.domain = b->row.text[TLS_DOMAIN];
	b->row.count = b->good;
	b->row.text[TLS_RESULT] = "";
	if (report_row_add(b, &b->row, err) == -1)
		return -1;
	for (size_t i = 0; i < b->n_details; i++) {
		told += b->details[i].count;
		if (add_failure(b, &b->details[i], err) == -1)
			return -1;
	}
	rest.count = b->failed > told ? b->failed - told : 0;
	if (add_failure(b, &rest, err) == -1)
		return -1;
	if (b->details_left)
		b->report.note = "it names more failures than are kept";
	b->n_details = 0;
	b->row = *detail(b) = (struct report_row){ 0 };
	b->details_left = false;
	b->good = b->failed = 0;
	return 0;
}

#define FAILURE "policies/failure-details"
static const struct report_path paths[] = {
	{ "organization-name", report_take_text, HEAD(org) },
	{ "contact-info", report_take_text, HEAD(contact) },
	{ "report-id", report_take_text, HEAD(id) },
	{ "date-range/start-datetime", take_time, HEAD(begins) },
	{ "date-range/end-datetime", take_time, HEAD(ends) },
	{ "policies/policy/policy-type", report_take_text, ROW(TLS_POLICY) },
	{ "policies/policy/policy-domain", report_take_domain, ROW(TLS_DOMAIN) },
	{ "policies/policy/mx-host", take_row_more, TLS_MX },
	{ "policies/summary/total-successful-session-count", take_summary,
	    offsetof(struct report_build, good) },
	{ "policies/summary/total-failure-session-count", take_summary,
	    offsetof(struct report_build, failed) },
	{ FAILURE "/result-type", take_detail, TLS_RESULT },
	{ FAILURE "/sending-mta-ip", take_detail_ip, TLS_SENDER_IP },
	{ FAILURE "/receiving-mx-hostname", take_detail, TLS_HOST },
	{ FAILURE "/receiving-ip", take_detail_ip, TLS_HOST_IP },
	{ FAILURE "/failure-reason-code", take_detail, TLS_REASON },
	{ FAILURE "/additional-information", take_detail, TLS_INFO },
	{ FAILURE "/failed-session-count", take_detail_count, 0 },
	{ FAILURE, detail_ends, 0 },
	{ "policies", policy_ends, 0 },
};

int
report_tls_value(struct report_build *b, const char *path, struct slice text, struct err *err)
{
	return report_take(paths, COUNT(paths), b, path, text, err);
}
