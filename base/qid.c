/* qid - queue ids, unique over time, workers and nodes */
#include "base/qid.h"

#include <string.h>

#include "base/clock.h"

#define EPOCH_2020 INT64_C(1577836800000000)
#define LOW_BITS 14
#define TIME_MASK ((UINT64_C(1) << 50) - 1)

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

static uint64_t low;		/* host hash and worker */
static uint64_t last;		/* the time part of the last id */

void
qid_setup(struct slice hostname, unsigned worker)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < hostname.len; i++)
		hash = (hash ^ (unsigned char)hostname.at[i]) * 16777619u;
	low = (uint64_t)((hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24) & 0xff) << 6 | (worker & 63);
}

uint64_t
qid_new(void)
{
	uint64_t t = (uint64_t)(clock_now() - EPOCH_2020) & TIME_MASK;

	/* two in a microsecond, or a clock set back: go on from the last one */
	if (t <= last)
		t = last + 1;
	last = t;
	return t << LOW_BITS | low;
}

void
qid_text(uint64_t qid, char out[static QID_TEXT])
{
	for (int i = QID_TEXT - 2; i >= 0; i--) {
		out[i] = digits[qid & 31];
		qid >>= 5;
	}
	out[QID_TEXT - 1] = '\0';
}

static int
digit_value(char c)
{
	const char *at;

	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	if (c == 'o')
		c = '0';
	if (c == 'i' || c == 'l')
		c = '1';
	at = c != '\0' ? strchr(digits, c) : NULL;
	return at != NULL ? (int)(at - digits) : -1;
}

bool
qid_parse(struct slice text, uint64_t *qid)
{
	uint64_t v = 0;

	if (text.len != QID_TEXT - 1 || digit_value(text.at[0]) > 15)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int d = digit_value(text.at[i]);

		if (d < 0)
			return false;
		v = v << 5 | (uint64_t)d;
	}
	*qid = v;
	return true;
}

int64_t
qid_time(uint64_t qid)
{
	return (int64_t)(qid >> LOW_BITS) + EPOCH_2020;
}
