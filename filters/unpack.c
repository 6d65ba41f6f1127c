/* unpack - one file out of what is attached to a report
 *
 * The zip reader knows what reporters send: one disk, stored or deflated, no encryption, no 64-bit
 * sizes. It goes by the directory at the end (APPNOTE 4.3), as all unpackers do, and every offset
 * is compared with what is there before it is followed. zlib does the rest. */
#include "filters/unpack.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define RATIO_FREE (1u << 20)
#define ZIP_END 22       /* bytes of the end record, without its comment */
#define ZIP_COMMENT 65535
#define ZIP_ENTRY 46     /* of a directory entry, without name, extra and comment */
#define ZIP_LOCAL 30
#define MEMBERS_MAX 1000 /* of a gzip file */

enum method { METHOD_PLAIN, METHOD_INFLATE };

struct unpack {
	enum method method;
	struct slice in; /* METHOD_PLAIN: what is left */
	size_t packed;
	z_stream z;
	bool z_open, gzip, ended;
	unsigned members, files;
	uint64_t out;
	bool check; /* zip: crc and size are known */
	uint32_t crc, crc_wanted, size_wanted;
	unsigned char piece[UNPACK_PIECE];
};

static unsigned
le16(struct slice s, size_t at)
{
	const unsigned char *p = (const unsigned char *)s.at + at;

	return (unsigned)p[0] | (unsigned)p[1] << 8;
}

static uint32_t
le32(struct slice s, size_t at)
{
	return le16(s, at) | (uint32_t)le16(s, at + 2) << 16;
}

static int
broken(struct err *err, const char *what)
{
	return err_set(err, ERR_PERMANENT, "%s", what);
}

/* -- zip */

static int
zip_broken(struct err *err)
{
	return broken(err, "the zip archive is broken: its directory does not fit its content");
}

/* Where the end record begins, or -1. */
static ptrdiff_t
zip_end(struct slice zip)
{
	if (zip.len < ZIP_END)
		return -1;
	for (size_t back = 0; back <= ZIP_COMMENT && back + ZIP_END <= zip.len; back++) {
		size_t at = zip.len - ZIP_END - back;

		if (memcmp(zip.at + at, "PK\005\006", 4) == 0 && le16(zip, at + 20) <= back)
			return (ptrdiff_t)at;
	}
	return -1;
}

/* The entry at `at`: its whole length, or 0 when it does not fit. */
static size_t
zip_entry(struct slice directory, size_t at)
{
	size_t len;

	if (directory.len < ZIP_ENTRY || at > directory.len - ZIP_ENTRY ||
	    memcmp(directory.at + at, "PK\001\002", 4) != 0)
		return 0;
	len = ZIP_ENTRY + le16(directory, at + 28) + le16(directory, at + 30) + le16(directory, at + 32);
	return len <= directory.len - at ? len : 0;
}

/* The first entry that is a file. */
static int
zip_first(struct unpack *u, struct slice directory, unsigned entries, size_t *first, struct err *err)
{
	size_t at = 0;

	for (unsigned i = 0; i < entries; i++) {
		size_t len = zip_entry(directory, at), name;

		if (len == 0)
			return zip_broken(err);
		name = le16(directory, at + 28);
		if (name > 0 && directory.at[at + ZIP_ENTRY + name - 1] != '/' && u->files++ == 0)
			*first = at;
		at += len;
	}
	return u->files > 0 ? 0 : broken(err, "the zip archive holds no file");
}

static int
inflate_begin(struct unpack *u, struct slice in, int window, struct err *err)
{
	u->method = METHOD_INFLATE;
	u->z.next_in = (Bytef *)(uintptr_t)in.at;
	u->z.avail_in = (uInt)in.len;
	u->z_open = inflateInit2(&u->z, window) == Z_OK;
	return u->z_open ? 0 : err_set(err, ERR_TEMPORARY, "out of memory");
}

/* The content of the entry at `at` of the directory. */
static int
zip_open_entry(struct unpack *u, struct slice zip, struct slice directory, size_t at, struct err *err)
{
	unsigned flags = le16(directory, at + 8), method = le16(directory, at + 10);
	uint32_t size = le32(directory, at + 20), local = le32(directory, at + 42);
	struct slice data;

	if (flags & 1)
		return broken(err, "the zip archive is encrypted");
	if (method != 0 && method != 8)
		return broken(err, "the zip archive is packed in a way that is not read here");
	if (zip.len < ZIP_LOCAL || local > zip.len - ZIP_LOCAL ||
	    memcmp(zip.at + local, "PK\003\004", 4) != 0)
		return zip_broken(err);
	data = slice_skip(zip, local + ZIP_LOCAL);
	if ((size_t)le16(zip, local + 26) + le16(zip, local + 28) > data.len)
		return zip_broken(err);
	data = slice_skip(data, (size_t)le16(zip, local + 26) + le16(zip, local + 28));
	if (size > data.len)
		return zip_broken(err);
	u->in = slice_first(data, size);
	u->packed = size;
	u->check = true;
	u->crc_wanted = le32(directory, at + 16);
	u->size_wanted = le32(directory, at + 24);
	u->crc = (uint32_t)crc32(0, NULL, 0);
	return method == 0 ? 0 : inflate_begin(u, u->in, -MAX_WBITS, err);
}

