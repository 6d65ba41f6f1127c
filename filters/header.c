/* header - rules about the header: what is missing, malformed, repeated or shouting */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "filters/check.h"
#include "filters/date.h"
#include "filters/from.h"

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)

static struct slice
value_of(const struct judge *j, const char *name)
{
	const struct mime_field *f;

	return judge_field(j, name, &f) == 0 ? (struct slice){ "", 0 } : slice_trim(f->value);
}

/* -- Date */

static bool
date_missing(const void *what)
{
	return judge_field(what, "Date", NULL) == 0;
}

static bool
date_malformed(const void *what)
{
	int64_t t;

	return !date_missing(what) && !date_parse(value_of(what, "Date"), &t);
}

/* Seconds that Date lies ahead of now; 0 when it is no date. */
static int64_t
date_ahead(const struct judge *j)
{
	int64_t t;

	return date_parse(value_of(j, "Date"), &t) ? t - j->facts.now / CLOCK_SECOND : 0;
}

static bool
date_future(const void *what)
{
	return date_ahead(what) > 12 * HOUR;
}

static bool
date_old(const void *what)
{
	return date_ahead(what) < -15 * DAY;
}

/* -- Message-ID */

static bool
msgid_missing(const void *what)
{
	return value_of(what, "Message-ID").len == 0;
}

static bool
msgid_malformed(const void *what)
{
	struct slice v = value_of(what, "Message-ID");
	ptrdiff_t at = slice_find_last(v, '@');

	if (v.len == 0)
		return false;
	return v.len < 5 || v.at[0] != '<' || v.at[v.len - 1] != '>' || at < 2 ||
	       (size_t)at + 2 >= v.len || slice_find(v, ' ') != -1;
}

/* -- From, To */

static bool
from_missing(const void *what)
{
	return value_of(what, "From").len == 0;
}

static bool
from_several(const void *what)
{
	return judge_field(what, "From", NULL) > 1;
}

/* The address: what stands in <>, or all of it. */
static struct slice
address_in(struct slice v)
{
	ptrdiff_t open = slice_find_last(v, '<'), close;

	if (open == -1)
		return slice_trim(v);
	v = slice_skip(v, (size_t)open + 1);
	close = slice_find(v, '>');
	return close == -1 ? (struct slice){ "", 0 } : slice_trim(slice_first(v, (size_t)close));
}

static bool
from_malformed(const void *what)
{
	struct slice v = value_of(what, "From"), a = address_in(v);
	ptrdiff_t at = slice_find_last(a, '@');

	if (v.len == 0 || slice_find(v, ':') != -1) /* a group has no address of its own */
		return false;
	return at < 1 || (size_t)at + 1 >= a.len || slice_find(a, ' ') != -1;
}

static bool
in_label(char c)
{
	return isalnum((unsigned char)c) || c == '-' || (unsigned char)c >= 0x80;
}

/* The domain of the next user@domain; *text moves behind it. false: there is none. */
static bool
next_domain(struct slice *text, struct slice *domain)
{
	ptrdiff_t at;

	while ((at = slice_find(*text, '@')) != -1) {
		bool user = at > 0 && in_label(text->at[at - 1]);
		size_t n = 0;

		*text = slice_skip(*text, (size_t)at + 1);
		while (n < text->len && (in_label(text->at[n]) || text->at[n] == '.'))
			n++;
		while (n > 0 && text->at[n - 1] == '.') /* the end of a sentence */
			n--;
		*domain = slice_first(*text, n);
		if (user && n > 0 && text->at[0] != '.')
			return true;
	}
	return false;
}

/* What a reader is shown of it: encoded words decoded, quoted pairs without their backslash. */
static void
show(struct slice value, struct buf *out)
{
	struct buf words;
	struct slice all;

	buf_init(&words, MIME_HEADER_MAX);
	mime_decode_words(value, &words);
	all = buf_all(&words);
	for (size_t i = 0; i < all.len; i++)
		if (all.at[i] != '\\')
			buf_char(out, all.at[i]);
	buf_free(&words);
}

static bool
same_domain(struct slice a, struct slice b)
{
	char user_a[FROM_DOMAIN_SIZE + 2], a_labels[FROM_DOMAIN_SIZE];

	if (slice_eq_nocase(a, b))
		return true;
	if (snprintf(user_a, sizeof(user_a), "x@%.*s", SLICE_ARG(a)) >= (int)sizeof(user_a))
		return false;
	return from_domain(slice_of(user_a), a_labels) == FROM_OK &&
	       slice_eq_nocase(slice_of(a_labels), b);
}

