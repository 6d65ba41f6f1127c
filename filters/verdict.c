/* verdict - adds up, decides, and writes the fields that tell readers why
 *
 * A virus, or a scan that did not happen, goes before every score: a message that was not scanned
 * is never let through. What is written comes from constants and cleaned texts, so nothing in the
 * mail can forge a line of it.
 *
 * Errors: without memory the verdict is "defer". */
#include "filters/verdict.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASONS_MAX 3          /* in a reply */
#define REPLY_MAX 400          /* bytes; a reply line may have 512 */
#define RESULTS_MAX (6 * 1024) /* of Authentication-Results */
#define LINE_MAX_LEN 76

const char *
verdict_name(enum verdict v)
{
	static const char *const names[] = { "accept", "junk", "refuse", "defer" };

	return names[v];
}

void
score_text(int64_t score, char out[static SCORE_TEXT])
{
	uint64_t size = score < 0 ? (uint64_t)-score : (uint64_t)score;
	int n = snprintf(out, SCORE_TEXT, "%s%llu.%03u", score < 0 ? "-" : "",
	    (unsigned long long)(size / 1000), (unsigned)(size % 1000));

	while (out[n - 1] == '0')
		out[--n] = '\0';
	if (out[n - 1] == '.')
		out[--n] = '\0';
}

/* -- the decision */

static const struct hit *
hit_of(const struct judge *j, const char *check)
{
	for (size_t i = 0; i < j->n_hits; i++)
		if (strcmp(j->hits[i].check, check) == 0)
			return &j->hits[i];
	return NULL;
}

/* The reasons that weigh most, in words. */
static const char *
top_reasons(struct judge *j)
{
	bool told[JUDGE_HITS_MAX] = { false };
	struct buf text;
	const char *out;

	buf_init(&text, REPLY_MAX - 100);
	for (int k = 0; k < REASONS_MAX; k++) {
		size_t best = JUDGE_HITS_MAX;

		for (size_t i = 0; i < j->n_hits; i++)
			if (!told[i] && j->hits[i].score > 0 &&
			    (best == JUDGE_HITS_MAX || j->hits[i].score > j->hits[best].score))
				best = i;
		if (best == JUDGE_HITS_MAX)
			break;
		told[best] = true;
		/* a reason too long for the line is left out whole */
		if (strlen(j->hits[best].text) + text.len + 2 < text.ceiling)
			buf_printf(&text, "%s%s", text.len > 0 ? "; " : "", j->hits[best].text);
	}
	out = pool_text(j->pool, buf_all(&text));
	buf_free(&text);
	return out;
}

static void
decide(struct judge *j, struct ruling *r, enum verdict verdict, const char *reply, const char *why)
{
	r->verdict = verdict;
	r->reply = reply;
	r->why = why;
	if (reply == NULL || why == NULL) {
		r->verdict = VERDICT_DEFER;
		r->reply = "451 4.7.1 The filter is out of memory; please try again later";
		r->why = "out of memory";
	}
	(void)j;
}

/* What the configuration wants done about the antivirus's finding. */
static void
decide_action(struct judge *j, struct ruling *r, int64_t action, const char *text)
{
	static const struct {
		enum verdict verdict;
		const char *code;
	} actions[] = {
		[ACTION_ACCEPT] = { VERDICT_DEFER, "451 4.7.1 " }, /* not a choice here */
		[ACTION_JUNK] = { VERDICT_JUNK, "" },
		[ACTION_REFUSE] = { VERDICT_REFUSE, "550 5.7.1 " },
		[ACTION_DEFER] = { VERDICT_DEFER, "451 4.7.1 " },
	};
	size_t i = action < 0 || action > ACTION_DEFER ? ACTION_DEFER : (size_t)action;
	const char *code = actions[i].code;

	decide(j, r, actions[i].verdict,
	    code[0] == '\0' ? "" : pool_printf(j->pool, "%s%.380s", code, text), text);
}

static bool
decide_antivirus(struct judge *j, struct ruling *r)
{
	const struct hit *h = hit_of(j, "antivirus");

	if (!j->conf->antivirus.enabled || (h != NULL && strcmp(h->result, "clean") == 0))
		return false;
	if (h != NULL && strcmp(h->result, "infected") == 0)
		decide_action(j, r, j->conf->antivirus.on_infected, h->text);
	else
		decide_action(j, r,
		    j->conf->antivirus.on_error == ACTION_REFUSE ? ACTION_REFUSE : ACTION_DEFER,
		    h != NULL ? h->text : "The message could not be scanned");
	return true;
}