static int
zip_open(struct unpack *u, struct slice zip, struct err *err)
{
	ptrdiff_t end = zip_end(zip);
	uint32_t size, offset;
	struct slice directory;
	size_t first = 0;

	if (end < 0)
		return broken(err, "the zip archive is cut off: it has no directory");
	if (le16(zip, (size_t)end + 4) != 0 || le16(zip, (size_t)end + 6) != 0 ||
	    le16(zip, (size_t)end + 8) != le16(zip, (size_t)end + 10))
		return broken(err, "the zip archive is a part of several");
	size = le32(zip, (size_t)end + 12);
	offset = le32(zip, (size_t)end + 16);
	if (offset > (size_t)end || size > (size_t)end - offset)
		return zip_broken(err);
	directory = slice_first(slice_skip(zip, offset), size);
	if (zip_first(u, directory, le16(zip, (size_t)end + 10), &first, err) == -1)
		return -1;
	return zip_open_entry(u, zip, directory, first, err);
}

/* -- all of them */

static int
open_by_content(struct unpack *u, struct slice packed, struct err *err)
{
	static const char *const others[] = { "BZh", "7z\274\257", "Rar!", "\3757zXZ", "\050\265\057\375" };

	u->files = 1;
	u->packed = packed.len;
	if (packed.len == 0)
		return broken(err, "it is empty");
	if (slice_starts(packed, SLICE("\037\213"))) {
		u->gzip = true;
		return inflate_begin(u, packed, 16 + MAX_WBITS, err);
	}
	if (slice_starts(packed, SLICE("PK\003\004")) || slice_starts(packed, SLICE("PK\005\006"))) {
		u->files = 0;
		return zip_open(u, packed, err);
	}
	for (size_t i = 0; i < COUNT(others); i++)
		if (slice_starts(packed, slice_of(others[i])))
			return broken(err, "it is packed in a way that no standard of reports names");
	u->in = packed;
	return 0;
}

struct unpack *
unpack_new(struct slice packed, struct err *err)
{
	struct unpack *u = calloc(1, sizeof(*u));

	if (u == NULL) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		return NULL;
	}
	if (packed.len > UNPACK_MAX) {
		err_set(err, ERR_PERMANENT, "it is larger than %u MiB", UNPACK_MAX >> 20);
		unpack_free(&u);
	} else if (open_by_content(u, packed, err) == -1)
		unpack_free(&u);
	return u;
}

void
unpack_free(struct unpack **u)
{
	if (*u == NULL)
		return;
	if ((*u)->z_open)
		inflateEnd(&(*u)->z);
	free(*u);
	*u = NULL;
}

unsigned
unpack_files(const struct unpack *u)
{
	return u->files;
}

/* A gzip file may be several in a row; what else follows the last is no part of it. */
static int
member_ended(struct unpack *u, struct err *err)
{
	u->ended = true;
	if (!u->gzip || u->z.avail_in < 2 || u->z.next_in[0] != 0x1f || u->z.next_in[1] != 0x8b)
		return 0;
	if (++u->members > MEMBERS_MAX)
		return broken(err, "the gzip file has too many members");
	u->ended = false;
	return inflateReset(&u->z) == Z_OK ? 0 : broken(err, "the gzip file is broken");
}

static int
inflate_piece(struct unpack *u, struct slice *piece, struct err *err)
{
	int rc = Z_OK;

	u->z.next_out = u->piece;
	u->z.avail_out = sizeof(u->piece);
	while (!u->ended && u->z.avail_out > 0) {
		rc = inflate(&u->z, Z_NO_FLUSH);
		if (rc == Z_STREAM_END) {
			if (member_ended(u, err) == -1)
				return -1;
		} else if (rc == Z_BUF_ERROR && u->z.avail_in == 0) {
			return broken(err, "the archive is cut off before its end");
		} else if (rc == Z_MEM_ERROR) {
			return err_set(err, ERR_TEMPORARY, "out of memory");
		} else if (rc != Z_OK) {
			return broken(err, "the archive is broken: its content cannot be unpacked");
		}
	}
	*piece = (struct slice){ (char *)u->piece, sizeof(u->piece) - u->z.avail_out };
	return 0;
}

static int
all_there(const struct unpack *u, struct err *err)
{
	if (u->check && (u->crc != u->crc_wanted || (uint32_t)u->out != u->size_wanted))
		return broken(err, "the zip archive is broken: its check sum is another");
	return 0;
}

int
unpack_next(struct unpack *u, struct slice *piece, struct err *err)
{
	if (u->method == METHOD_PLAIN) {
		*piece = slice_first(u->in, UNPACK_PIECE);
		u->in = slice_skip(u->in, piece->len);
	} else if (inflate_piece(u, piece, err) == -1)
		return -1;
	if (piece->len == 0)
		return all_there(u, err);
	u->out += piece->len;
	if (u->out > UNPACK_MAX)
		return err_set(err, ERR_PERMANENT, "it is larger than %u MiB, unpacked", UNPACK_MAX >> 20);
	if (u->out > RATIO_FREE && u->out / UNPACK_RATIO > u->packed)
		return broken(err, "it unpacks to far more than any report: a bomb");
	if (u->check)
		u->crc = (uint32_t)crc32(u->crc, (const Bytef *)piece->at, (uInt)piece->len);
	return 1;
}