/* Another address than that of the sender, in the name before it or in a comment. */
static bool
from_name_address(const void *what)
{
	struct slice v = value_of(what, "From"), a = address_in(v), text, domain, shown;
	ptrdiff_t open = slice_find_last(v, '<'), at = slice_find_last(a, '@');
	char own[FROM_DOMAIN_SIZE];
	bool one = from_domain(v, own) == FROM_OK, other = false;
	struct buf all;

	if (!one && (open < 1 || at == -1))
		return false;
	domain = one ? slice_of(own) : slice_skip(a, (size_t)at + 1);
	buf_init(&all, MIME_HEADER_MAX);
	show(one ? v : slice_first(v, (size_t)open), &all);
	text = buf_all(&all);
	while (!other && next_domain(&text, &shown))
		other = !same_domain(shown, domain);
	buf_free(&all);
	return other;
}

static bool
to_missing(const void *what)
{
	return judge_field(what, "To", NULL) == 0 && judge_field(what, "Cc", NULL) == 0;
}

/* -- Subject */

static bool
subject_missing(const void *what)
{
	return value_of(what, "Subject").len == 0;
}

static bool
subject_shouts(const void *what)
{
	struct slice v = value_of(what, "Subject");
	unsigned upper = 0, lower = 0;

	if (slice_starts(v, SLICE("=?")))
		return false;
	for (size_t i = 0; i < v.len; i++) {
		upper += v.at[i] >= 'A' && v.at[i] <= 'Z';
		lower += v.at[i] >= 'a' && v.at[i] <= 'z';
	}
	return upper >= 12 && lower * 10 < upper;
}

static bool
subject_exclaims(const void *what)
{
	struct slice v = value_of(what, "Subject");
	unsigned marks = 0;

	for (size_t i = 0; i < v.len; i++)
		marks += v.at[i] == '!' || v.at[i] == '$';
	return marks >= 3 && !slice_starts(v, SLICE("=?"));
}

/* -- the whole */

static bool
header_repeated(const void *what)
{
	static const char *const once[] = { "Date", "Message-ID", "Subject", "To", "Cc", "Sender",
		"Reply-To", "MIME-Version", "Content-Type" };

	for (size_t i = 0; i < COUNT(once); i++)
		if (judge_field(what, once[i], NULL) > 1)
			return true;
	return false;
}

static bool
header_broken(const void *what)
{
	const struct judge *j = what;

	for (size_t i = 0; i < j->n_fields; i++)
		if (j->fields[i].name.len == 0)
			return true;
	return j->header_cut;
}

static bool
received_none(const void *what)
{
	return judge_field(what, "Received", NULL) == 0;
}

static const struct rule rules[] = {
	{ "DATE_MISSING", 1200, date_missing, "The Date field is missing" },
	{ "DATE_MALFORMED", 1000, date_malformed, "The Date field holds no date" },
	{ "DATE_FUTURE", 1500, date_future, "The date lies in the future" },
	{ "DATE_OLD", 800, date_old, "The date lies more than two weeks back" },
	{ "MSGID_MISSING", 800, msgid_missing, "The Message-ID field is missing" },
	{ "MSGID_MALFORMED", 800, msgid_malformed, "The Message-ID is malformed" },
	{ "FROM_MISSING", 2500, from_missing, "The From field is missing" },
	{ "FROM_SEVERAL", 2500, from_several, "There are several From fields" },
	{ "FROM_MALFORMED", 1500, from_malformed, "The From field holds no address" },
	{ "FROM_NAME_ADDRESS", 1500, from_name_address,
	    "The sender's name pretends to be another address" },
	{ "TO_MISSING", 500, to_missing, "There is neither To nor Cc" },
	{ "SUBJECT_MISSING", 500, subject_missing, "The subject is missing" },
	{ "SUBJECT_SHOUTS", 1000, subject_shouts, "The subject is all in capitals" },
	{ "SUBJECT_EXCLAIMS", 700, subject_exclaims, "The subject has many ! or $" },
	{ "HEADER_REPEATED", 1000, header_repeated,
	    "A field that may be there once is there twice" },
	{ "HEADER_BROKEN", 1000, header_broken, "The header holds lines that are no fields" },
	{ "RECEIVED_NONE", 100, received_none,
	    "No server stands between the sender's program and us" },
};

enum check_status
check_header(struct judge *j)
{
	for (size_t i = 0; i < COUNT(rules); i++)
		if (rules[i].hit(j))
			judge_hit(j, rules[i].name, "hit", rules[i].name, rules[i].score, "%s",
			    rules[i].text);
	return CHECK_DONE;
}
