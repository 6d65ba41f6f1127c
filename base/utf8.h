/* utf8 - one character at a time (RFC 3629) */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/* Decode the character at the front; how many bytes it has, or 0 when it is none: cut off, an
 * overlong form, a surrogate, or past U+10FFFF. */
size_t utf8_next(struct slice s, uint32_t *c);
/* Nothing but whole characters? */
bool utf8_ok(struct slice s);
/* Does it show as nothing, or turn the direction of what stands beside it? Such characters make two
 * different names look alike. Controls (C0, DEL, C1) and the line ends of Unicode are among
 * them. */
bool utf8_is_hidden(uint32_t c);

#endif
