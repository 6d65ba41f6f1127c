/* bounce - the report to a sender on what became of his mail
 *
 * Three parts: plain words for people, message/delivery-status for programs, and the headers of the
 * mail (or all of it). Nothing from outside can end a line or a part: control characters go, the boundary holds
 * the report's own id, and lines are folded. Errors: a full buffer is marked failed, as buf does.
 */
#include "delivery/bounce.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/refusal.h"
#include "delivery/xtext.h"

#define RCPTS_SHOWN 50
#define HEADERS_SHOWN (16 * 1024)
#define LINE_SHOWN 900
#define FOLD 76 /* columns of the text for people */

/* What differs between the kinds; `words` follow the date of the mail. */
static const struct kind {
	const char *subject, *action;
	unsigned class; /* of the status (RFC 3463) */
	const char *status, *words;
} kinds[BOUNCE_KINDS] = {
	[BOUNCE_FAILED] = { "Your mail could not be delivered", "failed", 5, "5.0.0",
	    "could not be delivered to these recipients, and we have given up:\r\n\r\n" },
	[BOUNCE_DELAYED] = { "Your mail is delayed; we keep trying", "delayed", 4, "4.4.7",
	    "has not reached these recipients yet. You need not send it again:\r\n" },
	[BOUNCE_DELIVERED] = { "Your mail was delivered", "delivered", 2, "2.0.0",
	    "is in the mailboxes of these recipients:\r\n\r\n" },
	[BOUNCE_RELAYED] = { "Your mail was handed on", "relayed", 2, "2.0.0",
	    "was taken by the mail servers of these recipients. They do not "
	    "report deliveries,\r\nso you will hear of it again only if it fails:\r\n\r\n" },
};

/* A text from outside as one line: control characters become blanks, bytes past ASCII a "?" unless
 * `utf8`. */
static void
put_clean(struct buf *out, const char *text, bool utf8)
{
	size_t n = 0;

	for (const char *p = text; *p != '\0' && n < LINE_SHOWN; p++, n++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f)
			buf_char(out, ' ');
		else if (c >= 0x80 && !utf8)
			buf_char(out, '?');
		else
			buf_char(out, (char)c);
	}
}

/* Field: value */
static void
put_field(struct buf *out, const char *name, const char *value, bool utf8)
{
	buf_text(out, name);
	put_clean(out, value, utf8);
	buf_text(out, "\r\n");
}

static bool
comes_whole(const struct bounce *b)
{
	return b->full_follows || b->full.len > 0;
}

static bool
full_is_8bit(const struct bounce *b)
{
	return b->full_8bit || !slice_is_ascii(b->full);
}

