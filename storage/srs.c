/* srs - senders that lead back */
#include "storage/srs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define HASH_LEN 6
#define STAMPS 1024 /* days, then it begins anew */
#define DAY_US INT64_C(86400000000)

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* -- the parts */

/* Of lower-case letters: some servers change case on the way. */
static void
hash(const unsigned char *key, struct slice text, char out[static HASH_LEN + 1])
{
	unsigned char lower[SRS_ADDRESS_SIZE], mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	text = slice_first(text, sizeof(lower));
	for (size_t i = 0; i < text.len; i++)
		lower[i] = (unsigned char)tolower((unsigned char)text.at[i]);
	HMAC(EVP_sha256(), key, SRS_KEY_LEN, lower, text.len, mac, &len);
	for (size_t i = 0; i < HASH_LEN; i++)
		out[i] = base32[mac[i] % 32];
	out[HASH_LEN] = '\0';
}

static void
stamp(int64_t now, char out[static 3])
{
	unsigned day = (unsigned)(now / DAY_US % STAMPS);

	out[0] = base32[day / 32];
	out[1] = base32[day % 32];
	out[2] = '\0';
}

/* Days since the stamp, or -1. */
static int
stamp_age(int64_t now, struct slice text)
{
	const char *high, *low;

	if (text.len != 2 || text.at[0] == '\0' || text.at[1] == '\0')
		return -1;
	high = strchr(base32, toupper((unsigned char)text.at[0]));
	low = strchr(base32, toupper((unsigned char)text.at[1]));
	if (high == NULL || low == NULL)
		return -1;
	return (int)((now / DAY_US + STAMPS - (high - base32) * 32 - (low - base32)) % STAMPS);
}

/* '0' or '1' of "SRS0=", "srs1+"...; 0 when it is none. */
static char
kind(struct slice local)
{
	if (local.len < 6 || strncasecmp(local.at, "SRS", 3) != 0 || strchr("=+-", local.at[4]) == NULL)
		return 0;
	return local.at[3] == '0' || local.at[3] == '1' ? local.at[3] : 0;
}

bool
srs_is(struct slice local)
{
	return kind(local) != 0;
}

/* -- there */

static bool
finish(const unsigned char *key, char digit, const char *rest, const char *domain, char *out)
{
	char h[HASH_LEN + 1];

	hash(key, slice_of(rest), h);
	return strlen(rest) + 6 + HASH_LEN <= SRS_LOCAL_MAX &&
	       snprintf(out, SRS_ADDRESS_SIZE, "SRS%c=%s=%s@%s", digit, h, rest, domain) < 320;
}

/* The host that made an SRS0 address, and what follows "SRS0" in it: from either kind. */
static bool
first_hop(struct slice local, struct slice domain, struct slice *first, struct slice *rest)
{
	if (kind(local) == '0') {
		*first = domain;
		*rest = slice_skip(local, 4);
		return true;
	}
	local = slice_skip(local, 5); /* their hash, which says nothing here */
	slice_cut(&local, '=');
	if (local.at == NULL)
		return false;
	*first = slice_cut(&local, '=');
	*rest = local;
	return local.at != NULL && local.len > 1 && first->len > 0;
}

bool
srs_forward(const unsigned char key[static SRS_KEY_LEN], int64_t now, struct slice sender,
    const char *domain, char out[static SRS_ADDRESS_SIZE])
{
	ptrdiff_t at = slice_find_last(sender, '@');
	struct slice local, theirs, first, behind;
	char rest[SRS_ADDRESS_SIZE], day[3];
	int n;

	if (at <= 0 || sender.at[0] == '"' || sender.len > 320)
		return false;
	local = slice_first(sender, (size_t)at);
	theirs = slice_skip(sender, (size_t)at + 1);
	if (theirs.len == 0 || slice_find(theirs, '=') >= 0)
		return false;
	if (kind(local) != 0 && first_hop(local, theirs, &first, &behind)) {
		n = snprintf(rest, sizeof(rest), "%.*s=%.*s", SLICE_ARG(first), SLICE_ARG(behind));
		return n < (int)sizeof(rest) && finish(key, '1', rest, domain, out);
	}
	stamp(now, day);
	n = snprintf(rest, sizeof(rest), "%s=%.*s=%.*s", day, SLICE_ARG(theirs), SLICE_ARG(local));
	return n < (int)sizeof(rest) && finish(key, '0', rest, domain, out);
}

/* -- and back */

static enum srs_status
reverse_first(int64_t now, struct slice rest, char *out)
{
	struct slice day = slice_cut(&rest, '='), domain = slice_cut(&rest, '=');
	int age = stamp_age(now, day);

	if (rest.at == NULL || rest.len == 0 || domain.len == 0 || age < 0)
		return SRS_FORGED;
	snprintf(out, SRS_ADDRESS_SIZE, "%.*s@%.*s", SLICE_ARG(rest), SLICE_ARG(domain));
	/* a clock that went back a day makes nobody a forger */
	return age <= SRS_DAYS || age == STAMPS - 1 ? SRS_OK : SRS_OLD;
}

static enum srs_status
reverse_next(struct slice rest, char *out)
{
	struct slice first = slice_cut(&rest, '=');

	if (rest.at == NULL || rest.len < 2 || first.len == 0)
		return SRS_FORGED;
	snprintf(out, SRS_ADDRESS_SIZE, "SRS0%.*s@%.*s", SLICE_ARG(rest), SLICE_ARG(first));
	return SRS_OK;
}

enum srs_status
srs_reverse(const unsigned char key[static SRS_KEY_LEN], int64_t now, struct slice local,
    char out[static SRS_ADDRESS_SIZE])
{
	char digit = kind(local), upper[HASH_LEN + 1] = "", want[HASH_LEN + 1];
	struct slice rest = slice_skip(local, 5), told;

	out[0] = '\0';
	if (digit == 0 || local.at[4] != '=' || local.len > SRS_LOCAL_MAX)
		return SRS_FORGED;
	told = slice_cut(&rest, '=');
	if (rest.at == NULL || told.len != HASH_LEN)
		return SRS_FORGED;
	for (size_t i = 0; i < HASH_LEN; i++)
		upper[i] = (char)toupper((unsigned char)told.at[i]);
	hash(key, rest, want);
	if (CRYPTO_memcmp(upper, want, HASH_LEN) != 0)
		return SRS_FORGED;
	return digit == '0' ? reverse_first(now, rest, out) : reverse_next(rest, out);
}
