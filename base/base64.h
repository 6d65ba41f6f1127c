/* base64 - RFC 4648 4: padded, no line breaks, nothing else tolerated; who allows more takes it out before */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

/* One of the 64? */
bool base64_is_digit(char c);
/* Append the decoded bytes. -1: not base64, or `out` is full. */
int base64_decode(struct buf *out, struct slice text);
/* Append the text. -1: `out` is full. */
int base64_encode(struct buf *out, struct slice bytes);

#endif
