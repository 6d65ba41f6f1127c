/* unpack - one file out of what is attached to a report: gzip, zip, or as it is; piece by piece
 *
 * Nothing is written anywhere and nothing is held but a piece of 64 KiB. Sizes that the archive itself
 * names are not believed: what comes out has a ceiling, and so has its ratio to what went in. Of a zip
 * archive the first file is read, of a chain of gzip members all; an archive inside is not opened.
 *
 * Errors: a sentence in err; what came out before it is not to be used. */
#ifndef FILTERS_UNPACK_H
#define FILTERS_UNPACK_H

#include "base/err.h"

#define UNPACK_MAX (32u << 20)  /* bytes that may come out */
#define UNPACK_RATIO 250        /* ... for each that went in, past the first MiB */
#define UNPACK_PIECE (64 * 1024)

struct unpack;

/* `packed` is borrowed until unpack_free. NULL + err: it is none that can be read. */
struct unpack *unpack_new(struct slice packed, struct err *err);
/* 1: a piece, borrowed until the next call; 0: that was all; -1 + err. */
int unpack_next(struct unpack *u, struct slice *piece, struct err *err);
/* How many files the archive holds; only the first is read. */
unsigned unpack_files(const struct unpack *u);
/* Sets *u to NULL; accepts NULL. */
void unpack_free(struct unpack **u);

#endif
