/* auth_limit - how often a client network may guess passwords
 *
 * A fixed table of sets of eight entries, found by a keyed hash, so that a stranger can neither
 * make it grow nor choose whom it forgets: a full set gives up its emptiest entry. An entry is the
 * hash of its key; nothing of the network or the name is kept. */
#include "storage/auth_limit.h"

#include <arpa/inet.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define EVERYBODY "*" /* the network's own entry; no account is called so */
#define ANYWHERE "*"  /* the account's own entry; no network is called so */
#define SPREAD 10     /* an account is under attack at so many times the limit of a network */
#define SETS 16384
#define WAYS 8
#define ONE 1000                         /* a failure, in the bucket's unit */
#define DRAIN (600 * CLOCK_SECOND)       /* a full bucket is empty after this */
#define KNOWN (24 * 3600 * CLOCK_SECOND) /* how long a right password is remembered */

struct entry {
	uint64_t key;  /* 0: free */
	int64_t at;    /* when `level` was right */
	int64_t good;  /* the last right password, 0 none */
	int64_t tried; /* the last guess, 0 none */
	int64_t level;
};

struct auth_limit {
	unsigned limit;
	unsigned char secret[16];
	struct entry sets[SETS][WAYS];
};

struct auth_limit *
auth_limit_new(unsigned limit, struct err *err)
{
	struct auth_limit *l = calloc(1, sizeof(*l));

	if (l == NULL || RAND_bytes(l->secret, sizeof(l->secret)) != 1) {
		err_set(err, ERR_TEMPORARY, "no memory or no random numbers for the limits");
		auth_limit_free(&l);
		return NULL;
	}
	l->limit = limit;
	return l;
}

void
auth_limit_free(struct auth_limit **l)
{
	free(*l);
	*l = NULL;
}

void
auth_limit_set(struct auth_limit *l, unsigned limit)
{
	l->limit = limit;
}

void
auth_limit_network(const char *ip, char out[static 64])
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET6, ip, &v6) == 1) {
		if (IN6_IS_ADDR_V4MAPPED(&v6)) {
			inet_ntop(AF_INET, v6.s6_addr + 12, out, 64);
			return;
		}
		memset(v6.s6_addr + 7, 0, 9);
		inet_ntop(AF_INET6, &v6, out, 60);
		strcat(out, "/56");
	} else if (inet_pton(AF_INET, ip, &v4) == 1) {
		inet_ntop(AF_INET, &v4, out, 64);
	} else {
		strcpy(out, "local");
	}
}

/* -- buckets */

static void
drain(const struct auth_limit *l, struct entry *e, int64_t now)
{
	int64_t gone;

	if (now <= e->at)
		return;
	if (now - e->at >= DRAIN)
		gone = e->level;
	else
		gone = (now - e->at) / 1000 * (int64_t)l->limit * ONE / (DRAIN / 1000);
	e->level = gone < e->level ? e->level - gone : 0;
	e->at = now;
}

static uint64_t
key_of(const struct auth_limit *l, const char *network, const char *user)
{
	unsigned char text[sizeof(l->secret) + 64 + 400], sum[SHA256_DIGEST_LENGTH];
	size_t n = sizeof(l->secret);
	uint64_t key;

	memcpy(text, l->secret, n);
	n += (size_t)snprintf((char *)text + n, 64 + 2, "%s ", network);
	n += (size_t)snprintf((char *)text + n, sizeof(text) - n, "%.330s", user);
	SHA256(text, n, sum);
	memcpy(&key, sum, sizeof(key));
	return key | 1;
}

/* The entry of the key, made if need be. */
static struct entry *
entry_of(struct auth_limit *l, const char *network, const char *user, int64_t now)
{
	uint64_t key = key_of(l, network, user);
	struct entry *set = l->sets[(key >> 1) % SETS], *victim = set;
	int i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].key == 0 || set[i].key == key) {
			victim = &set[i];
			break;
		}
		if (set[i].level < victim->level ||
		    (set[i].level == victim->level && set[i].at < victim->at))
			victim = &set[i];
	}
	if (victim->key != key)
		*victim = (struct entry){ .key = key, .at = now };
	drain(l, victim, now);
	return victim;
}

static bool
is_full(const struct auth_limit *l, const struct entry *e)
{
	return e->level > ((int64_t)l->limit - 1) * ONE;
}

/* Did this account log in from here lately? */
static bool
is_known(const struct entry *e, int64_t now)
{
	return e->good != 0 && now - e->good <= KNOWN;
}

/* Once many networks guess at an account, one that it is not known in has a guess every ten minutes:
 * has it had that? */
static bool
had_its_guess(
    const struct auth_limit *l, const struct entry *anywhere, const struct entry *one, int64_t now)
{
	return is_full(l, anywhere) && !is_known(one, now) && one->tried != 0 &&
	       now - one->tried < DRAIN;
}

static void
less(struct entry *e, int64_t by)
{
	e->level = e->level > by ? e->level - by : 0;
}

bool
auth_limit_admit(
    struct auth_limit *l, const char *ip, const char *user, int64_t now, unsigned *wait)
{
	char network[64];
	struct entry *all, *one, *anywhere;

	*wait = 0;
	if (l->limit == 0)
		return true;
	auth_limit_network(ip, network);
	anywhere = entry_of(l, ANYWHERE, user, now);
	all = entry_of(l, network, EVERYBODY, now);
	one = entry_of(l, network, user, now);
	if (is_full(l, one) || (is_full(l, all) && !is_known(one, now)))
		*wait = 600 / l->limit + 1;
	else if (had_its_guess(l, anywhere, one, now))
		*wait = (unsigned)((one->tried + DRAIN - now) / CLOCK_SECOND) + 1;
	if (*wait > 0)
		return false;
	all->level += ONE;
	one->level += ONE;
	one->tried = now;
	if (!is_full(l, anywhere))
		anywhere->level += ONE / SPREAD;
	return true;
}

void
auth_limit_forgive(struct auth_limit *l, const char *ip, const char *user, int64_t now, bool right)
{
	char network[64];
	struct entry *all, *one, *anywhere;

	if (l->limit == 0)
		return;
	auth_limit_network(ip, network);
	anywhere = entry_of(l, ANYWHERE, user, now);
	all = entry_of(l, network, EVERYBODY, now);
	one = entry_of(l, network, user, now);
	less(all, ONE);
	less(one, right ? one->level : ONE);
	less(anywhere, ONE / SPREAD);
	one->tried = 0;
	if (right)
		one->good = now;
}
