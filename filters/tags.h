/* tags - tag=value lists: those of DKIM and ARC fields and of key records (RFC 6376 3.2) */
#ifndef FILTERS_TAGS_H
#define FILTERS_TAGS_H

#include <stdbool.h>

#include "base/slice.h"

#define TAGS_MAX 32

struct tags {
	struct {
		struct slice name,
		    value; /* without blanks around; folding inside of the value stays */
	} at[TAGS_MAX];
	size_t n;
};

/* Read a list; all point into the text. false: it is none, a tag is there twice, or there are too
 * many. */
bool tags_read(struct slice text, struct tags *out);
/* The value of a tag (names are case-sensitive); at == NULL when it is not there. */
struct slice tags_get(const struct tags *tags, const char *name);
bool tags_have(const struct tags *tags, const char *name);

/* Base64 with blanks anywhere. -1: it is not, is empty, or does not fit; else how many bytes. */
ptrdiff_t tags_base64(struct slice text, unsigned char *out, size_t size);

#endif