static void
decide_score(struct judge *j, struct ruling *r)
{
	const char *reasons = top_reasons(j), *why;
	char score[SCORE_TEXT], limit[SCORE_TEXT];
	bool refuse = r->score >= j->conf->spam.refuse_score;

	score_text(r->score, score);
	score_text(refuse ? j->conf->spam.refuse_score : j->conf->spam.junk_score, limit);
	why = pool_printf(j->pool, "score %s of %s%s%s", score, limit,
	    reasons != NULL && reasons[0] != '\0' ? ": " : "", reasons == NULL ? "" : reasons);
	if (refuse)
		decide(j, r, VERDICT_REFUSE,
		    pool_printf(j->pool, "550 5.7.1 Refused as spam, score %s of %s: %.300s", score,
			limit, reasons == NULL ? "" : reasons),
		    why);
	else
		decide(j, r, r->score >= r->required ? VERDICT_JUNK : VERDICT_ACCEPT, "", why);
}

/* What a check demands, unless the score or the scan already came to something harder. */
static void
decide_demand(struct judge *j, struct ruling *r)
{
	const struct demand *d = &j->demand;

	if (d->verdict == VERDICT_REFUSE || (d->verdict == VERDICT_DEFER && r->verdict != VERDICT_REFUSE) ||
	    (d->verdict == VERDICT_JUNK && r->verdict == VERDICT_ACCEPT))
		decide(j, r, d->verdict, d->reply, d->why);
}

/* -- Authentication-Results */

/* The next byte that counts: comments, white space, quotes and the backslash of a quoted pair are
 * passed over, as the most forgiving reader of the field would. -1: there is none. */
static int
next_byte(struct slice *value)
{
	unsigned depth = 0;

	while (value->len > 0) {
		unsigned char c = (unsigned char)value->at[0];

		*value = slice_skip(*value, c == '\\' && depth > 0 ? 2 : 1);
		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && c > ' ' && c != 127 && c != '"' && c != '\\')
			return c;
	}
	return -1;
}

static bool
is_name_byte(int c)
{
	return isalnum(c) || c == '-' || c == '_' || c == '.' || c > 127;
}

/* Is the authserv-id (RFC 8601, section 2.2) our name, however oddly it is written? A value that
 * names nobody, or hides the name in a comment without an end, counts as ours: no reader of it is
 * left to guess. */
static bool
bears_our_name(struct slice value, struct slice ours)
{
	int c = next_byte(&value);

	if (c == -1 || !is_name_byte(c))
		return true;
	for (size_t i = 0; i < ours.len; i++) {
		if (c == -1 || tolower(c) != tolower((unsigned char)ours.at[i]))
			return false;
		if (i + 1 < ours.len)
			c = next_byte(&value);
	}
	/* behind it anything but more of a name; one dot may end it */
	if (value.len > 0 && value.at[0] == '\\')
		value = slice_skip(value, 1);
	if (value.len > 0 && value.at[0] == '.')
		value = slice_skip(value, 1);
	return value.len == 0 || !is_name_byte((unsigned char)value.at[0]);
}

/* One field as one range; neighbours are joined. false: there are too many. */
static bool
cut_field(struct judge *j, struct ruling *r, const struct mime_field *f)
{
	uint64_t at = (uint64_t)(f->whole.at - j->facts.message.at);
	struct cut *last = r->n_cuts > 0 ? &r->cuts[r->n_cuts - 1] : NULL;

	if (last != NULL && last->at + last->len == at) {
		last->len += f->whole.len;
		return true;
	}
	if (r->n_cuts == ENVELOPE_CUTS_MAX)
		return false;
	r->cuts[r->n_cuts++] = (struct cut){ at, f->whole.len };
	return true;
}

static bool
cut_forged(struct judge *j, struct ruling *r)
{
	struct slice ours = slice_of(j->conf->hostname);

	for (size_t i = 0; i < j->n_fields; i++) {
		const struct mime_field *f = &j->fields[i];
		/* blanks on top would go on with the last line that we write above them */
		bool cut = (i == 0 && f->name.len == 0 && strchr(" \t", f->whole.at[0]) != NULL) ||
			   slice_starts_nocase(f->name, SLICE("X-Spam-")) ||
			   (slice_eq_nocase(f->name, SLICE("Authentication-Results")) &&
			       bears_our_name(f->value, ours));

		if (cut && !cut_field(j, r, f))
			return false;
	}
	return !j->header_cut;
}

