/* seen - notes are gathered for a moment, up to a frame of them
 *
 * Outside the path to 250: when control is away or slow they are lost and counted; a report is a courtesy.
 *
 * A message that comes again later (451) is not told: it will be when it is decided. Neither is a report
 * that proves its domain: two servers that report on each other's reports would never end. */
#include "filters/seen.h"

#include <string.h>

#include "base/log.h"
#include "base/role.h"
#include "base/rua.h"

#define FLUSH_MS 100
#define TEXT_MAX 2048 /* of reasons, of results */
#define COMMENT_MAX 100

static struct buf notes = { .ceiling = FRAME_MAX };
static struct event *timer;
static unsigned long lost;

void
seen_flush(void)
{
	if (notes.len <= FRAME_HEADER)
		return;
	if (link_send_buf(role_link_at(ROLE_CONTROL, 0), &notes, -1) == -1)
		lost++;
	else if (lost > 0) {
		log_warning("%lu bundles of notes for DMARC reports were lost", lost);
		lost = 0;
	}
	buf_reset(&notes);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	seen_flush();
}

int
seen_start(struct err *err)
{
	timer = event_new(role_base(), -1, 0, on_timer, NULL);
	return timer != NULL ? 0 : err_set(err, ERR_TEMPORARY, "out of memory");
}

/* Nothing that could be taken for the end of a field or a line. */
static void
put_word(struct buf *out, const char *text, size_t most)
{
	for (size_t i = 0; text[i] != '\0' && i < most; i++)
		buf_char(out, text[i] > ' ' && text[i] < 127 ? text[i] : ' ');
}

static void
put_reason(struct buf *out, const struct policy_seen *seen)
{
	if (seen->reason == NULL)
		return;
	buf_printf(out, "%s\t", seen->reason);
	put_word(out, seen->comment, COMMENT_MAX);
	buf_char(out, '\n');
}

static void
put_result(struct buf *out, const struct auth_result *r)
{
	buf_printf(out, "%s\t", r->by);
	put_word(out, r->domain, 253);
	buf_char(out, '\t');
	put_word(out, strcmp(r->by, "spf") == 0 ? "mfrom" : r->selector, 253);
	buf_printf(out, "\t%s\t", r->result);
	put_word(out, r->why, COMMENT_MAX);
	buf_char(out, '\n');
}

/* Those that pass first: they are what the domain may act on (RFC 9990 "DKIM Signatures"). */
static void
put_results(struct buf *out, const struct judge *j)
{
	for (int passed = 1; passed >= 0; passed--) {
		for (size_t i = 0; i < j->n_results; i++) {
			size_t len = out->len;

			if ((strcmp(j->results[i].result, "pass") == 0) != passed)
				continue;
			put_result(out, &j->results[i]);
			if (out->failed) { /* the first ones are whole */
				out->failed = false;
				out->len = len;
				return;
			}
		}
	}
}

static void
put_note(struct buf *out, const struct judge *j, struct slice reasons, struct slice results)
{
	const struct policy_seen *seen = &j->seen;
	char text[46] = "";
	struct ip ip;

	/* in the form that all write alike; v4-mapped ones are v4 */
	if (ip_parse(j->facts.ip, &ip))
		ip_text(&ip, text, sizeof(text));
	wire_put_i64(out, j->facts.now);
	wire_put_text(out, seen->domain);
	wire_put_text(out, seen->organization);
	wire_put_text(out, seen->policy);
	wire_put_text(out, seen->rua);
	wire_put_text(out, text);
	wire_put_text(out, seen->disposition);
	wire_put_text(out, seen->dkim ? "pass" : "fail");
	wire_put_text(out, seen->spf ? "pass" : "fail");
	wire_put_bytes(out, reasons);
	wire_put_text(out, seen->from);
	wire_put_text(out, address_domain(j->facts.from));
	wire_put_bytes(out, results);
}

static bool
is_report(const struct judge *j)
{
	const struct mime_field *f;

	return (j->seen.dkim || j->seen.spf) && judge_field(j, "Subject", &f) > 0 &&
	       slice_starts_nocase(slice_trim(f->value), SLICE("Report Domain:"));
}

static bool
is_wanted(const struct judge *j, enum verdict verdict)
{
	struct rua rua[RUA_MAX];
	struct ip ip;

	return j->conf->reports.dmarc && j->seen.known && verdict != VERDICT_DEFER &&
	       rua_read(slice_of(j->seen.rua), rua) > 0 && ip_parse(j->facts.ip, &ip) && !is_report(j);
}

void
seen_note(const struct judge *j, enum verdict verdict)
{
	static const struct timeval soon = { 0, FLUSH_MS * 1000 };
	struct buf reasons, results;
	size_t cost;

	if (!is_wanted(j, verdict))
		return;
	buf_init(&reasons, TEXT_MAX);
	buf_init(&results, TEXT_MAX);
	put_reason(&reasons, &j->seen);
	put_results(&results, j);
	cost = reasons.len + results.len + strlen(j->seen.rua) + 2048; /* names: four at most */
	if (notes.len + cost > FRAME_MAX)
		seen_flush();
	if (notes.len == 0) {
		frame_begin_in(&notes, MSG_DMARC_SEEN, 0);
		event_add(timer, &soon);
	}
	put_note(&notes, j, buf_all(&reasons), buf_all(&results));
	buf_free(&reasons);
	buf_free(&results);
}
