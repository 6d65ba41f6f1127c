/* pages - the pages of a damaged SQLite file and its journal, without SQLite
 *
 * A page is the newest committed version: the journal's, else the file's. Nothing is written, and nothing that the bytes say is
 * believed before it was checked. (https://www.sqlite.org/fileformat2.html, sections 1.2, 1.3 and 4.)
 *
 * A frame of the journal holds a checksum of its own that goes on from the one before it, so each can be checked alone, and one
 * damaged frame does not hide the many behind it as it does for SQLite. */
#ifndef STORAGE_PAGES_H
#define STORAGE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct pages;

struct pages_health {
	bool no_header; /* page 1 is not that of a database */
	bool
	    no_journal; /* there is no -wal file: what was in it is unknown (an empty one is fine) */
	uint32_t bad_frames; /* of the journal, before its last whole transactions */
	uint32_t
	    torn_frames; /* of a last transaction that never became whole: nobody was told it did */
};

/* `db` and `wal` stay the caller's; wal is -1 when there is none. `size` is the page size to believe in when the header is gone. NULL
 * + err: the file cannot be read at all. */
struct pages *pages_open(int db, int wal, uint32_t size, struct err *err);
void pages_free(struct pages **p);
const struct pages_health *pages_health(const struct pages *p);
uint32_t pages_size(const struct pages *p);
uint32_t pages_count(const struct pages *p);
/* Page `n`, from 1, into buf of pages_size bytes. -1: it is not there or cannot be read. */
int pages_read(const struct pages *p, uint32_t n, unsigned char *buf);
/* Its newest version is lost, or may be: what it holds may be out of date. */
bool pages_outdated(const struct pages *p, uint32_t n);

/* Big-endian, as everywhere in the format. */
uint32_t pages_u16(const unsigned char *at);
uint32_t pages_u32(const unsigned char *at);

#endif
