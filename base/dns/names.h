/* names - DNS names in the form of the wire and as text
 *
 * Wire form: labels with a length byte in front, ended by the root's empty label, lower case. As
 * text: labels joined by dots, without a dot at the end; the root alone is ".". */
#ifndef BASE_DNS_NAMES_H
#define BASE_DNS_NAMES_H

#include "base/slice.h"

#define DNS_NAME_WIRE 255 /* RFC 1035 2.3.4 */
#define DNS_NAME_TEXT 256 /* with the NUL */

struct dns_name {
	size_t len;
	unsigned char wire[DNS_NAME_WIRE];
};

/* Read the name at `at` in the packet, pointers followed (RFC 1035 4.1.4: backwards only). Returns
 * the offset behind it, or -1. */
ptrdiff_t dns_name_read(struct slice packet, size_t at, struct dns_name *name);
bool dns_name_same(const struct dns_name *a, const struct dns_name *b);
/* As text. false ("" in `out`) for a name that no host or key has: bytes that are not graphic
 * ASCII, dots within a label, backslashes. Nothing that leaves here can break a line or a
 * command. */
bool dns_name_text(const struct dns_name *name, char out[static DNS_NAME_TEXT]);
/* Could `text` stand in a question? 1-63 bytes of graphic ASCII or blanks (macros of SPF make some) a
 * label, 253 in all, a dot at the end allowed. */
bool dns_name_ok(struct slice text);
/* Is it the name that was asked for as `text`? */
bool dns_name_is(const struct dns_name *name, struct slice text);

#endif
