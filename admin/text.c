/* text - what people type (spans, sizes, times) and what they like to read */
#include "admin/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/utf8.h"

#define DAY 86400
#define SPAN_MAX (INT64_C(100) * 366 * DAY) /* a century */
#define WORD_MAX 40

static int64_t
unit_seconds(char c)
{
	switch (c) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return DAY;
	case 'w':
		return 7 * DAY;
	default:
		return 0;
	}
}

int
text_span(const char *text, int64_t *seconds, struct err *err)
{
	const char *p = text;
	int64_t sum = 0;

	do {
		char *end;
		long long n = *p >= '0' && *p <= '9' ? strtoll(p, &end, 10) : -1;
		int64_t unit;

		if (n < 0 || n > SPAN_MAX)
			goto bad;
		unit = *end == '\0' && p == text ? 1 : unit_seconds(*end);
		if (unit == 0 || n > SPAN_MAX / unit)
			goto bad;
		sum += n * unit;
		p = *end != '\0' ? end + 1 : end;
	} while (*p != '\0' && sum <= SPAN_MAX);
	if (sum > SPAN_MAX)
		goto bad;
	*seconds = sum;
	return 0;
bad:
	return err_set(err, ERR_USAGE,
	    "\"%.40s\" is no span of time; write it like 90s, 5m, 2h, 7d or 1h30m", text);
}

int
text_size(const char *text, uint64_t *bytes, struct err *err)
{
	static const char units[] = "KMGT";
	const char *u;
	char *end;
	double n;

	if (strcmp(text, "unlimited") == 0 || strcmp(text, "none") == 0) {
		*bytes = 0;
		return 0;
	}
	if (*text < '0' || *text > '9' || strcspn(text, "xXeEpP") != strlen(text))
		goto bad;
	n = strtod(text, &end);
	if (*end != '\0' && *end != 'B' && (u = strchr(units, *end & ~0x20)) != NULL &&
	    *u != '\0') {
		n = ldexp(n, (int)(u - units + 1) * 10);
		end++;
		if (*end == 'i')
			end++;
	}
	if (*end == 'B')
		end++;
	if (*end != '\0' || !(n < 1e18))
		goto bad;
	*bytes = (uint64_t)n;
	return 0;
bad:
	return err_set(
	    err, ERR_USAGE, "\"%.40s\" is no size; write it like 500K, 25M, 2G or unlimited", text);
}

int
text_time(const char *text, int64_t *us, struct err *err)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
		"%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d" };
	uint64_t n;

	if (slice_to_u64(slice_of(text), &n) && n < (uint64_t)INT64_MAX / CLOCK_SECOND) {
		*us = (int64_t)n * CLOCK_SECOND;
		return 0;
	}
	for (size_t i = 0; i < COUNT(forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[i], &tm);
		bool utc = end != NULL && strcmp(end, "Z") == 0;

		if (end == NULL || (*end != '\0' && !utc))
			continue;
		*us = (int64_t)(utc ? timegm(&tm) : mktime(&tm)) * CLOCK_SECOND;
		return 0;
	}
	return err_set(err, ERR_USAGE,
	    "\"%.40s\" is no time; write it like 2026-11-24, 2026-11-24T05:52:28Z, or seconds "
	    "since 1970",
	    text);
}

void
text_show_size(uint64_t bytes, char out[static TEXT_SHOWN])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes;
	size_t u = 0;

	while (n >= 1023.95 && u + 1 < COUNT(units)) {
		n /= 1024;
		u++;
	}
	snprintf(out, TEXT_SHOWN, u == 0 || n >= 99.95 ? "%.0f %s" : "%.1f %s", n, units[u]);
}

/* The larger unit, and the smaller one unless there is none of it. */
static void
two_units(char *out, int64_t n, int64_t per, const char *large, const char *small)
{
	if (n % per == 0)
		snprintf(out, TEXT_SHOWN, "%lld %s", (long long)(n / per), large);
	else
		snprintf(out, TEXT_SHOWN, "%lld %s %lld %s", (long long)(n / per), large,
		    (long long)(n % per), small);
}

