/* xtext - ENVID and ORCPT: the coded forms of RFC 3461 4 and RFC 6533 3, read and written */
#ifndef DELIVERY_XTEXT_H
#define DELIVERY_XTEXT_H

#include "base/buf.h"

/* The decoded bytes ("+2B" is a plus), as one line: control characters become blanks. */
void xtext_show(struct buf *out, struct slice xtext);
/* An ORCPT value, "type;coded address", decoded likewise, as a report names it. Bytes past ASCII pass only when `utf8`; else
 * an address of the type utf-8 stays in its ASCII form. */
void orcpt_show(struct buf *out, const char *orcpt, bool utf8);
/* An ORCPT value for a command without SMTPUTF8: characters past ASCII as \x{HEX}. */
void orcpt_ascii(struct buf *out, const char *orcpt);

#endif
