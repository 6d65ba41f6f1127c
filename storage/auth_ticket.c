/* auth_ticket - proof that a session logged in
 *
 * Tickets are random, so their first bytes are the hash; chains stay short, and their number has a
 * ceiling. A guess must hit 128 bits, and the comparison takes the same time wherever it fails. */
#include "storage/auth_ticket.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096

struct ticket {
	struct ticket *next;
	unsigned char bytes[TICKET_SIZE];
	uint64_t owner;
	int64_t expires;
	char user[];
};

struct tickets {
	unsigned n, most;
	int64_t lifetime;
	struct ticket *buckets[BUCKETS];
};

struct tickets *
tickets_new(unsigned most, int64_t lifetime, struct err *err)
{
	struct tickets *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		err_sys(err, "tickets");
		return NULL;
	}
	t->most = most;
	t->lifetime = lifetime;
	return t;
}

static size_t
bucket_of(const unsigned char *bytes)
{
	return (bytes[0] | (size_t)bytes[1] << 8) % BUCKETS;
}

/* Take out of bucket `i` what `fits`. */
static void
drop(struct tickets *t, size_t i, bool (*fits)(const struct ticket *k, const void *arg),
    const void *arg)
{
	struct ticket **at = &t->buckets[i], *gone;

	while (*at != NULL) {
		if (!fits(*at, arg)) {
			at = &(*at)->next;
			continue;
		}
		gone = *at;
		*at = gone->next;
		OPENSSL_cleanse(gone->bytes, TICKET_SIZE);
		free(gone);
		t->n--;
	}
}

static void
drop_all(struct tickets *t, bool (*fits)(const struct ticket *k, const void *arg), const void *arg)
{
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		drop(t, i, fits, arg);
}

static bool
fits_any(const struct ticket *k, const void *arg)
{
	(void)k;
	(void)arg;
	return true;
}

static bool
fits_owner(const struct ticket *k, const void *arg)
{
	return k->owner == *(const uint64_t *)arg;
}

static bool
fits_user(const struct ticket *k, const void *arg)
{
	return strcmp(k->user, arg) == 0;
}

static bool
fits_old(const struct ticket *k, const void *arg)
{
	return k->expires <= *(const int64_t *)arg;
}

static bool
fits_ticket(const struct ticket *k, const void *arg)
{
	const struct ticket *want = arg;

	return k->owner == want->owner && CRYPTO_memcmp(k->bytes, want->bytes, TICKET_SIZE) == 0;
}

void
tickets_free(struct tickets **t)
{
	if (*t == NULL)
		return;
	drop_all(*t, fits_any, NULL);
	free(*t);
	*t = NULL;
}

int
tickets_issue(struct tickets *t, const char *user, uint64_t owner, int64_t now,
    unsigned char out[static TICKET_SIZE], struct err *err)
{
	struct ticket *k;

	if (t->n >= t->most)
		tickets_sweep(t, now);
	if (t->n >= t->most)
		return err_set(err, ERR_TEMPORARY, "too many sessions are logged in");
	k = malloc(sizeof(*k) + strlen(user) + 1);
	if (k == NULL || RAND_bytes(k->bytes, TICKET_SIZE) != 1) {
		free(k);
		return err_set(err, ERR_TEMPORARY, "no memory or no random numbers for a ticket");
	}
	k->owner = owner;
	k->expires = now + t->lifetime;
	strcpy(k->user, user);
	k->next = t->buckets[bucket_of(k->bytes)];
	t->buckets[bucket_of(k->bytes)] = k;
	t->n++;
	memcpy(out, k->bytes, TICKET_SIZE);
	return 0;
}

const char *
tickets_user(struct tickets *t, struct slice ticket, int64_t now)
{
	struct ticket *k;

	if (ticket.len != TICKET_SIZE)
		return NULL;
	for (k = t->buckets[bucket_of((const unsigned char *)ticket.at)]; k != NULL; k = k->next)
		if (CRYPTO_memcmp(k->bytes, ticket.at, TICKET_SIZE) == 0)
			return k->expires > now ? k->user : NULL;
	return NULL;
}

void
tickets_end(struct tickets *t, struct slice ticket, uint64_t owner)
{
	struct ticket want = { .owner = owner };

	if (ticket.len != TICKET_SIZE)
		return;
	memcpy(want.bytes, ticket.at, TICKET_SIZE);
	drop(t, bucket_of(want.bytes), fits_ticket, &want);
}

void
tickets_end_owner(struct tickets *t, uint64_t owner)
{
	drop_all(t, fits_owner, &owner);
}

void
tickets_end_user(struct tickets *t, const char *user)
{
	drop_all(t, fits_user, user);
}

void
tickets_sweep(struct tickets *t, int64_t now)
{
	drop_all(t, fits_old, &now);
}

unsigned
tickets_count(const struct tickets *t)
{
	return t->n;
}
