/* clients - how many connections there are, in all and per client, over all processes of smtpd */
#include "smtp/clients.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#define ROWS 64
#define SLOTS 16384

struct row { /* of one process */
	_Atomic uint32_t total;
	_Atomic uint32_t seed; /* row 0: mixed into slots, so that nobody can aim at another's */
	uint32_t spare[14];
	_Atomic uint32_t count[SLOTS];
};
_Static_assert(sizeof(struct row) * ROWS == CLIENTS_BYTES, "the shared memory is the table");

static struct row *rows;
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

	rows = mmap(NULL, CLIENTS_BYTES, PROT_READ | PROT_WRITE,
	    shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, shared ? fd : -1, 0);
	if (rows == MAP_FAILED)
		return err_sys(err, "the counts of clients cannot be mapped");
	mine = shared ? number : 0;
	used = shared ? ROWS : 1;
	seed();
	if (rows[mine].total != 0) {
		rows[mine].total = 0;
		memset((void *)rows[mine].count, 0, sizeof(rows[mine].count));
	}
	return 0;
}

uint32_t
clients_slot(const char *ip)
{
	unsigned char bytes[16] = { 0 };
	size_t len = 4;
	uint32_t hash = rows[0].seed;

	if (inet_pton(AF_INET, ip, bytes) != 1 && inet_pton(AF_INET6, ip, bytes) == 1)
		len = 8;
	for (size_t i = 0; i < len; i++) {
		hash = (hash ^ bytes[i]) * 16777619u;
		hash ^= hash >> 13;
	}
	return hash % SLOTS;
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
