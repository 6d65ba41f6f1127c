/* cli_reports - what `tegami dmarc` and `tegami tlsrpt` share */
#include "admin/cli_reports.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/text.h"
#include "base/clock.h"

#define BAD_SHOWN 10

const struct cli_option cli_reports_options[] = {
	{ "since", "SPAN", "reports of so long ago and later (" REPORTS_SINCE ")" },
	{ "all", NULL, "every source, however small" },
	{ NULL, NULL, NULL },
};

/* Of a domain that was removed there may be reports; of one that never was here, not. */
static bool
is_ours(struct cli *cli, const char *domain, struct err *err)
{
	struct admin_request rq;
	struct rows rows;
	bool ours;

	rows_init(&rows);
	cli_rq(&rq, "domain.show");
	cli_rq_word(&rq, "domain", domain);
	ours = cli_ask(cli, &rq, &rows, err) == 0;
	rows_free(&rows);
	return ours;
}

int
cli_reports_ask(struct cli *cli, const struct cli_args *args, const char *verb, struct rows *rows)
{
	const char *since = cli_option(args, "since");
	struct err err = { .kind = ERR_NONE };
	struct admin_request rq;
	int64_t seconds;
	char from[24];

	if (text_span(since != NULL ? since : REPORTS_SINCE, &seconds, &err) == -1)
		return cli_error(cli, &err);
	snprintf(from, sizeof(from), "%" PRId64,
	    seconds > clock_now() / CLOCK_SECOND ? 0 : clock_now() - seconds * CLOCK_SECOND);
	cli_rq(&rq, verb);
	cli_rq_word(&rq, "domain", args->operand[0]);
	cli_rq_word(&rq, "since", from);
	if (cli_ask(cli, &rq, rows, &err) == -1 || (rows->n == 0 && !is_ours(cli, args->operand[0], &err)))
		return cli_error(cli, &err);
	return CLI_DONE;
}

size_t
cli_reports_count(const struct rows *rows, const char *what)
{
	size_t n = 0;

	for (size_t i = 0; i < rows->n; i++)
		n += strcmp(row_text(&rows->at[i], "what"), what) == 0;
	return n;
}

void
cli_reports_day(int64_t seconds, char out[static 24])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, 24, "%d %b %Y", &tm) == 0)
		snprintf(out, 24, "?");
}

void
cli_reports_see(struct reports_seen *seen, const struct row *report)
{
	int64_t begins = row_number(report, "begins"), ends = row_number(report, "ends");

	seen->unproven += row_number(report, "proven") == 0;
	if (seen->n++ == 0) {
		seen->begins = begins;
		seen->ends = ends;
	}
	seen->begins = begins < seen->begins ? begins : seen->begins;
	seen->ends = ends > seen->ends ? ends : seen->ends;
}

void
cli_reports_period(const struct reports_seen *seen, char out[static 100])
{
	char first[24], last[24];

	cli_reports_day(seen->begins, first);
	cli_reports_day(seen->ends, last);
	snprintf(out, 100, "as %zu report%s saw it from %s to %s", seen->n, seen->n == 1 ? "" : "s", first, last);
}

void
cli_reports_unproven(struct cli *cli, const struct reports_seen *seen)
{
	if (seen->unproven > 0)
		cli_say(cli,
		    "%zu of the reports came in mail whose sender neither SPF nor DKIM proves; --json names them.",
		    seen->unproven);
}

/* How to get some. */
static void
none_words(struct cli *cli, const char *domain, const char *record, char *out, size_t size)
{
	const struct conf *conf = cli_conf(cli);

	if (conf->reports.address.n == 0)
		snprintf(out, size,
		    "To get some, give an address of yours for them in the configuration, reports { address = "
		    "{\"reports@%s\"} }, and `tegami reload`; then publish what `tegami dns show %s` prints.",
		    domain, domain);
	else
		snprintf(out, size, "They come once a day to %s, if %s.%s in DNS names it (`tegami dns show %s`).",
		    conf->reports.address.at[0], record, domain, domain);
}

void
cli_reports_none(struct cli *cli, const char *domain, const char *record)
{
	char words[1200];

	none_words(cli, domain, record, words, sizeof(words));
	cli_say(cli, "There are no reports on %s in this time.", domain);
	cli_say(cli, "%s", words);
}

void
cli_reports_bad(struct cli *cli, const struct rows *rows)
{
	size_t n = cli_reports_count(rows, "bad"), shown = 0;

	if (n == 0)
		return;
	cli_say(cli, "\n%zu report%s could not be read:", n, n == 1 ? "" : "s");
	for (size_t i = 0; i < rows->n && shown < BAD_SHOWN; i++) {
		const struct row *r = &rows->at[i];
		char day[24];

		if (strcmp(row_text(r, "what"), "bad") != 0)
			continue;
		cli_reports_day(row_number(r, "taken") / CLOCK_SECOND, day);
		cli_say(cli, "  %s  %.80s: %s%.120s%s%s", day,
		    *row_text(r, "sender") != '\0' ? row_text(r, "sender") : "an unknown sender",
		    *row_text(r, "file") != '\0' ? "in " : "", row_text(r, "file"),
		    *row_text(r, "file") != '\0' ? ", " : "", row_text(r, "why"));
		shown++;
	}
	if (n > shown)
		cli_say(cli, "  and %zu more", n - shown);
}

static void
json_time(struct json *j, const char *key, int64_t us)
{
	char iso[40];

	clock_iso(us, iso);
	json_pair(j, key, iso);
}

static void
json_report(struct json *j, const struct row *r)
{
	static const char *const texts[] = { "org", "id", "contact", "sender", "policy", "note" };

	json_open(j, '{');
	for (size_t i = 0; i < COUNT(texts); i++)
		json_pair(j, texts[i], row_text(r, texts[i]));
	json_key(j, "proven");
	json_bool(j, row_number(r, "proven") != 0);
	json_time(j, "begins", row_number(r, "begins") * CLOCK_SECOND);
	json_time(j, "ends", row_number(r, "ends") * CLOCK_SECOND);
	json_time(j, "taken", row_number(r, "taken"));
	if (row_get(r, "messages") != NULL) {
		json_key(j, "messages");
		json_number(j, row_number(r, "messages"));
	}
	json_close(j, '}');
}

static void
json_bad(struct json *j, const struct row *r)
{
	json_open(j, '{');
	json_pair(j, "sender", row_text(r, "sender"));
	json_pair(j, "file", row_text(r, "file"));
	json_pair(j, "why", row_text(r, "why"));
	json_time(j, "taken", row_number(r, "taken"));
	json_close(j, '}');
}

void
cli_reports_json(struct cli *cli, struct json *j, const char *domain, const char *record, const struct rows *rows)
{
	static const struct {
		const char *what, *key;
		void (*put)(struct json *j, const struct row *r);
	} lists[] = { { "report", "reports", json_report }, { "bad", "broken", json_bad } };

	char words[1200] = "";

	if (cli_reports_count(rows, "report") == 0)
		none_words(cli, domain, record, words, sizeof(words));
	json_pair(j, "domain", domain);
	json_pair(j, "advice", words);
	for (size_t l = 0; l < COUNT(lists); l++) {
		json_key(j, lists[l].key);
		json_open(j, '[');
		for (size_t i = 0; i < rows->n; i++)
			if (strcmp(row_text(&rows->at[i], "what"), lists[l].what) == 0)
				lists[l].put(j, &rows->at[i]);
		json_close(j, ']');
	}
}
