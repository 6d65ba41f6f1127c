/* xtext - text inside an ESMTP parameter, "+2B" for "+" (RFC 3461 4)
 *
 * What a client sends as ENVID and ORCPT is kept in this form and handed on in it, so nobody has to
 * write it again; it is checked to stand for printable text before, so that no line end hides in it. */
#ifndef SMTP_PROTO_XTEXT_H
#define SMTP_PROTO_XTEXT_H

#include "base/envelope.h"

/* Append the text that `in` stands for. -1: not xtext, a byte that is no printable ASCII (blanks are),
 * or `out` is full. */
int xtext_decode(struct buf *out, struct slice in);
/* Append `text` as xtext. -1: `out` is full. */
int xtext_encode(struct buf *out, struct slice text);
/* Would xtext_decode take it? */
bool xtext_ok(struct slice in);
/* Is it "type;xtext" (RFC 3461 4.2), the type an atom? Under the type utf-8 (RFC 6533 3) what it
 * decodes to must be whole: "\x{...}" names a character that can be seen. With `raw`, UTF-8 itself
 * may stand there too. */
bool xtext_orcpt_ok(struct slice in, bool raw);

#endif
