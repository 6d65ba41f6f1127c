/* tell_tls - a TLS report (RFC 8460 4.4) as JSON
 *
 * Sessions of one policy are one entry: how many went well, how many did not, and of the latter why. */
#include <stdio.h>
#include <string.h>

#include "admin/json.h"
#include "admin/tell.h"
#include "base/clock.h"

static void
time_of(int64_t s, char out[static 40])
{
	clock_iso(s * CLOCK_SECOND, out);
	out[19] = 'Z'; /* whole seconds */
	out[20] = '\0';
}

static void
pair_time(struct json *j, const char *key, int64_t s)
{
	char text[40];

	time_of(s, text);
	json_pair(j, key, text);
}

static void
head(struct json *j, const struct reporter *by, const struct tls_report *r, const char *id)
{
	json_pair(j, "organization-name", by->hostname);
	json_key(j, "date-range");
	json_open(j, '{');
	pair_time(j, "start-datetime", r->start);
	pair_time(j, "end-datetime", r->until > r->start ? r->until - 1 : r->start);
	json_close(j, '}');
	json_pair(j, "contact-info", by->from);
	json_pair(j, "report-id", id);
}

static void
policy_strings(struct json *j, const char *lines)
{
	struct slice rest = slice_of(lines), line;
	char text[512];

	json_key(j, "policy-string");
	json_open(j, '[');
	while (slice_line(&rest, &line)) {
		slice_copy(line, text, sizeof(text));
		if (text[0] != '\0')
			json_text(j, text);
	}
	json_close(j, ']');
}

/* The hosts that an MTA-STS policy names. */
static void
mx_hosts(struct json *j, const char *lines)
{
	struct slice rest = slice_of(lines), line;
	char text[300];

	json_key(j, "mx-host");
	json_open(j, '[');
	while (slice_line(&rest, &line)) {
		struct slice name = slice_cut(&line, ':');

		if (!slice_eq_nocase(slice_trim(name), SLICE("mx")))
			continue;
		slice_copy(slice_trim(line), text, sizeof(text));
		json_text(j, text);
	}
	json_close(j, ']');
}

static void
policy(struct json *j, const char *domain, const struct tls_count *c)
{
	json_key(j, "policy");
	json_open(j, '{');
	json_pair(j, "policy-type", c->type);
	if (c->lines[0] != '\0')
		policy_strings(j, c->lines);
	json_pair(j, "policy-domain", domain);
	if (strcmp(c->type, "sts") == 0)
		mx_hosts(j, c->lines);
	json_close(j, '}');
}

static void
detail(struct json *j, const struct tls_count *c)
{
	json_open(j, '{');
	json_pair(j, "result-type", c->result);
	if (c->own_ip[0] != '\0')
		json_pair(j, "sending-mta-ip", c->own_ip);
	if (c->host[0] != '\0')
		json_pair(j, "receiving-mx-hostname", c->host);
	if (c->ip[0] != '\0')
		json_pair(j, "receiving-ip", c->ip);
	json_key(j, "failed-session-count");
	json_number(j, c->sessions);
	if (c->why[0] != '\0')
		json_pair(j, "failure-reason-code", c->why);
	json_close(j, '}');
}

static void
number(struct json *j, const char *key, int64_t n)
{
	json_key(j, key);
	json_number(j, n);
}

/* The rows of one policy; *details is how many more may be told one by one. */
static void
entry(struct json *j, const char *domain, const struct tls_count *rows, size_t n, size_t *details)
{
	int64_t good = 0, bad = 0;

	for (size_t i = 0; i < n; i++)
		*(rows[i].result[0] == '\0' ? &good : &bad) += rows[i].sessions;
	json_open(j, '{');
	policy(j, domain, rows);
	json_key(j, "summary");
	json_open(j, '{');
	number(j, "total-successful-session-count", good);
	number(j, "total-failure-session-count", bad);
	json_close(j, '}');
	if (bad > 0) {
		json_key(j, "failure-details");
		json_open(j, '[');
		for (size_t i = 0; i < n; i++) {
			if (rows[i].result[0] == '\0' || *details == 0)
				continue;
			detail(j, &rows[i]);
			(*details)--;
		}
		json_close(j, ']');
	}
	json_close(j, '}');
}

static bool
same_policy(const struct tls_count *a, const struct tls_count *b)
{
	return strcmp(a->type, b->type) == 0 && strcmp(a->lines, b->lines) == 0;
}

int
tell_tls_json(struct buf *out, const struct reporter *by, const struct tls_report *r, size_t policies,
    size_t details, const char *id)
{
	struct json j;

	json_init(&j, out);
	json_open(&j, '{');
	head(&j, by, r, id);
	json_key(&j, "policies");
	json_open(&j, '[');
	for (size_t i = 0, n; i < r->n && policies > 0; i += n, policies--) {
		for (n = 1; i + n < r->n && same_policy(&r->rows[i], &r->rows[i + n]);)
			n++;
		entry(&j, r->domain, &r->rows[i], n, &details);
	}
	json_close(&j, ']');
	json_close(&j, '}');
	return out->failed ? -1 : 0;
}

int
tell_tls_file(struct buf *out, const struct reporter *by, const struct tls_report *r, const char *id,
    struct err *err)
{
	struct buf json;
	bool fits = false;

	buf_init(&json, TELL_XML_MAX);
	for (size_t most = TLS_REPORT_ROWS_MAX; most > 0 && !fits; most /= 2) {
		buf_reset(&json);
		buf_reset(out);
		fits = tell_tls_json(&json, by, r, most, most, id) == 0 &&
		       tell_gzip(out, buf_all(&json)) == 0 && out->len <= TELL_FILE_MAX;
	}
	buf_free(&json);
	return fits ? 0 : err_set(err, ERR_TEMPORARY, "the report does not fit");
}
