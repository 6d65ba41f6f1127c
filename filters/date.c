/* date - a Date field as seconds since 1970, independent of locale and zone of this machine */
#include "filters/date.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* The next word or number; comments and blanks are passed over. */
static struct slice
word_next(struct slice *rest)
{
	unsigned depth = 0;
	size_t n = 0;

	for (; rest->len > 0; *rest = slice_skip(*rest, 1)) {
		char c = rest->at[0];

		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && !isspace((unsigned char)c) && c != ',')
			break;
	}
	while (n < rest->len && !isspace((unsigned char)rest->at[n]) && rest->at[n] != ',' &&
	       rest->at[n] != '(')
		n++;
	*rest = slice_skip(*rest, n);
	return (struct slice){ rest->at - n, n };
}

static int
find(const char *const *names, size_t n, struct slice word)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_nocase(word, slice_of(names[i])))
			return (int)i;
	return -1;
}

/* "hh:mm[:ss]" */
static bool
clock_time(struct slice word, struct tm *tm)
{
	uint64_t part[3] = { 0, 0, 0 };

	for (int i = 0; i < 3 && word.len > 0; i++)
		if (!slice_to_u64(slice_cut(&word, ':'), &part[i]) || part[i] > 60)
			return false;
	tm->tm_hour = (int)part[0];
	tm->tm_min = (int)part[1];
	tm->tm_sec = (int)part[2];
	return word.len == 0 && part[0] < 24 && part[1] < 60;
}

/* "+hhmm", "GMT", "EST" ...: minutes east; false when it makes no sense. */
static bool
zone(struct slice word, int *minutes)
{
	static const char *const names[] = { "UT", "GMT", "Z", "UTC", "EST", "EDT", "CST", "CDT",
		"MST", "MDT", "PST", "PDT" };
	static const int hours[] = { 0, 0, 0, 0, -5, -4, -6, -5, -7, -6, -8, -7 };
	int at = find(names, COUNT(names), word);
	uint64_t v;

	*minutes = 0;
	if (word.len == 5 && (word.at[0] == '+' || word.at[0] == '-')) {
		if (!slice_to_u64(slice_skip(word, 1), &v) || v % 100 > 59)
			return false;
		*minutes = (int)(v / 100 * 60 + v % 100) * (word.at[0] == '-' ? -1 : 1);
		return true;
	}
	if (at != -1)
		*minutes = hours[at] * 60;
	return at != -1 || (word.len > 0 && isalpha((unsigned char)word.at[0]));
}

bool
date_parse(struct slice text, int64_t *seconds)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
		"Aug", "Sep", "Oct", "Nov", "Dec" };
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	struct tm tm = { 0 };
	struct slice word = word_next(&text);
	uint64_t day, year;
	int minutes;

	if (find(days, COUNT(days), word) != -1)
		word = word_next(&text);
	if (!slice_to_u64(word, &day) || day < 1 || day > 31)
		return false;
	tm.tm_mday = (int)day;
	tm.tm_mon = find(months, COUNT(months), word_next(&text));
	word = word_next(&text);
	if (tm.tm_mon == -1 || !slice_to_u64(word, &year) || year > 9999)
		return false;
	if (word.len <= 2)
		year += year < 50 ? 2000 : 1900;
	tm.tm_year = (int)year - 1900;
	if (!clock_time(word_next(&text), &tm) || !zone(word_next(&text), &minutes))
		return false;
	*seconds = (int64_t)timegm(&tm) - minutes * 60;
	return true;
}