/* The next word with the blank before it: up to a blank that is in no quotes and no comment. */
static struct slice
next_word(struct slice *text)
{
	bool is_quoted = false;
	unsigned depth = 0;
	struct slice all = *text;
	size_t i = 0;

	for (; i < all.len; i++) {
		char c = all.at[i];

		if (c == '\\' && i + 1 < all.len)
			i++;
		else if (c == '"' && depth == 0)
			is_quoted = !is_quoted;
		else if (!is_quoted && (c == '(' || c == ')'))
			depth += c == '(' ? 1 : depth > 0 ? -1u : 0;
		else if (c == ' ' && i > 0 && !is_quoted && depth == 0)
			break;
	}
	*text = slice_skip(all, i);
	return slice_first(all, i);
}

/* A result on a line of its own, folded where it gets long. */
static void
put_result(struct buf *out, struct slice text)
{
	size_t line = 8;

	buf_text(out, ";\r\n\t");
	while (text.len > 0) {
		struct slice word = next_word(&text);

		if (line > 8 && line + word.len > LINE_MAX_LEN) {
			buf_text(out, "\r\n\t ");
			line = 9;
			word = slice_skip(word, 1);
		}
		buf_slice(out, word);
		line += word.len;
	}
}

static void
write_results(struct judge *j, struct ruling *r)
{
	struct buf line;

	r->authentication_results = "";
	if (j->n_methods == 0)
		return;
	buf_init(&line, RESULTS_MAX);
	buf_text(&line, j->conf->hostname);
	buf_printf(&r->prefix, "Authentication-Results: %s", j->conf->hostname);
	for (size_t i = 0;
	     i < j->n_methods && line.len + strlen(j->methods[i].text) + 3 < RESULTS_MAX; i++) {
		buf_printf(&line, "; %s", j->methods[i].text);
		put_result(&r->prefix, slice_of(j->methods[i].text));
	}
	buf_text(&r->prefix, "\r\n");
	r->authentication_results = pool_text(j->pool, buf_all(&line));
	if (r->authentication_results == NULL)
		r->authentication_results = "";
	buf_free(&line);
}

/* -- X-Spam-* */

static void
write_spam(struct judge *j, struct ruling *r)
{
	char score[SCORE_TEXT], required[SCORE_TEXT], one[160];
	bool junk = r->verdict == VERDICT_JUNK;
	size_t start = r->prefix.len, n = 0;

	score_text(r->score, score);
	score_text(r->required, required);
	buf_printf(&r->prefix,
	    "X-Spam-Status: %s, score=%s required=%s tests=", junk ? "Yes" : "No", score, required);
	for (size_t i = 0; i < j->n_hits; i++) {
		if (j->hits[i].rule == NULL)
			continue;
		score_text(j->hits[i].score, score);
		snprintf(one, sizeof(one), "%s%s(%s)", n > 0 ? "," : "", j->hits[i].rule, score);
		if (n > 0 && r->prefix.len - start + strlen(one) > LINE_MAX_LEN) {
			buf_text(&r->prefix, ",\r\n\t");
			start = r->prefix.len;
			buf_text(&r->prefix, one + 1);
		} else {
			buf_text(&r->prefix, one);
		}
		n++;
	}
	buf_printf(&r->prefix, "%s\r\n", n == 0 ? "none" : "");
	if (junk)
		buf_text(&r->prefix, "X-Spam-Flag: YES\r\n");
}

void
ruling_make(struct judge *j, struct ruling *r)
{
	bool whole;

	memset(r, 0, sizeof(*r));
	buf_init(&r->prefix, ENVELOPE_PREFIX_MAX - 1024); /* Received needs room too */
	for (size_t i = 0; i < j->n_hits; i++)
		r->score += j->hits[i].score;
	r->required = j->conf->spam.junk_score;
	whole = cut_forged(j, r);
	if (!whole)
		decide(j, r, VERDICT_REFUSE,
		    "550 5.7.1 The header is too long or holds too many forged results",
		    "the header is too long or holds too many forged results");
	if (!decide_antivirus(j, r) && whole) {
		if (j->spam_asked)
			decide_score(j, r);
		else
			decide(j, r, VERDICT_ACCEPT, "", "nothing speaks against it");
		decide_demand(j, r);
	}
	write_results(j, r);
	if (j->spam_asked)
		write_spam(j, r);
	if (r->prefix.failed)
		decide(j, r, VERDICT_DEFER,
		    "451 4.7.1 The filter's results do not fit; please try again later",
		    "the results do not fit");
}

void
ruling_free(struct ruling *r)
{
	buf_free(&r->prefix);
}
