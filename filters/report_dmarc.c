/* report_dmarc - what stands where in a DMARC aggregate report (RFC 9990 4; RFC 7489 appendix C)
 *
 * Both formats and their dialects have the same paths; elements that are not named here are
 * passed over. */
#include <string.h>
#include <strings.h>

#include "filters/report_build.h"

#define HEAD(f) offsetof(struct report_build, report.f)
#define ROW(i) (offsetof(struct report_build, row.text) + (i) * sizeof(const char *))
#define HERE(f) offsetof(struct report_build, f)

static int
take_time(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	return report_number(text, "its time", (int64_t *)(void *)((char *)b + at), err);
}

/* A tag of the policy: "p=none". */
static const char *const tags[] = { "p", "sp", "np", "adkim", "aspf", "pct", "t" };

static int
take_policy(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	const char *value, *old = b->report.policy != NULL ? b->report.policy : "";

	if (report_text(b, slice_first(slice_trim(text), 20), &value, err) == -1)
		return -1;
	if (*value == '\0' || strlen(old) > REPORT_TEXT_MAX - 40)
		return 0;
	b->report.policy = pool_printf(b->pool, "%s%s%s=%s", old, *old != '\0' ? " " : "", tags[at], value);
	return b->report.policy != NULL ? 0 : err_set(err, ERR_PERMANENT, "it is too large");
}

static int
take_ip(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	(void)at;
	return report_ip(b, text, &b->row.text[DMARC_IP], err);
}

static int
take_count(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	(void)at;
	return report_number(text, "the count of a record", &b->row.count, err);
}

/* RFC 9990 also knows "pass": nothing was wrong, so nothing was done. */
static int
take_disposition(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	static const struct {
		const char *said, *is;
	} words[] = { { "none", "none" }, { "pass", "none" }, { "quarantine", "quarantine" },
		{ "reject", "reject" } };

	(void)at;
	(void)err;
	for (size_t i = 0; i < COUNT(words); i++)
		if (slice_eq_nocase(slice_trim(text), slice_of(words[i].said)))
			b->row.text[DMARC_DISPOSITION] = words[i].is;
	return 0;
}

static int
take_result(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	(void)err;
	b->row.text[at] = slice_eq_nocase(slice_trim(text), SLICE("pass")) ? "pass" : "fail";
	return 0;
}

static int
take_reason(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	const char *word;

	if (report_text(b, slice_first(slice_trim(text), 40), &word, err) == -1)
		return -1;
	return report_more(b, &b->row.text[at], word, err);
}

/* A check of DKIM or SPF is over: "example.test/selector=pass". */
static int
take_auth(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	bool selected = b->selector != NULL && *b->selector != '\0';
	const char *one = b->domain == NULL || *b->domain == '\0' ? ""
		: pool_printf(b->pool, "%s%s%s=%s", b->domain, selected ? "/" : "",
		      selected ? b->selector : "", b->result != NULL ? b->result : "");

	(void)text;
	b->domain = b->selector = b->result = NULL;
	if (one == NULL)
		return err_set(err, ERR_PERMANENT, "it is too large");
	return report_more(b, &b->row.text[at], one, err);
}

static int
take_record(struct report_build *b, size_t at, struct slice text, struct err *err)
{
	(void)at;
	(void)text;
	if (b->row.text[DMARC_IP] == NULL || *b->row.text[DMARC_IP] == '\0')
		return err_set(err, ERR_PERMANENT, "record %zu has no address that the mail came from",
		    b->report.n + 1);
	if (b->row.text[DMARC_DKIM] == NULL)
		b->row.text[DMARC_DKIM] = "fail";
	if (b->row.text[DMARC_SPF] == NULL)
		b->row.text[DMARC_SPF] = "fail";
	if (b->row.count > 0 && report_row_add(b, &b->row, err) == -1)
		return -1;
	b->row = (struct report_row){ 0 };
	return 0;
}

#define RECORD "feedback/record/"
static const struct report_path paths[] = {
	{ RECORD "auth_results/dkim/domain", report_take_text, HERE(domain) },
	{ RECORD "auth_results/dkim/selector", report_take_text, HERE(selector) },
	{ RECORD "auth_results/dkim/result", report_take_text, HERE(result) },
	{ RECORD "auth_results/dkim", take_auth, DMARC_DKIM_AUTH },
	{ RECORD "auth_results/spf/domain", report_take_text, HERE(domain) },
	{ RECORD "auth_results/spf/result", report_take_text, HERE(result) },
	{ RECORD "auth_results/spf", take_auth, DMARC_SPF_AUTH },
	{ RECORD "row/source_ip", take_ip, 0 },
	{ RECORD "row/count", take_count, 0 },
	{ RECORD "row/policy_evaluated/disposition", take_disposition, 0 },
	{ RECORD "row/policy_evaluated/dkim", take_result, DMARC_DKIM },
	{ RECORD "row/policy_evaluated/spf", take_result, DMARC_SPF },
	{ RECORD "row/policy_evaluated/reason/type", take_reason, DMARC_REASON },
	{ RECORD "identifiers/header_from", report_take_domain, ROW(DMARC_HEADER_FROM) },
	{ RECORD "identifiers/envelope_from", report_take_text, ROW(DMARC_ENVELOPE_FROM) },
	{ "feedback/record", take_record, 0 },
	{ "feedback/report_metadata/org_name", report_take_text, HEAD(org) },
	{ "feedback/report_metadata/email", report_take_text, HEAD(contact) },
	{ "feedback/report_metadata/report_id", report_take_text, HEAD(id) },
	{ "feedback/report_metadata/error", report_take_text, HEAD(note) },
	{ "feedback/report_metadata/date_range/begin", take_time, HEAD(begins) },
	{ "feedback/report_metadata/date_range/end", take_time, HEAD(ends) },
	{ "feedback/policy_published/domain", report_take_domain, HEAD(domain) },
	{ "feedback/policy_published/p", take_policy, 0 },
	{ "feedback/policy_published/sp", take_policy, 1 },
	{ "feedback/policy_published/np", take_policy, 2 },
	{ "feedback/policy_published/adkim", take_policy, 3 },
	{ "feedback/policy_published/aspf", take_policy, 4 },
	{ "feedback/policy_published/pct", take_policy, 5 },
	{ "feedback/policy_published/testing", take_policy, 6 },
};

int
report_dmarc_value(struct report_build *b, const char *path, struct slice text, struct err *err)
{
	return report_take(paths, COUNT(paths), b, path, text, err);
}
