/* clients - how many connections there are, in all and per client, and what each client did of late,
 * over all processes of smtpd */
#include "smtp/clients.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/clock.h"

#define ROWS 64
#define SLOTS 16384

struct row { /* of one process */
	_Atomic uint32_t total;
	_Atomic uint32_t seed; /* row 0: mixed into slots, so that nobody can aim at another's */
	_Atomic uint32_t held; /* KiB */
	_Atomic uint32_t since;                /* seconds; overload as it sees it */
	_Atomic uint32_t fates[CLIENTS_FATES]; /* outlive it: they are of the server */
	uint32_t spare[12 - CLIENTS_FATES];
	_Atomic uint32_t count[SLOTS];
};
struct meter { /* of a client, by all processes */
	_Atomic uint32_t minute; /* that the counts are of */
	_Atomic uint32_t n[METERS];
	uint32_t spare[7 - METERS];
};
struct table {
	struct row rows[ROWS];
	struct meter meters[SLOTS];
};
_Static_assert(sizeof(struct table) == CLIENTS_BYTES, "the shared memory is the table");

static struct table *table;
static struct row *rows;
static unsigned bits_4 = 32, bits_6 = 56;
static unsigned mine;
static unsigned used = 1; /* rows that may hold something */

static void
seed(void)
{
	uint32_t none = 0, fresh = 0;

	if (getrandom(&fresh, sizeof(fresh), GRND_NONBLOCK) != sizeof(fresh) || fresh == 0)
		fresh = 2463534242u;
	atomic_compare_exchange_strong(&rows[0].seed, &none, fresh);
}

int
clients_open(int fd, unsigned number, struct err *err)
{
	struct stat st;
	bool shared =
	    fd >= 0 && number < ROWS && fstat(fd, &st) == 0 && (size_t)st.st_size >= CLIENTS_BYTES;

	table = mmap(NULL, CLIENTS_BYTES, PROT_READ | PROT_WRITE,
	    shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, shared ? fd : -1, 0);
	if (table == MAP_FAILED)
		return err_sys(err, "the counts of clients cannot be mapped");
	rows = table->rows;
	mine = shared ? number : 0;
	used = shared ? ROWS : 1;
	seed();
	rows[mine].held = rows[mine].since = 0;
	if (rows[mine].total != 0) {
		rows[mine].total = 0;
		memset((void *)rows[mine].count, 0, sizeof(rows[mine].count));
	}
	return 0;
}

void
clients_networks(unsigned bits4, unsigned bits6)
{
	bits_4 = bits4;
	bits_6 = bits6;
}

static uint32_t
slot_of(const unsigned char *bytes, size_t bits)
{
	uint32_t hash = rows[0].seed;

	for (size_t i = 0; i * 8 < bits; i++) {
		unsigned left = (unsigned)(bits - i * 8);
		unsigned char byte =
		    left >= 8 ? bytes[i] : (unsigned char)(bytes[i] & 0xff << (8 - left));

		hash = (hash ^ byte) * 16777619u;
		hash ^= hash >> 13;
	}
	return hash % SLOTS;
}

uint32_t
clients_slot(const char *ip)
{
	unsigned char bytes[16] = { 0 };

	if (inet_pton(AF_INET, ip, bytes) != 1 && inet_pton(AF_INET6, ip, bytes) == 1)
		return slot_of(bytes, bits_6);
	return slot_of(bytes, bits_4);
}

uint32_t
clients_slot_uid(uid_t uid)
{
	unsigned char bytes[5] = { 'u' }; /* longer than an address, so no address is the same */

	memcpy(bytes + 1, &uid, sizeof(uint32_t));
	return slot_of(bytes, sizeof(bytes) * 8);
}

enum clients_answer
clients_enter(uint32_t slot, uint64_t most, uint64_t most_per_client)
{
	uint64_t total = 0, same = 0;

	for (unsigned i = 0; i < used; i++) {
		uint32_t here = rows[i].total;

		total += here;
		if (here > 0)
			same += rows[i].count[slot];
	}
	if (total >= most)
		return CLIENTS_TOO_MANY;
	if (same >= most_per_client)
		return CLIENTS_TOO_MANY_FROM_ONE;
	rows[mine].total++;
	rows[mine].count[slot]++;
	return CLIENTS_FINE;
}

void
clients_leave(uint32_t slot)
{
	rows[mine].total--;
	rows[mine].count[slot]--;
}

uint64_t
clients_total(void)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < used; i++)
		total += rows[i].total;
	return total;
}

/* -- overload */

void
clients_sum(struct clients_sums *out)
{
	uint32_t first = 0;

	*out = (struct clients_sums){ 0 };
	for (unsigned i = 0; i < used; i++) {
		const struct row *r = &rows[i];
		uint32_t since = r->since;

		for (unsigned k = 0; k < CLIENTS_FATES; k++)
			out->fates[k] += r->fates[k];
		if (r->total == 0 && i != mine)
			continue; /* it may be gone, with what it said last */
		out->connections += r->total;
		out->held += (uint64_t)r->held * 1024;
		if (since != 0 && (first == 0 || since < first))
			first = since;
	}
	out->since = (int64_t)first * CLOCK_SECOND;
}

void
clients_hold(uint64_t bytes)
{
	rows[mine].held = bytes / 1024 < UINT32_MAX ? (uint32_t)(bytes / 1024) : UINT32_MAX;
}

void
clients_count_fate(enum clients_fate fate)
{
	rows[mine].fates[fate]++;
}

void
clients_overload(int64_t since)
{
	rows[mine].since = (uint32_t)(since / CLOCK_SECOND);
}

/* -- meters */

static uint32_t
minute_of(int64_t now)
{
	return (uint32_t)(now / (60 * CLOCK_SECOND));
}

uint32_t
clients_count(uint32_t slot, enum clients_meter meter, int64_t now)
{
	struct meter *m = &table->meters[slot];
	uint32_t minute = minute_of(now), was = m->minute;

	/* whoever comes first in a minute clears; a count that slips in between is lost, no more */
	if (was != minute && atomic_compare_exchange_strong(&m->minute, &was, minute))
		for (unsigned i = 0; i < METERS; i++)
			m->n[i] = 0;
	return ++m->n[meter];
}

uint32_t
clients_counted(uint32_t slot, enum clients_meter meter, int64_t now)
{
	const struct meter *m = &table->meters[slot];

	return m->minute == minute_of(now) ? m->n[meter] : 0;
}
