/* eventmem - the small memory of libevent, on pages of its own */
#include "smtp/eventmem.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PIECE 64
#define ROOM (8 * 1024 * 1024) /* of addresses: a page counts when it is first used */

static char *room;
static size_t used;
static void *freed; /* a list: each piece begins with the next */

static bool
is_piece(const void *p)
{
	return (const char *)p >= room && (const char *)p < room + ROOM;
}

static void *
take(size_t size)
{
	void *p = freed;

	if (size > PIECE || (p == NULL && used == ROOM))
		return malloc(size);
	if (p != NULL) {
		memcpy(&freed, p, sizeof(freed));
	} else {
		p = room + used;
		used += PIECE;
	}
	return p;
}

static void
give(void *p)
{
	if (p == NULL || !is_piece(p)) {
		free(p);
		return;
	}
	memcpy(p, &freed, sizeof(freed));
	freed = p;
}

static void *
resize(void *p, size_t size)
{
	void *more;

	if (p == NULL)
		return take(size);
	if (!is_piece(p))
		return realloc(p, size);
	if (size <= PIECE)
		return p;
	more = malloc(size);
	if (more != NULL) {
		memcpy(more, p, PIECE);
		give(p);
	}
	return more;
}

void
eventmem_setup(void)
{
	void *pages = mmap(
	    NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pages == MAP_FAILED)
		return;
	room = pages;
	event_set_mem_functions(take, resize, give);
}
