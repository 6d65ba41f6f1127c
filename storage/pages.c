/* pages - see pages.h */
#include "storage/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "SQLite format 3" /* with its NUL: 16 bytes */
#define WAL_MAGIC 0x377f0682u   /* | 1: checksums over big-endian words */
#define WAL_HEADER 32
#define FRAME_HEADER 24
#define PAGES_MOST (1u << 28)

struct frame {
	uint32_t page;
	bool good, commits, mine; /* mine: of this round of the journal */
};

struct pages {
	int db, wal;
	uint32_t size, count;
	uint32_t *newest; /* by page: its frame, from 1; 0: the file's */
	bool *outdated;
	struct pages_health health;
};

uint32_t
pages_u16(const unsigned char *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

uint32_t
pages_u32(const unsigned char *at)
{
	return pages_u16(at) << 16 | pages_u16(at + 2);
}

/* All of it, or -1. */
static int
read_at(int fd, void *buf, size_t len, off_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, at + (off_t)done);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

static bool
size_ok(uint32_t size)
{
	return size >= 512 && size <= 65536 && (size & (size - 1)) == 0;
}

/* -- the journal */

struct log {
	int fd;
	uint32_t size; /* of a page */
	bool big;      /* words of the checksum */
	bool blank;    /* the header is all zeros, as in a file that was made longer and not used yet */
	unsigned char salt[8];
	uint32_t stored[2], own[2]; /* sum of the frame before: as it says, and as it is */
	unsigned char *buf;         /* a frame */
	struct frame *frames;
	uint32_t n;
};

static uint32_t
word(const struct log *l, const unsigned char *at)
{
	if (l->big)
		return pages_u32(at);
	return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static void
checksum(const struct log *l, const unsigned char *at, size_t len, uint32_t sum[2])
{
	for (size_t i = 0; i < len; i += 8) {
		sum[0] += word(l, at + i) + sum[1];
		sum[1] += word(l, at + i + 4) + sum[0];
	}
}

/* The salts of this round of the journal, and where the chain of checksums begins. */
static void
log_begin(struct log *l, struct pages_health *health)
{
	unsigned char h[WAL_HEADER] = { 0 }, first[FRAME_HEADER];
	uint32_t sum[2] = { 0, 0 };

	read_at(l->fd, h, sizeof(h), 0);
	l->big = (pages_u32(h) & 1) != 0;
	checksum(l, h, 24, sum);
	memcpy(l->salt, h + 16, sizeof(l->salt));
	l->stored[0] = pages_u32(h + 24);
	l->stored[1] = pages_u32(h + 28);
	memcpy(l->own, sum, sizeof(l->own));
	if ((pages_u32(h) & ~1u) == WAL_MAGIC && sum[0] == l->stored[0] && sum[1] == l->stored[1])
		return;
	l->blank = memcmp(h, (char[WAL_HEADER]){ 0 }, sizeof(h)) == 0;
	health->bad_frames += !l->blank;
	l->big = false;
	if (read_at(l->fd, first, sizeof(first), WAL_HEADER) == 0)
		memcpy(l->salt, first + 8, sizeof(l->salt));
}

/* One bit of the page's number or of the commit mark may be wrong: the checksum tells which. */
static bool
frame_mend(const struct log *l, const uint32_t from[2])
{
	unsigned char *b = l->buf;

	for (unsigned bit = 0; bit < 64; bit++) {
		uint32_t sum[2] = { from[0], from[1] };

		b[bit / 8] ^= (unsigned char)(1u << bit % 8);
		checksum(l, b, 8, sum);
		checksum(l, b + FRAME_HEADER, l->size, sum);
		if (sum[0] == pages_u32(b + 16) && sum[1] == pages_u32(b + 20))
			return true;
		b[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	return false;
}

/* Does it go on from there? Leaves its own sum in `sum`. */
static bool
frame_follows(const struct log *l, uint32_t sum[2])
{
	checksum(l, l->buf, 8, sum);
	checksum(l, l->buf + FRAME_HEADER, l->size, sum);
	return sum[0] == pages_u32(l->buf + 16) && sum[1] == pages_u32(l->buf + 20);
}

static void
log_frame(struct log *l, uint32_t i)
{
	unsigned char *b = l->buf;
	struct frame *f = &l->frames[i];
	uint32_t stored[2] = { l->stored[0], l->stored[1] }, own[2] = { l->own[0], l->own[1] };

	if (read_at(l->fd, b, FRAME_HEADER + l->size,
		WAL_HEADER + (off_t)i * (FRAME_HEADER + l->size)) == -1)
		return;
	f->mine = memcmp(b + 8, l->salt, sizeof(l->salt)) == 0;
	f->good = frame_follows(l, stored);
	if (!f->good && frame_follows(l, own)) {
		/* then it was only the sum of the one before that was damaged */
		f->good = true;
		memcpy(stored, own, sizeof(stored));
		if (i > 0)
			l->frames[i - 1].good = true;
	}
	if (!f->good && f->mine)
		f->good = frame_mend(l, l->stored);
	l->stored[0] = pages_u32(b + 16);
	l->stored[1] = pages_u32(b + 20);
	memcpy(l->own, stored, sizeof(l->own));
	f->page = pages_u32(b);
	f->commits = f->mine && f->good && pages_u32(b + 4) > 0;
}

/* How many frames count: up to the last commit. A damaged one in the very last transaction means that it was never finished;
 * one before it was durable before the next began. */
static uint32_t
log_end(const struct log *l, struct pages_health *health)
{
	uint32_t end = l->n, before;
	bool whole = true;

	while (end > 0 && !l->frames[end - 1].commits)
		end--;
	for (before = end > 0 ? end - 1 : 0; before > 0 && !l->frames[before - 1].commits; before--)
		whole = whole && l->frames[before - 1].good;
	if (whole)
		return end;
	health->torn_frames = end - before;
	return before;
}

static void
log_apply(struct pages *p, const struct log *l)
{
	uint32_t end = log_end(l, &p->health);

	for (uint32_t i = 0; i < end; i++) {
		const struct frame *f = &l->frames[i];

		if (f->good && f->page > 0 && f->page <= p->count) {
			p->newest[f->page] = i + 1;
			p->outdated[f->page] = false;
			continue;
		}
		p->health.bad_frames++;
		if (f->page > 0 && f->page <= p->count)
			p->outdated[f->page] = true;
	}
}

static int
log_read(struct log *l, struct pages *p, off_t bytes)
{
	l->n = (uint32_t)((bytes - WAL_HEADER) / (FRAME_HEADER + l->size));
	l->buf = malloc(FRAME_HEADER + l->size);
	l->frames = calloc(l->n > 0 ? l->n : 1, sizeof(*l->frames));
	if (l->buf == NULL || l->frames == NULL)
		return -1;
	log_begin(l, &p->health);
	for (uint32_t i = 0; i < l->n; i++) {
		log_frame(l, i);
		if (l->blank && l->frames[i].page > 0) {
			l->blank = false;
			p->health.bad_frames++;
		}
		if (l->frames[i].good && l->frames[i].mine && l->frames[i].page > p->count &&
		    l->frames[i].page <= PAGES_MOST)
			p->count = l->frames[i].page;
	}
	return 0;
}

/* -- the file */

/* Page 1 as SQLite would see it: its newest version in the journal counts, but the file's tells the page size. */
static void
header_read(struct pages *p)
{
	unsigned char h[100];
	uint32_t size;

	if (read_at(p->db, h, sizeof(h), 0) == -1 || memcmp(h, MAGIC, 16) != 0) {
		p->health.no_header = true;
		return;
	}
	size = pages_u16(h + 16) == 1 ? 65536 : pages_u16(h + 16);
	if (size_ok(size))
		p->size = size;
	else
		p->health.no_header = true;
}

static int
journal_read(struct pages *p, struct err *err)
{
	struct log l = { .fd = p->wal, .size = p->size };
	struct stat st;
	int rc = 0;

	p->health.no_journal = p->wal == -1;
	if (p->wal != -1 && fstat(p->wal, &st) == 0 && st.st_size > WAL_HEADER)
		rc = log_read(&l, p, st.st_size);
	if (rc == 0) {
		p->newest = calloc((size_t)p->count + 1, sizeof(*p->newest));
		p->outdated = calloc((size_t)p->count + 1, sizeof(*p->outdated));
	}
	if (rc == 0 && p->newest != NULL && p->outdated != NULL)
		log_apply(p, &l);
	free(l.buf);
	free(l.frames);
	return p->newest != NULL && p->outdated != NULL
		   ? 0
		   : err_set(err, ERR_TEMPORARY, "out of memory");
}

struct pages *
pages_open(int db, int wal, uint32_t size, struct err *err)
{
	struct pages *p = calloc(1, sizeof(*p));
	struct stat st;

	if (p == NULL || fstat(db, &st) == -1) {
		err_sys(err, "the database cannot be looked at");
		free(p);
		return NULL;
	}
	*p = (struct pages){ .db = db, .wal = wal, .size = size };
	header_read(p);
	if ((uint64_t)st.st_size / p->size >= PAGES_MOST) {
		err_set(err, ERR_PERMANENT, "the database is too large to be rescued");
		free(p);
		return NULL;
	}
	p->count = (uint32_t)(((uint64_t)st.st_size + p->size - 1) / p->size);
	if (journal_read(p, err) == -1)
		pages_free(&p);
	return p;
}

void
pages_free(struct pages **p)
{
	if (*p == NULL)
		return;
	free((*p)->newest);
	free((*p)->outdated);
	free(*p);
	*p = NULL;
}

const struct pages_health *
pages_health(const struct pages *p)
{
	return &p->health;
}

uint32_t
pages_size(const struct pages *p)
{
	return p->size;
}

uint32_t
pages_count(const struct pages *p)
{
	return p->count;
}

int
pages_read(const struct pages *p, uint32_t n, unsigned char *buf)
{
	if (n == 0 || n > p->count)
		return -1;
	if (p->newest[n] > 0)
		return read_at(p->wal, buf, p->size,
		    WAL_HEADER + (off_t)(p->newest[n] - 1) * (FRAME_HEADER + p->size) +
			FRAME_HEADER);
	return read_at(p->db, buf, p->size, (off_t)(n - 1) * p->size);
}

bool
pages_outdated(const struct pages *p, uint32_t n)
{
	return n <= p->count && p->outdated[n];
}