void
text_show_span(int64_t us, char out[static TEXT_SHOWN])
{
	int64_t s = us / CLOCK_SECOND;

	if (us < 0)
		us = 0;
	if (us < 995 * 1000)
		snprintf(out, TEXT_SHOWN, us < 9950 ? "%.3f s" : "%.2f s", (double)us / 1e6);
	else if (us < 9950 * 1000)
		snprintf(out, TEXT_SHOWN, "%.1f s", (double)us / 1e6);
	else if (s < 60)
		snprintf(out, TEXT_SHOWN, "%lld s", (long long)s);
	else if (s < 600)
		two_units(out, s, 60, "min", "s");
	else if (s < 3600)
		snprintf(out, TEXT_SHOWN, "%lld min", (long long)(s / 60));
	else if (s < DAY)
		two_units(out, s / 60, 60, "h", "min");
	else
		two_units(out, s / 3600, 24, "d", "h");
}

void
text_show_when(int64_t us, int64_t now, char out[static TEXT_SHOWN])
{
	int64_t s = us / CLOCK_SECOND - now / CLOCK_SECOND;
	char span[TEXT_SHOWN];
	int64_t off = s < 0 ? -s : s;

	if (off >= 7 * DAY) {
		text_show_time(us, now, out);
		return;
	}
	if (off < 60)
		snprintf(span, sizeof(span), "%lld s", (long long)off);
	else if (off < 3600)
		snprintf(span, sizeof(span), "%lld min", (long long)(off / 60));
	else if (off < 2 * DAY)
		snprintf(span, sizeof(span), "%lld h", (long long)(off / 3600));
	else
		snprintf(span, sizeof(span), "%lld d", (long long)(off / DAY));
	if (off == 0)
		snprintf(out, TEXT_SHOWN, "now");
	else
		snprintf(out, TEXT_SHOWN, s < 0 ? "%.40s ago" : "in %.40s", span);
}

void
text_show_time(int64_t us, int64_t now, char out[static TEXT_SHOWN])
{
	time_t t = (time_t)(us / CLOCK_SECOND), n = (time_t)(now / CLOCK_SECOND);
	struct tm then, today;

	localtime_r(&t, &then);
	localtime_r(&n, &today);
	if (then.tm_year != today.tm_year)
		strftime(out, TEXT_SHOWN, "%Y-%m-%d %H:%M:%S", &then);
	else if (then.tm_yday != today.tm_yday)
		strftime(out, TEXT_SHOWN, "%d %b %H:%M:%S", &then);
	else
		strftime(out, TEXT_SHOWN, "%H:%M:%S", &then);
}

/* Columns on a terminal; -1: must not reach it as it is. */
static int
width_of(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return -1;
	if ((c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029 || c == 0xfeff)
		return -1;
	if (c >= 0x300 && c < 0x370)
		return 0;
	if ((c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) ||
	    (c >= 0xac00 && c < 0xd7a4) || (c >= 0xf900 && c < 0xfb00) ||
	    (c >= 0xfe30 && c < 0xfe70) || (c >= 0xff00 && c < 0xff61) ||
	    (c >= 0x1f300 && c < 0x1f650) || (c >= 0x1f900 && c < 0x1fa00) ||
	    (c >= 0x20000 && c < 0x40000))
		return 2;
	return 1;
}

size_t
text_show(struct buf *out, struct slice s)
{
	size_t columns = 0;

	while (s.len > 0) {
		uint32_t c = 0;
		size_t len = utf8_next(s, &c);
		int width = len > 0 ? width_of(c) : -1;

		if (len == 0)
			len = 1;
		if (width >= 0) {
			buf_append(out, s.at, len);
			columns += (size_t)width;
		} else {
			for (size_t i = 0; i < len; i++, columns += 4)
				buf_printf(out, "\\x%02x", (unsigned char)s.at[i]);
		}
		s = slice_skip(s, len);
	}
	return columns;
}

unsigned
text_distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= la; i++) {
		for (size_t j = 0; j <= lb; j++) {
			if (i == 0 || j == 0) {
				d[i][j] = (unsigned)(i + j);
				continue;
			}
			unsigned same = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			unsigned drop = d[i - 1][j] + 1, add = d[i][j - 1] + 1;

			d[i][j] = same < drop ? same : drop;
			d[i][j] = add < d[i][j] ? add : d[i][j];
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[la][lb];
}