static void
put_head(struct buf *out, const struct bounce *b)
{
	char date[40];

	clock_rfc5322(b->now, date);
	buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", b->hostname);
	buf_text(out, "To: <");
	put_clean(out, b->to, b->utf8);
	buf_printf(out, ">\r\nSubject: %s\r\n",
	    b->to_postmaster ? "A report of this server could not be delivered" : kinds[b->kind].subject);
	buf_printf(out, "Date: %s\r\nMessage-ID: <%s@%s>\r\n", date, b->report_id, b->hostname);
	buf_text(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	buf_printf(out,
	    "Content-Type: multipart/report; "
	    "report-type=delivery-status;\r\n\tboundary=\"%s/%s\"\r\n",
	    b->report_id, b->hostname);
	if (b->utf8 || full_is_8bit(b))
		buf_text(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_text(out, "\r\nThis is a report in MIME format.\r\n");
}

static void
put_boundary(struct buf *out, const struct bounce *b, const char *end)
{
	buf_printf(out, "\r\n--%s/%s%s\r\n", b->report_id, b->hostname, end);
}

static const char *
rcpt_named(const struct bounce_rcpt *r)
{
	return r->original != NULL && r->original[0] != '\0' ? r->original : r->address;
}

/* Words one after the other, in lines of at most FOLD columns, each `indent` deep. */
static void
put_folded(struct buf *out, const char *text, unsigned indent, bool utf8)
{
	size_t column = FOLD;

	for (size_t shown = 0; *text != '\0' && shown < LINE_SHOWN;) {
		size_t len = strcspn(text, " ");
		char word[LINE_SHOWN + 1];

		if (len > 0) {
			bool fits = column + 1 + len <= FOLD;

			snprintf(word, sizeof(word), "%.*s", (int)(len < LINE_SHOWN ? len : LINE_SHOWN), text);
			if (fits)
				buf_char(out, ' ');
			else
				buf_printf(out, "%s%*s", shown > 0 ? "\r\n" : "", (int)indent, "");
			column = fits ? column + 1 + len : indent + len;
			put_clean(out, word, utf8);
		}
		shown += len + 1;
		text += len + (text[len] == ' ');
	}
	buf_text(out, "\r\n");
}

/* "mx.peer.test refused it:" and its words, in a paragraph of their own. */
static void
put_what_happened(struct buf *out, const struct bounce *b, const struct bounce_rcpt *r)
{
	char said[LINE_SHOWN + 40];
	bool theirs = r->host != NULL && r->host[0] != '\0';

	if (theirs && r->code != 0)
		snprintf(said, sizeof(said), "%.255s said:", r->host);
	else if (theirs)
		snprintf(said, sizeof(said), "with %.255s:", r->host);
	if (theirs)
		put_folded(out, said, 6, b->utf8);
	if (r->code != 0)
		snprintf(said, sizeof(said), "%u %s%s%s", r->code, r->enhanced != NULL ? r->enhanced : "",
		    r->enhanced != NULL && r->enhanced[0] != '\0' ? " " : "", r->text);
	else
		snprintf(said, sizeof(said), "%s", r->text);
	put_folded(out, said, theirs ? 8 : 6, b->utf8);
}

static void
put_what_it_means(struct buf *out, const struct bounce *b, const struct bounce_rcpt *r)
{
	const struct refusal_words *is = refusal_words(
	    refusal_of(r->code, r->enhanced != NULL ? r->enhanced : "", r->text));
	const char *todo = b->to_postmaster ? is->admin : b->kind == BOUNCE_FAILED ? is->sender : "";
	char words[LINE_SHOWN];

	if (is->means[0] == '\0')
		return;
	snprintf(words, sizeof(words), "That means: %s", is->means);
	put_folded(out, words, 6, false);
	snprintf(words, sizeof(words), "What to do: %s", todo);
	if (todo[0] != '\0')
		put_folded(out, words, 6, false);
}

static void
put_words_rcpt(struct buf *out, const struct bounce *b, const struct bounce_rcpt *r)
{
	buf_text(out, "  <");
	put_clean(out, rcpt_named(r), b->utf8);
	buf_text(out, ">");
	if (strcmp(rcpt_named(r), r->address) != 0) {
		buf_text(out, " (sent on to <");
		put_clean(out, r->address, b->utf8);
		buf_text(out, ">)");
	}
	buf_text(out, "\r\n");
	put_what_happened(out, b, r);
	if (kinds[b->kind].class != 2)
		put_what_it_means(out, b, r);
	buf_text(out, "\r\n");
}

static void
put_words(struct buf *out, const struct bounce *b)
{
	char date[40], until[40];

	clock_rfc5322(b->arrived, date);
	clock_rfc5322(b->until, until);
	put_boundary(out, b, "");
	buf_printf(out, "Content-Type: text/plain; charset=utf-8\r\n%s\r\n",
	    b->utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "");
	buf_printf(out, "This is the mail server at %s.\r\n\r\n", b->hostname);
	if (b->to_postmaster)
		buf_printf(out,
		    "You are its postmaster. A mail of %s, probably a report of\r\nthis server itself, could not be "
		    "delivered, and there is no sender who could be told:\r\n\r\n",
		    date);
	else
		buf_printf(out, "Your mail of %s\r\n%s", date, kinds[b->kind].words);
	if (b->kind == BOUNCE_DELAYED)
		buf_printf(out, "we keep trying until %s.\r\n\r\n", until);
	for (size_t i = 0; i < b->n_rcpts && i < RCPTS_SHOWN; i++)
		put_words_rcpt(out, b, &b->rcpts[i]);
	if (b->n_rcpts > RCPTS_SHOWN)
		buf_printf(out, "  and %zu more\r\n", b->n_rcpts - RCPTS_SHOWN);
	if (b->why_cut != NULL && !b->to_postmaster && !comes_whole(b))
		buf_printf(out, "You asked for your mail to come back whole. It does not: %s.\r\n\r\n", b->why_cut);
	if (b->to_postmaster)
		buf_printf(out, "Its headers are attached. `tegami trace %s` tells its whole story.\r\n", b->id);
	else
		buf_printf(out,
		    "%s attached. If you ask your administrator for help, name this\r\nid: %s\r\n",
		    comes_whole(b) ? "Your mail is" : "The headers of your mail are", b->id);
}

/* "5.1.1": three numbers of the right class, as RFC 3463 has them; else what fits the kind of
 * report. */
static const char *
status_of(const struct bounce *b, const struct bounce_rcpt *r)
{
	unsigned class, subject, detail;
	char end;

	if (r->enhanced != NULL &&
	    sscanf(r->enhanced, "%1u.%3u.%3u%c", &class, &subject, &detail, &end) == 3 &&
	    class == kinds[b->kind].class)
		return r->enhanced;
	return kinds[b->kind].status;
}

static void
put_address(struct buf *out, const char *field, const char *address, bool utf8)
{
	buf_printf(
	    out, "%s: %s;", field, utf8 && !slice_is_ascii(slice_of(address)) ? "utf-8" : "rfc822");
	put_clean(out, address, utf8);
	buf_text(out, "\r\n");
}

/* What xtext says, as one line. */
static void
put_decoded(struct buf *out, const char *field, const struct buf *decoded)
{
	buf_text(out, field);
	buf_slice(out, buf_all(decoded));
	buf_text(out, "\r\n");
}

static void
put_original(struct buf *out, const struct bounce *b, const struct bounce_rcpt *r)
{
	struct buf decoded;

	if (r->orcpt == NULL || r->orcpt[0] == '\0') {
		put_address(out, "Original-Recipient", rcpt_named(r), b->utf8);
		return;
	}
	buf_init(&decoded, LINE_SHOWN);
	orcpt_show(&decoded, r->orcpt, b->utf8);
	put_decoded(out, "Original-Recipient: ", &decoded);
	buf_free(&decoded);
}

static void
put_diagnostic(struct buf *out, const struct bounce *b, const struct bounce_rcpt *r)
{
	if (r->code != 0) {
		buf_printf(out, "Diagnostic-Code: smtp;%u ", r->code);
		put_clean(out, r->text, b->utf8);
		buf_text(out, "\r\n");
	} else if (kinds[b->kind].class != 2) {
		put_field(out, "Diagnostic-Code: x-tegami;", r->text, b->utf8);
	}
}

static void
put_status_rcpt(struct buf *out, const struct bounce *b, const struct bounce_rcpt *r)
{
	char date[40];

	buf_text(out, "\r\n");
	put_original(out, b, r);
	put_address(out, "Final-Recipient", r->address, b->utf8);
	buf_printf(out, "Action: %s\r\nStatus: %s\r\n", kinds[b->kind].action, status_of(b, r));
	if (r->host != NULL && r->host[0] != '\0')
		put_field(out, "Remote-MTA: dns;", r->host, b->utf8);
	put_diagnostic(out, b, r);
	if (b->kind == BOUNCE_DELAYED) {
		clock_rfc5322(b->until, date);
		put_field(out, "Will-Retry-Until: ", date, false);
	}
}

static void
put_status(struct buf *out, const struct bounce *b)
{
	struct buf decoded;
	char date[40];

	clock_rfc5322(b->arrived, date);
	put_boundary(out, b, "");
	buf_text(out, b->utf8 ? "Content-Type: message/global-delivery-status\r\n"
				"Content-Transfer-Encoding: 8bit\r\n\r\n"
			      : "Content-Type: message/delivery-status\r\n\r\n");
	if (b->envid != NULL && b->envid[0] != '\0') {
		buf_init(&decoded, LINE_SHOWN);
		xtext_show(&decoded, slice_of(b->envid));
		put_decoded(out, "Original-Envelope-Id: ", &decoded);
		buf_free(&decoded);
	}
	buf_printf(out, "Reporting-MTA: dns;%s\r\nX-Tegami-Queue-ID: %s\r\nArrival-Date: %s\r\n",
	    b->hostname, b->id, date);
	for (size_t i = 0; i < b->n_rcpts && i < RCPTS_SHOWN; i++)
		put_status_rcpt(out, b, &b->rcpts[i]);
}

/* The lines of the header up to the first empty one; long ones are cut. */
static void
put_headers(struct buf *out, const struct bounce *b)
{
	struct slice rest = slice_first(b->headers, HEADERS_SHOWN);
	struct slice line;

	put_boundary(out, b, "");
	buf_text(out,
	    b->utf8
		? "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
		: "Content-Type: text/rfc822-headers\r\n\r\n");
	while (slice_line(&rest, &line) && line.len > 0) {
		for (size_t i = 0; i < line.len && i < LINE_SHOWN; i++) {
			unsigned char c = (unsigned char)line.at[i];
			bool odd = (c < 0x20 && c != '\t') || c == 0x7f || (c >= 0x80 && !b->utf8);

			buf_char(out, odd ? '?' : (char)c);
		}
		buf_text(out, "\r\n");
	}
}

static void
put_full(struct buf *out, const struct bounce *b)
{
	put_boundary(out, b, "");
	buf_printf(out, "Content-Type: message/%s\r\n%s\r\n", b->utf8 ? "global" : "rfc822",
	    !full_is_8bit(b) ? "" : "Content-Transfer-Encoding: 8bit\r\n");
	buf_slice(out, b->full);
}

void
bounce_write(struct buf *out, const struct bounce *b)
{
	put_head(out, b);
	put_words(out, b);
	put_status(out, b);
	if (comes_whole(b))
		put_full(out, b);
	else
		put_headers(out, b);
	if (!b->full_follows)
		bounce_end(out, b);
}

void
bounce_end(struct buf *out, const struct bounce *b)
{
	put_boundary(out, b, "--");
}
