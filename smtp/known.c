/* known - recipients that the directory has just named
 *
 * A table of SLOTS entries by the hash of the address; a newcomer takes the place of whoever stands there, so memory is bounded
 * whatever strangers ask for. Entries live LIFE at most, in case a DIR_CHANGED was lost under overload. */
#include "smtp/known.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/msg.h"

#define SLOTS 1024
#define ADDRESS_LONGEST 128
#define FIELDS_LONGEST 512
#define LIFE (10 * CLOCK_SECOND)

static struct known {
	char *bytes; /* the address with its NUL, then the fields */
	size_t address_len, fields_len;
	int64_t until;
} table[SLOTS];
static bool empty = true;

static struct known *
slot_of(const char *address)
{
	uint32_t hash = 2166136261u;

	for (const char *p = address; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return &table[(hash ^ hash >> 16) % SLOTS];
}

bool
known_find(const char *address, struct wire *fields)
{
	struct known *k = slot_of(address);

	if (k->bytes == NULL || strcmp(k->bytes, address) != 0 || k->until < clock_mono())
		return false;
	wire_init(fields, (struct slice){ k->bytes + k->address_len + 1, k->fields_len });
	return true;
}

/* RCPT_OK, and no target with a quota: its mailbox may fill up at any moment. */
static bool
may_keep(struct slice fields)
{
	struct wire w;

	wire_init(&w, fields);
	if (wire_u64(&w) != RCPT_OK)
		return false;
	wire_bytes(&w);
	while (wire_more(&w)) {
		wire_u64(&w);
		for (int i = 0; i < 4; i++)
			wire_bytes(&w);
		if (wire_u64(&w) != 0)
			return false;
	}
	return wire_end(&w) == 0;
}

void
known_keep(const char *address, struct slice fields)
{
	struct known *k = slot_of(address);
	size_t len = strlen(address);
	char *bytes;

	if (len > ADDRESS_LONGEST || fields.len > FIELDS_LONGEST || !may_keep(fields) ||
	    (bytes = malloc(len + 1 + fields.len)) == NULL)
		return;
	memcpy(bytes, address, len + 1);
	memcpy(bytes + len + 1, fields.at, fields.len);
	free(k->bytes);
	*k = (struct known){ bytes, len, fields.len, clock_mono() + LIFE };
	empty = false;
}

void
known_forget_all(void)
{
	if (empty)
		return;
	for (size_t i = 0; i < SLOTS; i++) {
		free(table[i].bytes);
		table[i] = (struct known){ 0 };
	}
	empty = true;
}
